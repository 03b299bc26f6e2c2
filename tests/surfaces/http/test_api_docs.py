"""docs/api.md names the routes there are, and its commands do what it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from fastapi import FastAPI
from lives import finish, serving, take

from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_route_stands_on_the_page_and_no_other(home: Path) -> None:
    jobs = Jobs(Settings(home=home))
    try:
        schema = create_app(Settings(home=home), jobs).openapi()
    finally:
        jobs.close()
    there = {
        f"{method.upper()} {re.sub(r'{image_id}', '{image}', path)}"
        for path, methods in schema["paths"].items()
        for method in methods
    }
    named: set[str] = set()
    for line in PAGE.partition("\n## Routes\n")[2].partition("\n## ")[0].splitlines():
        if not line.startswith("| `"):
            continue
        method = before = ""
        for found in re.findall(r"`([^`]+)`", line.split(" | ")[0]):
            verb, _, path = found.rpartition(" ")
            method = verb or method
            path = path if path.startswith(("/v1", "/health", "/metrics")) else before.rpartition("/")[0] + path
            named.add(f"{method} {path}")
            before = path
    assert named == there


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_story_by_curl_is_true(app: FastAPI, jobs: Jobs, tmp_path: Path) -> None:
    (story,) = re.findall(r"## A job by curl\n\n(.*?)\n\n[^ ]", PAGE, re.DOTALL)
    submit, watch, show, page, archive, cancel = re.findall(r"^    (curl (?:.*\\\n)*.*)$", story, re.MULTILINE)
    with serving(app) as url:

        def run(command: str, job: str = "") -> str:
            command = command.replace("localhost:8642", url.removeprefix("http://")).replace("JOB", job)
            return subprocess.run(
                ["sh", "-c", command], check=True, capture_output=True, text=True, cwd=tmp_path, timeout=60
            ).stdout

        job = json.loads(run(submit))["id"]
        assert json.loads(run(submit))["id"] == job  # the same Idempotency-Key
        finish(jobs, take(jobs, job))
        assert '"kind":"done"' in run(watch, job)
        assert json.loads(run(show, job))["state"] == "done"
        run(page, job)
        assert "Bees gather nectar" in (tmp_path / "honey.html").read_text("utf-8")
        run(archive, job)
        assert zipfile.is_zipfile(tmp_path / "honey.zip")
        assert json.loads(run(cancel, job))["status"] == 409  # it is done
