"""Second steps: a draft that shows pictures already, its own or those that limner put there before."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from PIL import Image

import limner
from limner.document import Article
from limner.exports import without_figures
from limner.settings import Settings
from limner.workflows.context import build_context
from limner.workflows.inputs import draft_state
from limner.workflows.run import run

TEXT = "# Bees\n\n" + "\n\n".join(
    f"{one}" for one in (
        "A bee visits a flower.", "The beekeeper lifts a frame of honeycomb.", "Honey runs into a jar.",
        "Smoke calms the bees.", "A swarm hangs in a tree.", "The hive stands in a meadow.",
    )
) + "\n"  # fmt: skip


def again(draft: Path, out: Path, images: Any) -> Article:
    context = build_context(Settings(dialect="small"), library="bees")
    article = run(context, draft_state(draft, images=images))
    limner.export(article, out, settings=Settings())
    files = {i.image_id: i.file for i in read(out).illustrations}
    written = (out / "article.md").read_text("utf-8")
    assert without_figures(written, article, files) == draft.read_text("utf-8")
    return article


def read(folder: Path) -> Article:
    from limner.exports import read_json

    return read_json(folder / "article.json")


def test_an_illustrated_draft_is_illustrated_again_until_nothing_is_left(bees: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.md"
    draft.write_text(TEXT, "utf-8")
    placed: list[str] = []
    for turn in range(3):
        article = again(draft, tmp_path / f"out{turn}", 2)
        placed += [i.image_id for i in article.illustrations]
        assert article.illustrations or article.notes
        draft = tmp_path / f"out{turn}" / "article.md"
    assert len(set(placed)) == len(placed), "no picture twice"
    assert len(placed) >= 4
    everything = again(draft, tmp_path / "out3", "auto")
    assert everything.illustrations or len(everything.notes) == 1


def test_a_drafts_own_pictures_count_as_placed(bees: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    names = []
    for picture in sorted(p for p in bees.rglob("*") if p.suffix in (".png", ".jpg", ".webp")):
        shutil.copy(picture, tmp_path / "photos" / picture.name)
        names.append(picture.name)
    draft = tmp_path / "draft.md"
    own = "\n\n".join(f"![own](<photos/{name}>)" for name in names)
    draft.write_text(f"{TEXT}\n{own}\n", "utf-8")
    article = again(draft, tmp_path / "out", "auto")
    assert not article.illustrations
    assert [n for n in article.notes if n.startswith("No image was added")]


def test_a_drafts_own_pictures_travel_along_from_python(bees: Path, tmp_path: Path) -> None:
    """Row D11: article.md pointed at files that were not there."""
    (tmp_path / "drafts").mkdir()
    Image.new("RGB", (60, 40), (10, 120, 200)).save(tmp_path / "drafts" / "my pic.png")
    draft = tmp_path / "drafts" / "draft.md"
    draft.write_text(f"{TEXT}\n![own](<my pic.png>)\n", "utf-8")
    settings = Settings(dialect="small")
    article = limner.illustrate(draft, library="bees", images=1, settings=settings)
    limner.export(article, tmp_path / "out", formats=["md", "html"], settings=settings)
    assert (tmp_path / "out" / "my pic.png").is_file()
    assert 'class="own"' in (tmp_path / "out" / "article.html").read_text("utf-8")
    assert not [n for n in article.notes if "my pic" in n]


def test_copies_of_a_librarys_pictures_count_as_placed(bees: Path, tmp_path: Path) -> None:
    """Row D8: a scaled copy in another format, as a site's generator makes it."""
    names = []
    for n, picture in enumerate(sorted(p for p in bees.rglob("*") if p.suffix in (".png", ".jpg", ".webp"))):
        with Image.open(picture) as image:
            small = image.convert("RGB").resize((max(16, image.width // 2), max(16, image.height // 2)))
        small.save(tmp_path / f"{n}.jpg", quality=60)
        names.append(f"{n}.jpg")
    draft = tmp_path / "draft.md"
    draft.write_text(TEXT + "\n" + "\n\n".join(f"![own]({name})" for name in names) + "\n", "utf-8")
    article = again(draft, tmp_path / "out", "auto")
    assert not article.illustrations
    draft.write_text(f"{TEXT}\n![own]({names[0]})\n", "utf-8")
    assert again(draft, tmp_path / "other", 2).illustrations, "another picture is no copy"


def test_a_drafts_language_is_the_front_matters() -> None:
    state = draft_state("---\ntitle: Der Kran\nlang: de\n---\n\nDer Kran hebt Netze.\n\n## Später\n")
    assert (state["article"].title, state["article"].language) == ("Der Kran", "de")
