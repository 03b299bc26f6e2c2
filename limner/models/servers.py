"""Find model servers that run on this machine: ask the ports where they usually listen, once and for a short time."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from limner.text import one_line

PORTS = {11434: "Ollama", 8080: "llama-server", 1234: "LM Studio", 8000: "vLLM"}
"""Where they listen unless told otherwise, by their own documentation."""
SECONDS = 2.0  # for all answers together
_MOST = 1_000_000  # bytes of an answer; a list of models has some thousands
_MODELS = 50


@dataclass(frozen=True)
class Server:
    """A server that answered with a list of models."""

    kind: str
    """The program that usually listens there."""
    url: str
    """Base of its OpenAI Messages API."""
    models: tuple[str, ...]
    """Those that say that they see, first; then the others."""
    seeing: tuple[str, ...]
    """Those that say that they see. A server that says nothing may still see: `limner doctor` tests it."""


def look(ports: dict[int, str] | None = None, seconds: float = SECONDS) -> list[Server]:
    """The servers that answer in time, in the order of the ports. Asks only the loopback, and sends no key."""
    asked = PORTS if ports is None else ports
    answers: queue.Queue[tuple[int, Server | None]] = queue.Queue()

    def ask(port: int, kind: str) -> None:
        for server in _asked(port, kind, seconds):
            answers.put((port, server))
        answers.put((port, None))  # that was all

    for port, kind in asked.items():
        # Threads that nobody waits for at the end of the program: a server may drip its answer for ever.
        threading.Thread(target=ask, args=(port, kind), daemon=True).start()
    found: dict[int, Server] = {}
    asking, end = set(asked), time.monotonic() + seconds
    while asking:
        try:
            port, server = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if server:
            found[port] = server
        else:
            asking.discard(port)
    return [found[port] for port in asked if port in found]


def _asked(port: int, kind: str, seconds: float) -> Iterator[Server]:
    """The server at a port, again each time that more is known of it; nothing for anything that lists no models."""
    listed = _get(port, "/v1/models", seconds)
    rows = listed.get("data") if isinstance(listed, dict) else None
    names = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    models = [one_line(name)[:200] for name in names if isinstance(name, str) and name.strip()][:_MODELS]
    if not models:
        return
    seeing = [name for name in models if _listed_seeing(name, listed)]
    yield _server(port, kind, models, seeing)
    for name in models if kind == "Ollama" else ():
        if name not in seeing and _shown_seeing(port, name, seconds):
            seeing.append(name)
            yield _server(port, kind, models, seeing)


def _server(port: int, kind: str, models: list[str], seeing: list[str]) -> Server:
    rest = [name for name in models if name not in seeing]
    return Server(kind, f"http://127.0.0.1:{port}/v1", (*seeing, *rest), tuple(seeing))


def _listed_seeing(name: str, listed: Any) -> bool:
    """Whether a server says beside its list that a model sees, as llama-server does."""
    rows = listed.get("models")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and row.get("name") == name:
            can = row.get("capabilities")
            if isinstance(can, list) and "multimodal" in can:
                return True
    return False


def _shown_seeing(port: int, name: str, seconds: float) -> bool:
    """Whether Ollama says that a model sees, when asked for that model."""
    shown = _get(port, "/api/show", seconds, {"model": name})
    can = shown.get("capabilities") if isinstance(shown, dict) else None
    return isinstance(can, list) and "vision" in can


def _get(port: int, path: str, seconds: float, body: dict[str, str] | None = None) -> Any:
    """The JSON at a path of a server on the loopback; None for anything else. No proxy is asked, no redirect taken."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        sent = json.dumps(body) if body else None
        connection.request("POST" if sent else "GET", path, sent, {"User-Agent": "limner"})
        answer = connection.getresponse()
        return json.loads(answer.read(_MOST)) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    finally:
        connection.close()
