"""Article -> a PDF that meets PDF/UA-1, set by Typst from data; the article's text is never Typst source.

PDF/UA-1 (ISO 14289-1) requires the parts that screen readers need, and the check after writing looks for them: a title,
the language, a structure, an alternative text for each image. It also forbids letters without a font, so a missing
Chinese letter is an error here and not a box in print.
"""

from __future__ import annotations

import importlib.util
import io
import json
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.document import Article
from limner.errors import ExportFailed, NotInstalled
from limner.exports.bidi import direction
from limner.exports.counting import compare, figures
from limner.exports.documents import pandoc
from limner.exports.formulas import in_typst
from limner.exports.identity import written_on
from limner.exports.pictures import Pictures
from limner.exports.typeset import Writer, alt_in_pdf, plain
from limner.exports.words import attribution, credited, line
from limner.lazy import lazy

if TYPE_CHECKING:
    import pypdf
else:  # an extra
    pypdf = lazy("pypdf")

MISSING = "PDF needs the export extra: pip install 'limner[export]', or write html instead."
_FONTS = ("manimgx_fonts", "manimgx_fonts_cjk")  # packages whose files are Noto's fonts
_CJK = {"ja": "JP", "ko": "KR"}


def to_pdf(article: Article, pictures: Pictures) -> bytes:
    """The article as a PDF, A4.

    Raises NotInstalled without Typst, ExportFailed for a letter that no available font has.
    """
    typst = _typst()
    with tempfile.TemporaryDirectory(prefix="limner-") as name:
        root = Path(name)  # Typst reads nothing outside of it
        source = root / "article.typ"
        source.write_bytes((Path(__file__).parent / "templates" / "article.typ").read_bytes())
        (root / "article.json").write_text(json.dumps(_document(article, pictures, root)), encoding="utf-8")
        try:
            return typst.compile(
                str(source),
                root=name,
                font_paths=_font_folders(),
                package_path=name,  # no Typst package is used, and none can be fetched
                package_cache_path=name,
                pdf_standards=["ua-1"],
            )
        except RuntimeError as e:
            raise ExportFailed(_refusal(str(e))) from e


def _typst() -> Any:
    try:
        import typst
    except ImportError as e:
        raise NotInstalled(MISSING) from e
    return typst


def _font_folders() -> list[str]:
    specs = [importlib.util.find_spec(name) for name in _FONTS]
    return [folder for spec in specs if spec for folder in spec.submodule_search_locations or ()]


def _refusal(message: str) -> str:
    if letter := re.search(r'the text `"(.+?)"` could not be displayed', message):
        return (
            f"No font at hand has {line(letter[1])[:20]!r}, which the PDF needs. Install one that has it "
            "(Debian: apt install fonts-noto), or write html instead."
        )
    return f"The PDF could not be set: {line(message)[:200]}. Write html instead, and report this."


# --- the article as data ---------------------------------------------------------------------------------------------


def _document(article: Article, pictures: Pictures, root: Path) -> dict[str, Any]:
    """The data for templates/article.typ. root: folder for the images."""
    writer = Writer(article, pictures, root)
    parts = writer.parts()
    made = in_typst(list(writer.formulas), lambda page: pandoc("html", "typst", page)) if writer.formulas else {}
    for formula, part in writer.formulas.items():
        if source := made.get(formula):
            part |= {"kind": "formula", "source": source}
    language = [part for part in re.split("[-_]", article.language) if part]
    code = language[0].lower() if language and re.fullmatch("[A-Za-z]{2,3}", language[0]) else "und"
    region = next((part.lower() for part in language[1:] if re.fullmatch("[A-Za-z]{2}", part)), None)
    cjk = f"Noto Sans CJK {_CJK.get(code) or ('TC' if _is_traditional(article.language) else 'SC')}"
    latin: Any = "Libertinus Serif"
    if code in ("zh", "ja", "ko"):
        latin = {"name": latin, "covers": "latin-in-cjk"}  # full-width quotation marks
    return {
        "title": plain(article.title) or "Untitled",
        "author": [plain(article.author)] if plain(article.author) else [],
        "date": [int(part) for part in written_on(article).split("-") if part],
        "language": {"lang": code, "region": region, "dir": direction(article)},
        "known": code != "und",
        "fonts": [latin, *_script_fonts(article), cjk, "Noto Sans", "Noto Sans Symbols", "Noto Emoji"],
        "code": ["DejaVu Sans Mono", *_script_fonts(article), cjk, "Noto Sans"],
        "parts": parts,
    }


_SCRIPTS = {  # first word of a letter's Unicode name -> Noto font
    "ARABIC": "Arabic", "ARMENIAN": "Armenian", "BENGALI": "Bengali", "DEVANAGARI": "Devanagari",
    "ETHIOPIC": "Ethiopic", "GEORGIAN": "Georgian", "GUJARATI": "Gujarati", "GURMUKHI": "Gurmukhi", "HEBREW": "Hebrew",
    "KANNADA": "Kannada", "KHMER": "Khmer", "LAO": "Lao", "MALAYALAM": "Malayalam", "MYANMAR": "Myanmar",
    "ORIYA": "Oriya", "SINHALA": "Sinhala", "TAMIL": "Tamil", "TELUGU": "Telugu", "THAI": "Thai",
}  # fmt: skip


