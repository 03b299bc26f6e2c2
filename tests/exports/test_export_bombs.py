"""Hostile images in an export: refused in one line or shown, and decoded only in the processes of the sandbox."""

from __future__ import annotations

import io
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
from bombs import all_of_them, png
from PIL import Image, ImageFile

from limner.document import Article, Illustration, read_markdown
from limner.errors import ImageUnreadable
from limner.exports import contact_sheet, write_article
from limner.tools.images import images, sandbox
from limner.tools.images.looks import grid

BOMBS = all_of_them()
# A drawing that takes all of its seconds is enough for the whole suite to wait for once (test_sandbox).
KINDS = ("PNG", "GIF", "TIFF", "BMP", "WebP", "AVIF", "JPEG", "size,")
TRIED = [name for name in BOMBS if name.split()[0] in KINDS and "88 million" not in name]  # those are below
FORMATS = ("md", "html", "docx", "epub", "json")


def article(crop: tuple[float, float, float, float] | None = None) -> Article:
    picture = Illustration(
        id="i1", after="b2", image_id="a" * 32, caption="Honey", alt="Honey", width=64, height=64, crop=crop
    )
    return read_markdown("# Bees\n\nHoney.\n").illustrated([picture])


def photograph(kind: str) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((640, 400), 90).convert("RGB").save(out, kind)
    return out.getvalue()


DATA = {kind: photograph(kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF")}


@pytest.fixture
def no_decoder_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any decoding in this process is an error."""

    def refuse(*_args: Any, **_options: Any) -> None:
        raise AssertionError("an image is decoded in the process that serves requests")

    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)


@pytest.mark.parametrize("crop", [None, (0.1, 0.1, 0.5, 0.5)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_an_export_decodes_nothing_in_its_own_process(
    kind: str, crop: tuple[float, float, float, float] | None, tmp_path: Path, no_decoder_here: None
) -> None:
    written = write_article(article(crop), tmp_path / "a", lambda _: (DATA[kind], ".jpg"), FORMATS)
    assert set(written.files) == set(FORMATS)


def test_a_draft_s_own_images_and_a_contact_sheet_neither(tmp_path: Path, no_decoder_here: None) -> None:
    (tmp_path / "own.tif").write_bytes(DATA["TIFF"])
    draft = read_markdown("# Bees\n\n![Own](own.tif)\n").model_copy(update={"made_with": {"draft": True}})
    written = write_article(
        draft, tmp_path / "a", lambda _: (b"", ""), FORMATS, beside={"own.tif": tmp_path / "own.tif"}
    )
    with zipfile.ZipFile(written.files["epub"]) as book:
        assert any(name.endswith((".png", ".jpg")) for name in book.namelist())
    assert "<h1" in contact_sheet("Hits", [])
    assert grid(DATA["PNG"]).shape == (16, 16, 3)


@pytest.mark.parametrize("name", TRIED)
@pytest.mark.parametrize("crop", [None, (0, 0, 1, 0.5)])
def test_a_bomb_in_an_export_is_refused_in_one_line_or_shown(
    name: str, crop: tuple[float, float, float, float] | None, tmp_path: Path, no_decoder_here: None
) -> None:
    """A file of the library that was replaced by a bomb after it was indexed."""
    refused = ""
    try:
        write_article(article(crop), tmp_path / "a", lambda _: (BOMBS[name], ".png"), ("md", "html", "docx"))
    except ImageUnreadable as error:
        refused = str(error)
    assert len(refused.splitlines()) == bool(refused)
    assert bool(refused) != (tmp_path / "a" / "article.docx").is_file()
    assert not refused or not any(tmp_path.iterdir())


def test_a_large_image_takes_no_memory_of_the_exporting_process(tmp_path: Path) -> None:
    """A PNG of 88 million pixels takes 265 MB as RGB. ru_maxrss never falls, and counts in kB."""
    write_article(article(), tmp_path / "a", lambda _: (DATA["PNG"], ".png"), ("md", "html"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bomb = png(9_400, 9_400)
    for n, crop in enumerate([None, (0.0, 0.0, 1.0, 0.9)]):
        write_article(article(crop), tmp_path / f"b{n}", lambda _: (bomb, ".png"), ("md", "html"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000


def test_a_document_s_images_are_never_larger_than_its_page() -> None:
    """A scaled copy of this file has more bytes than the file; pandoc and typst would decode 88 million pixels."""
    made = images.fitted(png(9_400, 9_400), 1600, portable=True, most=300_000)
    assert max(made.width, made.height) == 1600


def test_a_process_that_ends_costs_one_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = sandbox.Pool(1, sandbox.GIB // 2, 20)
    monkeypatch.setattr(images, "PHOTOGRAPHS", pool)
    try:
        with pytest.raises(ImageUnreadable, match="memory"):
            write_article(article((0, 0, 1, 1)), tmp_path / "a", lambda _: (png(9_400, 9_400, bits=8), ".png"), ("md",))
        assert write_article(article(), tmp_path / "b", lambda _: (DATA["PNG"], ".png"), ("md",)).files
    finally:
        pool.close()
