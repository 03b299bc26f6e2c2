"""Write the chosen model where `Settings` reads it: a file in LIMNER_HOME. Variables take precedence over it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from limner.errors import BadInput
from limner.settings import CHOICE, choice_file, private_file, private_folder
from limner.text import printable_path


def write(home: Path, **chosen: str) -> Path:
    """Choose a model: model, model_url, mmproj as in `Settings`, those that are not empty. Returns the file.

    Raises BadInput for a path that is not UTF-8, which TOML cannot hold.
    """
    file = choice_file(private_folder(home))
    lines = ["# Chosen by `limner setup` or `limner model use`. LIMNER_MODEL and LIMNER_MODEL_URL take precedence."]
    lines += [f"{key} = {_text(chosen[key])}" for key in CHOICE if chosen.get(key)]
    try:
        text = "\n".join(lines).encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"The name {printable_path(error.object)[:400]} is not UTF-8: rename the file.") from error
    new = private_file(file.with_suffix(".new"))
    new.write_bytes(text + b"\n")
    os.replace(new, file)
    return file


def forget(home: Path) -> None:
    """Choose none: the default again."""
    choice_file(home).unlink(missing_ok=True)


def _text(value: str) -> str:
    """A text in TOML: JSON's form, and DEL, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
