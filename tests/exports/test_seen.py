"""What a page or a document shows of a picture is what an eye sees of the source, whatever its mode."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from limner.document import Article, Illustration, read_markdown
from limner.errors import ExportFailed
from limner.exports import write_article
from limner.exports.pictures import Pictures, embedded
from limner.exports.shown import LOOKS, looks
from limner.tools.images.colour import flatten, to_rgb

RAMP = np.tile(np.linspace(0.1, 0.9, 2400), (600, 1))


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


SOURCES = {
    "16 bits of grey": png(Image.fromarray((RAMP * 65535).astype(np.uint16))),
    "8 bits of grey": png(Image.fromarray((RAMP * 255).astype(np.uint8))),
    "grey with alpha": png(Image.fromarray((RAMP * 255).astype(np.uint8)).convert("LA")),
    "a palette": png(Image.fromarray((RAMP * 255).astype(np.uint8)).convert("P")),
    "colour": png(Image.fromarray((RAMP * 255).astype(np.uint8)).convert("RGB")),
}


def seen(data: bytes) -> np.ndarray:
    """The brightness of a picture in 24 columns, 0 to 1."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        grey = flatten(to_rgb(image)).convert("L").resize((24, 6))
    return np.asarray(grey, dtype=float).mean(axis=0) / 255


@pytest.mark.parametrize("portable", [True, False], ids=["documents", "pages"])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_scaled_picture_is_as_bright_as_its_source(source: bytes, portable: bool) -> None:
    made = embedded(source, "ramp", side=600, portable=portable)
    assert max(made.width, made.height) <= 600
    assert np.abs(seen(made.data) - np.linspace(0.1, 0.9, 24)).max() < 0.03


# --- the export's own check -------------------------------------------------------------------------------------------


def photograph(seed: int = 1) -> Image.Image:
    """A scene with coarse structure, as photographs have."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((900, 600), Image.Resampling.BICUBIC)


def saved(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(photograph(), "JPEG", exif=exif.tobytes())


def drawing(ink: str) -> bytes:
    picture = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((60, 40, 340, 260), outline=ink, width=12)
    return saved(picture)


RIGHT = {
    **SOURCES,
    "a photograph": saved(photograph(), "JPEG"),
    "a large one": saved(photograph().resize((3000, 2000)), "JPEG", quality=95),
    "turned by EXIF": turned(),
    "CMYK": saved(photograph().convert("CMYK"), "JPEG"),
    "black on nothing": drawing("black"),
    "white on nothing": drawing("white"),
    "one colour": saved(Image.new("RGB", (300, 200), (90, 120, 30))),
    "white": saved(Image.new("RGB", (300, 200), "white")),
    "one pixel": saved(Image.new("RGB", (1, 1), "navy")),
    "a strip": saved(photograph().resize((1800, 3))),
    "thin lines": saved(Image.fromarray(np.where(np.indices((300, 300)).sum(0) % 40 < 2, 0, 255).astype(np.uint8))),
    "GIF": saved(photograph().quantize(16), "GIF"),
    "WebP": saved(photograph(), "WEBP", quality=30),
}
FORMS = ["html", "docx", "epub", "pdf"]


def illustrated(data: bytes) -> tuple[Article, dict[str, tuple[bytes, str]]]:
    image_id = hashlib.sha256(data).hexdigest()[:32]
    article = read_markdown("# A\n\nBees gather nectar.\n\nThey dance.\n")
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    figure = Illustration(
        id="f-s1", after="b2", image_id=image_id, caption="A picture", alt="A picture", width=width, height=height
    )
    return article.illustrated([figure]), {image_id: (data, ".png")}


@pytest.mark.parametrize("source", RIGHT.values(), ids=RIGHT)
def test_a_right_picture_is_never_refused(source: bytes, tmp_path: Path) -> None:
    article, files = illustrated(source)
    written = write_article(article, tmp_path / "out", files.__getitem__, FORMS)
    assert set(written.files) == set(FORMS)


WRONG = {
    "white": lambda: Image.new("RGB", (900, 600), "white"),
    "black": lambda: Image.new("RGB", (900, 600)),
    "the mean": lambda: photograph().resize((1, 1), Image.Resampling.BOX).resize((900, 600)),
    "another": lambda: photograph(2),
    "upside down": lambda: photograph().rotate(180),
    "mirrored": lambda: ImageOps.mirror(photograph()),
    "negative": lambda: ImageOps.invert(photograph()),
    "half of it": lambda: photograph().crop((0, 0, 450, 600)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_picture_is_refused(
    wrong: Callable[[], Image.Image], form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export is given another picture than the article has: as if it had been spoilt on its way into the file."""
    source, other = saved(photograph()), saved(wrong())
    article, files = illustrated(source)
    (image_id,) = files
    spoilt = embedded(other, image_id, portable=form != "html")
    monkeypatch.setattr(Pictures, "embedded", lambda *_, **__: spoilt)
    with pytest.raises(ExportFailed, match="shows another picture than the source as image 1"):
        write_article(article, tmp_path / "out", files.__getitem__, [form])
    assert not (tmp_path / "out").exists()


def test_a_white_page_for_a_16_bit_scan_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row P1 of the list of inputs: a scan came out white, and every check passed."""
    source = SOURCES["16 bits of grey"]
    article, files = illustrated(source)
    white = embedded(saved(Image.new("L", (2400, 600), 255)), "white")
    monkeypatch.setattr(Pictures, "embedded", lambda *_, **__: white)
    with pytest.raises(ExportFailed, match="another picture than the source"):
        write_article(article, tmp_path / "out", files.__getitem__, ["html"])


def test_a_part_of_a_picture_is_compared_with_that_part(tmp_path: Path) -> None:
    article, files = illustrated(saved(photograph()))
    figure = article.illustrations[0].model_copy(update={"crop": (0.5, 0.5, 0.4, 0.3)})
    article = article.model_copy(update={"illustrations": (figure,)})
    assert write_article(article, tmp_path / "out", files.__getitem__, FORMS).files


def test_looks_from_a_client_that_are_none_are_left_out() -> None:
    """An article may come from a client of a LangGraph server."""
    good = "look:" + base64.b64encode(bytes(768)).decode()
    assert len(looks(["look:x", "look:!!!!", "look:AAAA", "an id", good])) == 1
    assert len(looks([good] * 1_000)) == LOOKS
