"""Options that several commands share, and their parsers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from limner.errors import BadInput
from limner.exports import FORMATS
from limner.settings import Settings
from limner.tools.plugins import find
from limner.workflows.inputs import Images, read_text

Library = Annotated[
    list[str] | None,
    typer.Option("--library", "-l", metavar="DIR|NAME", help="Image library; may be repeated. Default: the starter."),
]
ImageCount = Annotated[str, typer.Option("--images", "-n", metavar="N|auto", help="How many images.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for the article.")]
Seed = Annotated[int, typer.Option(help="Makes choices repeatable.")]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Model for all roles. [LIMNER_MODEL]")]
ModelUrl = Annotated[
    str | None,
    typer.Option("--model-url", metavar="URL", help="Server with the OpenAI Messages API. [LIMNER_MODEL_URL]"),
]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, help="Stop before a call that goes over this.")]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", min=0.0001, metavar="USD", help="Stop before a call that costs more.")
]
Plan = Annotated[bool, typer.Option("--plan", help="Print the plan and stop.")]
Resume = Annotated[str | None, typer.Option("--resume", metavar="JOB", help="Resume a stopped job.")]
Review = Annotated[
    list[str] | None,
    typer.Option("--review", metavar="POINT", help="Ask at outline, draft, spots, images or final; may be repeated."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="FILTER", help='Only images that pass, e.g. "licence=CC BY"; may be repeated.'),
]
Generate = Annotated[
    str, typer.Option("--generate", metavar="PLUGIN", help="Generate a labelled image where nothing fits.")
]
MaxGenerated = Annotated[int, typer.Option("--max-generated", min=0, max=100, help="Limit of generated images.")]
Check = Annotated[
    bool | None,
    typer.Option(
        "--check/--no-check",
        help="Have the model check pictures against captions. Default: those chosen by sight.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the article's folder.")]
To = Annotated[str, typer.Option("--to", metavar="md,html,…", help="Formats: md, html, json, docx, epub, pdf.")]
ALL_FORMATS = "md,html,json"
ImageSide = Annotated[
    int, typer.Option("--image-side", min=100, max=10_000, metavar="PX", help="Largest side of images within a page.")
]
KeepMetadata = Annotated[
    bool, typer.Option("--keep-metadata", help="Keep place, camera, faces and previews in exported images.")
]
SIDE = 1600  # px, equal to `exports.SIDE`, which is too slow to import for a help text


def job_options(
    library: list[str] | None,
    out: Path | None,
    model: str | None,
    url: str | None,
    to: str,
    max_tokens: int | None,
    max_cost: float | None,
    image_side: int,
    keep_metadata: bool,
    generate: str,
) -> dict[str, Any]:
    """The options that a resumed job needs, as JSON."""
    read_formats(to)
    # Store a folder's whole path, so that the job can be resumed from another directory.
    refs = [str(Path(ref).resolve()) if Path(ref).is_dir() else ref for ref in library or []]
    return {
        "libraries": refs,
        "out": str(out) if out else "",
        "model": model,
        "model_url": url,
        "formats": to,
        "max_tokens": max_tokens,
        "max_cost": max_cost,
        "image_side": image_side,
        "keep_metadata": keep_metadata,
        "generate": generate,
    }


def read_settings(options: dict[str, Any]) -> Settings:
    given = {k: options[k] for k in ("model", "model_url") if options.get(k)}
    return Settings(**given).allowing(options.get("generate") or "")


def read_formats(to: str) -> list[str]:
    formats = [f.strip().lower() for f in to.split(",") if f.strip()]
    if not formats:
        raise BadInput(f"--to {to!r}: no format is named. Choose from: {', '.join(FORMATS)}.")
    for name in formats:
        if name not in FORMATS:
            find("exporter", name, FORMATS)
    return formats


def review_points(given: list[str] | None) -> list[str]:
    return [point.strip() for points in given or [] for point in points.split(",") if point.strip()]


def image_count(text: str) -> Images:
    if text == "auto":
        return "auto"
    if not (text.isascii() and text.isdigit()):
        raise BadInput(f"--images {text[:20]!r} is not a number. Give one from 0 to 100, or auto.")
    return int(text[:6])


def brief_text(words: list[str] | None) -> str:
    text = " ".join(words or [])
    if text == "-":
        return sys.stdin.buffer.read(1_000_000).decode("utf-8", "replace")
    if 0 < len(text) < 250 and "\n" not in text and Path(text).is_file():
        return read_text(Path(text))
    return text


def empty_folder(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} exists and is not empty. Give another --out, or remove it.")
    return folder
