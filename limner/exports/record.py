"""Write article.json, the whole Article, and read it back without trusting it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from limner.document import FORMAT, Article
from limner.errors import BadInput
from limner.exports.counting import compare
from limner.exports.names import refuse_outside
from limner.exports.pictures import Images
from limner.exports.words import SURROGATE, line


def to_json(article: Article) -> str:
    """`{"format": N, "article": ...}`. Bytes of a draft that are not UTF-8 survive as JSON escapes."""
    # Python mode, because pydantic's JSON refuses the lone surrogates that represent such bytes.
    text = json.dumps({"format": FORMAT, "article": article.model_dump()}, ensure_ascii=False, indent=1, default=str)
    return SURROGATE.sub(lambda m: f"\\u{ord(m[0]):04x}", text) + "\n"


def read_json(path: Path) -> Article:
    """Read the Article from a file that `to_json` wrote.

    The file is not trusted: ids must exist in it, and images must lie in its folder. Raises BadInput.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as e:
        raise BadInput(f"Cannot read {path}: {e.strerror}. Give the article.json that limner wrote.") from e
    except (ValueError, RecursionError) as e:
        raise BadInput(f"{path} is not JSON ({line(str(e))}). Give the article.json that limner wrote.") from e
    if not isinstance(value, dict) or type(value.get("format")) is not int or "article" not in value:
        raise BadInput(f"{path} is JSON, but not an article. Give the article.json that limner wrote.")
    if value["format"] > FORMAT:
        raise BadInput(f"{path} has format {value['format']}, this limner reads up to {FORMAT}. Update limner.")
    try:
        article = Article.model_validate(value["article"])
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the article"
        raise BadInput(
            f"{path} is not a whole article: {line(where)}: {line(first['msg'])}. Compose or export it again."
        ) from e
    _refuse_tangled(article, path)
    made_with = {key: value for key, value in article.made_with.items() if key != "draft_folder"}
    return article.model_copy(update={"made_with": made_with})


def _refuse_tangled(article: Article, path: Path) -> None:
    """Raise BadInput for duplicated or unknown ids, and for files outside the folder."""
    ids = [b.id for b in article.body] + [i.id for i in article.illustrations]
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise BadInput(f"{path} has two blocks with the id {line(twice)}. Compose or export the article again.")
    paragraphs = {p.id for p in article.paragraphs}
    for i in article.illustrations:
        if i.after not in paragraphs:
            raise BadInput(
                f"{path} has an image after {line(i.after)}, which is no paragraph. Export the article again."
            )
        if i.file:
            refuse_outside(i.file)


def images_beside(article: Article, folder: Path) -> Images:
    """The images of an exported article for `write_article`, from their files in `folder`.

    The returned function raises BadInput for an image without a file, or whose file is a link out of the folder.
    """
    files = {i.image_id: i.file for i in article.illustrations}

    def image(image_id: str) -> tuple[bytes, str]:
        file = files.get(image_id, "")
        if not file:
            raise BadInput(f"The article has no file for image {line(image_id)}. Compose or export it again.")
        refuse_outside(file)
        path = (folder / file).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise BadInput(f"The image file {line(file)!r} is a link out of {folder}. Put the image itself there.")
        try:
            return path.read_bytes(), path.suffix
        except OSError as e:
            raise BadInput(f"Cannot read {path}: {e.strerror}. Keep article.json and images/ together.") from e

    return image


def check_json(article: Article, path: Path) -> None:
    again = read_json(path)
    compare(path, "images", [i.image_id for i in article.illustrations], [i.image_id for i in again.illustrations])
    compare(path, "articles", [to_json(article)], [to_json(again)])
