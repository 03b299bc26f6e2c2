"""The scripted model server of the chaos tests: which job each request is for, what was answered, what was broken.

A job's brief holds a mark, "hive0017", and so does the title of the article that the model writes for it; every prompt
of the job therefore names it. What the server did is written down as `Served`, one for each request, in memory or as
lines of JSON in a file: the checker reads them, and knows nothing of limner's own books.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scripted import (
    ARTICLE,
    CHARS_PER_TOKEN,
    Answer,
    Asked,
    Delayed,
    Fault,
    Script,
    ScriptedServer,
    article_answers,
    asking,
    parts_of,
    text_of,
)

MARK = re.compile(r"hive\d{4}")


@dataclass(frozen=True)
class Served:
    """One request to the model server, and what it was given."""

    mark: str
    """Of the job, "" for the probe that tries whether the model sees."""
    role: str
    key: str
    """Hash of the request's body: the same key is the same call."""
    fault: str
    """What was injected instead of a good answer: "429", "500", "garbage", "never", "broken"; "" for a good one."""
    prompt: int
    completion: int
    """Tokens the server counted; 0 for both where it gave no words."""
    at: float
    """Seconds since 1970."""
    again: bool = False
    """Whether an earlier answer is sent back in it, with what was wrong with it."""


Injecting = Callable[[Served], tuple[str, Answer] | None]
"""(request, with no fault yet) -> (name of the fault, what to answer), or None for a good answer."""


def brief(mark: str) -> str:
    """What a job is asked for."""
    return f"How bees make honey, seen at {mark}"


def article(mark: str) -> str:
    """The Markdown the model writes for it; it differs from job to job in its title alone."""
    return ARTICLE.replace("# How Bees Make Honey", f"# How Bees Make Honey at {mark}", 1)


def answers(body: dict[str, Any]) -> str:
    """A good answer to any prompt of limner's."""
    found = MARK.search(text_of(body))
    answer = article_answers(article=article(found.group() if found else "hive0000"), sees=True)(body)
    assert isinstance(answer, str)
    return answer


class Book:
    """Writes down what a server is asked. `script` is what a ScriptedServer answers by."""

    def __init__(self, file: Path | None = None, answer: Callable[[dict[str, Any]], str] = answers) -> None:
        self.entries: list[Served] = []
        self.delay = 0.0
        """Seconds that a good answer takes."""
        self.inject: Injecting = lambda _served: None
        self._file, self._answer, self._lock = file, answer, threading.Lock()

    def script(self, body: dict[str, Any]) -> Answer:
        """The answer to a request."""
        found = MARK.search(text_of(body))
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        again = any(message["role"] == "assistant" for message in body["messages"])
        asked = Served(found.group() if found else "", asking(body), key, "", 0, 0, time.time(), again)
        fault, answer = self.inject(asked) or ("", self._answer(body))
        words = answer.text if isinstance(answer, Delayed) else answer
        cost = (0, 0) if isinstance(words, Fault) else count(body, words)
        self._note(replace(asked, fault=fault, prompt=cost[0], completion=cost[1]))
        return Delayed(answer, self.delay, pieces=8) if isinstance(answer, str) and self.delay else answer

    def of(self, mark: str) -> list[Served]:
        """What was asked for one job."""
        with self._lock:
            return [entry for entry in self.entries if entry.mark == mark]

    def _note(self, served: Served) -> None:
        with self._lock:
            if self._file is None:
                self.entries.append(served)
                return
            with self._file.open("a") as out:
                out.write(json.dumps(asdict(served)) + "\n")


def count(body: dict[str, Any], words: str) -> tuple[int, int]:
    """Tokens of a request and its answer, as ScriptedServer counts them."""
    prompt = sum(len(part.get("text") or part["image_url"]["url"]) for part in parts_of(body))
    return prompt // CHARS_PER_TOKEN, -(-len(words) // CHARS_PER_TOKEN)


def read_book(lines: Iterable[str]) -> list[Served]:
    """The entries of a file; a last line that is not whole is left out."""
    return [Served(**json.loads(line)) for line in lines if line.endswith("\n")]


class LeanServer(ScriptedServer):
    """A server for thousands of calls: it keeps no bodies and reports no cached tokens."""

    def __init__(self, answer: Script, **options: Any) -> None:
        super().__init__(answer, **options)

    def receive(self, body: dict[str, Any], headers: dict[str, str]) -> Asked:
        return Asked(body, time.monotonic(), headers)

    def usage_of(self, asked: Asked, text: str) -> dict[str, Any]:
        prompt, completion = count(asked.body, text)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
