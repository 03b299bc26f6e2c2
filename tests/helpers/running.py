"""A running `limner up`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from scripted import ScriptedServer
from servers import until


class Up:
    """`limner up` in a process of its own, with two workers and a scripted model.

    settings: by the name of their variable without LIMNER_, e.g. LEASE="60".
    """

    def __init__(self, home: Path, server: ScriptedServer, log: Path, port: int = 0, **settings: str) -> None:
        self.log, self.home = log, home
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LIMNER_", "REDIS_", "DATABASE_"))}
        given = {"HOME": str(home), "MODEL_URL": server.url, "MODEL": "scripted-7b", "WORKERS": "2", "SWEEP": "0.5"}
        given |= {"LEASE": "60", "LOG": "text", **settings}
        self.env = kept | {f"LIMNER_{name}": value for name, value in given.items()}
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "limner.surfaces.cli.app", "up", "--port", str(port)],
                env=self.env,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        until(lambda: self.process.poll() is not None or "is up at" in self.said, "limner to be up")
        assert self.process.poll() is None, self.said
        self.url = re.findall(r"is up at (http://127\.0\.0\.1:\d+)", self.said)[0]

    @property
    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")

    def ask(self, path: str, body: Any = None) -> Any:
        """JSON of an answer; a body is posted."""
        request = urllib.request.Request(self.url + path, headers={"Content-Type": "application/json"})
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            return json.loads(answer.read())
