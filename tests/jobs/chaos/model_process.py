"""The scripted model server in a process of its own, with faults at random: python model_process.py BOOK SEED

Prints its URL. Each line on stdin is a JSON object: "delay", the seconds of a good answer, and "faults", the share of
requests that get each fault, 0 to 1. What comes of the same request for the n-th time follows from the seed alone.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Self

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "helpers")]

from scripted import Answer, Dropped, Stalled, Status  # noqa: E402
from served import Book, LeanServer, Served  # noqa: E402

GARBAGE = "I would rather not say."
"""No JSON. It is given to spotter and selector alone, and not to their second question: what cannot be read twice
changes the article, as it should."""


def main() -> None:
    """Serve until stdin ends."""
    book = Book(Path(sys.argv[1]))
    faults = Faults(sys.argv[2])
    book.inject = faults
    with LeanServer(book.script) as server:
        print(server.url, flush=True)
        for line in sys.stdin:
            said = json.loads(line)
            book.delay, faults.shares = said.get("delay", book.delay), said.get("faults", faults.shares)


class Faults:
    """What is injected."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.shares: dict[str, float] = {}
        self._met: Counter[str] = Counter()

    def __call__(self, asked: Served) -> tuple[str, Answer] | None:
        self._met[asked.key] += 1
        drawn = random.Random(f"{self.seed} {asked.key} {self._met[asked.key]}").random()
        for kind, share in self.shares.items():
            drawn -= share
            if drawn < 0:
                return self._answer(kind, asked)
        return None

    def _answer(self, kind: str, asked: Served) -> tuple[str, Answer] | None:
        if kind == "garbage":
            plain = asked.role in ("spotter", "selector") and not asked.again
            return (kind, GARBAGE) if plain else None
        body = {"error": {"message": "out of order", "code": 500}}
        return kind, {
            "429": Status(429, {"error": {"message": "slow down", "code": 429}}, {"Retry-After": "1"}),
            "500": Status(500, body),
            "never": Stalled(""),
            "broken": Dropped("# It began"),
        }[kind]


class ModelProcess:
    """Starts and steers it."""

    def __init__(self, book: Path, seed: int) -> None:
        self.book = book
        book.touch()
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(book), str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the model server did not start"

    def say(self, **what: Any) -> None:
        """Set "delay" and "faults"."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            assert self._process.stdin
            self._process.stdin.close()


if __name__ == "__main__":
    main()
