"""Keep a judge's answers in LIMNER_HOME, so that a run which ends in any way goes on without asking twice.

They do not lie beside the article: a folder from elsewhere could bring forged ones.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from limner.agents.meter import Usage

FOLDER = "judged"


class Answers:
    """A `speaker.Memory` in a file: a JSON object a line, appended and flushed before the next question."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        self._known: dict[str, str] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        self._torn = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # the last line of a killed run
                continue
            if isinstance(row, dict) and isinstance(row.get("digest"), str) and isinstance(row.get("answer"), str):
                self._known[row["digest"]] = row["answer"]

    def recall(self, digest: str) -> str | None:
        """The answer to an identical earlier question."""
        with self._lock:
            return self._known.get(digest)

    def keep(self, role: str, digest: str, answer: str | None, usage: Usage) -> None:
        """Store a whole answer; one that broke off is asked for again."""
        if answer is None:
            return
        row = {"digest": digest, "role": role, "answer": answer, "tokens": usage.total}
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" * self._torn + json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
            self._torn = False
            self._known[digest] = answer

    def check(self) -> None:
        """Nothing ends a judge's work in the middle of an answer."""
