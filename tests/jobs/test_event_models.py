"""Every event that the code writes is one that is described."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

import limner
from limner.jobs.events import JOB_EVENT, JobEvent

KINDS = {kind for model in get_args(get_args(JobEvent)[0]) for kind in get_args(model.model_fields["kind"].annotation)}


def test_every_kind_that_is_written_is_described() -> None:
    source = "\n".join(
        file.read_text(encoding="utf-8") for file in (Path(limner.__file__).parent / "jobs").rglob("*.py")
    )
    written = set(re.findall(r'\bNews\(\s*"(\w+)"', source))
    assert written | {"note"} == KINDS  # a note's kind comes from the graph


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "exploded", "data": {}},
        {"kind": "text", "data": {}},
        {"kind": "step", "data": {"done": 1, "of": 2, "more": 3}},
        {"kind": "edited", "data": {"version": 2, "title": "t", "who": "ann", "by": "nobody", "what": "x"}},
    ],
)
def test_anything_else_is_no_event(event: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JOB_EVENT.validate_python({"seq": 1, "at": 1.0, "attempt": 1, "step": "", **event})
