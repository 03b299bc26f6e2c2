"""Find model servers that run on this machine: ask the ports where they usually listen, once and for a short time."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
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
    for port, kind in asked.items():
        # Threads that nobody waits for at the end of the program: a server may drip its answer for ever.
        threading.Thread(target=lambda p=port, k=kind: answers.put((p, _ask(p, k, seconds))), daemon=True).start()
    found: dict[int, Server | None] = {}
    end = time.monotonic() + seconds
    while len(found) < len(asked):
        try:
            port, server = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        found[port] = server
    return [server for port in asked if (server := found.get(port))]


def _ask(port: int, kind: str, seconds: float) -> Server | None:
    """The server at a port, or None for silence and for anything that lists no models."""
    listed = _get(port, "/v1/models", seconds)
    rows = listed.get("data") if isinstance(listed, dict) else None
    names = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    models = [one_line(name)[:200] for name in names if isinstance(name, str) and name.strip()][:_MODELS]
    if not models:
        return None
    seeing = [name for name in models if _sees(port, name, listed, kind, seconds)]
    rest = [name for name in models if name not in seeing]
    return Server(kind, f"http://127.0.0.1:{port}/v1", (*seeing, *rest), tuple(seeing))


def _sees(port: int, name: str, listed: Any, kind: str, seconds: float) -> bool:
    """Whether a server says of a model that it sees: llama-server beside its list, Ollama when asked for the model."""
    rows = listed.get("models")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and row.get("name") == name:
            can = row.get("capabilities")
            if isinstance(can, list) and "multimodal" in can:
                return True
    if kind != "Ollama":
        return False
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
