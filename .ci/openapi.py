"""Write limner's OpenAPI document to a file: the studio's types are drawn from it, so that both sides agree.

uv run python .ci/openapi.py FILE
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app


def main(target: Path) -> None:
    """Write the document."""
    with tempfile.TemporaryDirectory(prefix="limner-openapi-") as home:
        jobs = Jobs(Settings(home=Path(home)))
        try:
            document = create_app(jobs.settings, jobs).openapi()
        finally:
            jobs.close()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