def _script_fonts(article: Article) -> list[str]:
    """Noto fonts for the scripts of an article, the most frequent first; otherwise Typst would pick any font."""
    words = [article.title, article.source, *(f"{i.caption} {i.credit} {i.licence}" for i in article.illustrations)]
    names = (unicodedata.name(c, "").partition(" ")[0] for c in "".join(words) if c > "\u0530")
    counts = Counter(name for name in names if name in _SCRIPTS)
    return [f"Noto Sans {_SCRIPTS[name]}" for name, _ in counts.most_common()]


def _is_traditional(language: str) -> bool:
    return bool({"hant", "tw", "hk", "mo"} & set(re.split("[-_]", language.lower())))


# --- read again ------------------------------------------------------------------------------------------------------


def check_pdf(article: Article, path: Path) -> None:
    """Read the PDF again and check alternative texts in the article's order, credits in its text, and that images
    decode."""
    with path.open("rb") as file:
        reader = pypdf.PdfReader(file)
        found = list(_pictures(reader))
        text = "".join(page.extract_text() for page in reader.pages)
        for page in reader.pages:
            for image in page.images:
                if image.image is None:
                    raise ExportFailed(f"{path.name} holds a picture that does not decode. Export it again.")
    wanted = figures(article)
    compare(path, "images", [alt_in_pdf(i, article) for i in wanted], [alt for alt, own in found if not own])
    # Under each image, and once more in the list at the end.
    shown = (attribution(i, article.language) for i in (*wanted, *credited(article)))
    credits = [credit for credit in shown if credit]
    if list(_credits_in(text, credits)) != credits:  # a second reader, which undoes the shaping of letters
        compare(path, "credits", credits, list(_credits_in(_shaped_text(path), credits)))


def _shaped_text(path: Path) -> str:
    """A PDF's text as read by PDFium, with letters of Indic scripts in logical order."""
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        return "".join(page.get_textpage().get_text_bounded() for page in document)


def own_in_pdf(path: Path) -> int:
    """Number of a draft's own images in a PDF."""
    with path.open("rb") as file:
        return sum(own for _, own in _pictures(pypdf.PdfReader(file)))


def shown_in_pdf(path: Path) -> Iterator[bytes]:
    """The images of a PDF, page by page, as PNG; those with transparency also without, as some readers drop it."""
    with path.open("rb") as file:
        for page in pypdf.PdfReader(file).pages:
            for image in page.images:
                if image.image is None:
                    continue
                variants = [image.image.convert("RGBA"), image.image.convert("RGB")]
                for variant in variants[0 if image.image.has_transparency_data else 1 :]:
                    out = io.BytesIO()
                    variant.save(out, "PNG", compress_level=1)
                    yield out.getvalue()


def _pictures(reader: Any) -> Iterator[tuple[str, bool]]:
    """(alternative text, whether it is inline) of each image in the PDF's structure."""
    root = reader.trailer["/Root"]["/StructTreeRoot"]
    waiting = [(root["/K"], "")]
    while waiting:
        node, above = waiting.pop()
        node = node.get_object()
        if isinstance(node, list):
            waiting += [(child, above) for child in reversed(node)]
        elif hasattr(node, "get"):
            kind = str(node.get("/S", ""))
            if kind == "/Figure":
                yield str(node.get("/Alt", "")), above not in ("/Div", "/Document")
            if "/K" in node:
                waiting.append((node["/K"], kind))


_IGNORED = re.compile(
    "[\\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufffd\ufffe\ufe00-\ufe0f\x00-\x1f]"
)
"""Text without the parts that a reader may drop or add: spaces at line breaks, and invisible characters."""


def _bare(text: str) -> str:
    """Letters, digits and marks in their compatibility form, which resolves ligatures and presentation forms."""
    return _IGNORED.sub("", unicodedata.normalize("NFKC", text))


def _credits_in(text: str, credits: Sequence[str]) -> Iterator[str]:
    """The credits that a PDF's text contains, in order.

    For scripts in which a reader may return letters in another order (right to left, vowel signs of Indic scripts), the
    counts of each letter must match.
    """
    text, at = _bare(text), 0
    counted = Counter(filter(str.isalnum, text))
    for credit in credits:
        bare = _bare(credit)
        if (found := text.find(bare, at)) >= 0:
            at = found + len(bare)
            yield credit
        elif any(_is_shaped(c) for c in bare) and not Counter(filter(str.isalnum, bare)) - counted:
            counted -= Counter(filter(str.isalnum, bare))
            yield credit


def _is_shaped(letter: str) -> bool:
    return (
        unicodedata.bidirectional(letter) in ("R", "AL")
        or "\u0900" <= letter <= "\u109f"
        or ("\u1780" <= letter <= "\u17ff")
    )
