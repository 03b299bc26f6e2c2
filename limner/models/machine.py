"""What this machine has for a language model: memory, cores, graphics cards, room on the disk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from limner.text import one_line

_SECONDS = 20  # for a program that lists graphics cards; a broken driver can hang
_NO_LIMIT = 1 << 60  # bytes; cgroups write their "no limit" as a number near 2**63
_VERSION_1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
_VERSION_2 = "memory.max", "memory.current", "inactive_file"


@dataclass(frozen=True)
class Gpu:
    """A graphics card."""

    name: str
    memory: int
    """Bytes; 0 where it is not known, as where card and processor share their memory."""


@dataclass(frozen=True)
class Machine:
    """What was found."""

    memory: int
    """Bytes of memory that this process may use, also with what others use now; 0 where it is not known."""
    available: int
    """Bytes of it that are free now, or freed at once."""
    cores: int
    """Physical cores that this process may use."""
    gpus: tuple[Gpu, ...]
    """Graphics cards that the system lists."""
    engine_gpus: tuple[Gpu, ...]
    """Those of them that the installed llama.cpp can use."""
    free: int
    """Bytes that are free on the disk of LIMNER_HOME."""


def look(home: Path) -> Machine:
    """Look at this machine; takes about a second."""
    total, available = memory()
    there = next(p for p in (home, *home.absolute().parents) if p.exists())
    return Machine(total, available, cores(), _nvidia(), _engine(), shutil.disk_usage(there).free)


def memory() -> tuple[int, int]:
    """Bytes of memory in all and free, within the limit of this process's cgroup; (0, 0) where they are not known."""
    file = Path("/proc/meminfo")
    if file.is_file():
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB", file.read_text(), re.MULTILINE))
        total, free = int(found.get("MemTotal", 0)) << 10, int(found.get("MemAvailable", 0)) << 10
        limit, left = _cgroup()
        return min(total, limit), max(0, min(free, left))
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0, 0
    return total, total // 2  # macOS says what is free in no cheap way


def _cgroup(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> tuple[int, int]:
    """Bytes that the cgroups of this process allow, of version 1 or 2, and those that are left of them.

    Each cgroup within which this one lies sets a limit, too. In a container its own is the root, and the path that the
    kernel gives may not be there.
    """
    try:
        rows = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return _NO_LIMIT, _NO_LIMIT
    found = [(_NO_LIMIT, _NO_LIMIT)]
    for kinds, path in [(row[1].split(","), row[2]) for row in rows if len(row) == 3]:
        if kinds != [""] and "memory" not in kinds:
            continue
        top, names = (root / "memory", _VERSION_1) if "memory" in kinds else (root, _VERSION_2)
        folder = top / path.lstrip("/")
        found += [_limits(level, *names) for level in (folder, *folder.parents) if level.is_relative_to(top)]
    return min(limit for limit, _ in found), min(left for _, left in found)


def _limits(folder: Path, limit_file: str, used_file: str, cached_name: str) -> tuple[int, int]:
    """Bytes that one cgroup allows, and those that are left; what it caches of files is freed at once."""
    try:
        limit = int((folder / limit_file).read_text())  # "max" is no number
        used = int((folder / used_file).read_text())
        cached = re.search(rf"^{cached_name} (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return _NO_LIMIT, _NO_LIMIT
    return limit, limit - used + (int(cached[1]) if cached else 0)


def cores() -> int:
    """Physical cores that this process may use: those it may run on, within the quota of its cgroup."""
    return min(_physical_cores(), _quota())


def _physical_cores() -> int:
    """Cores that this process may run on; hyper-threads of one core count once if the system tells them apart."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 2) // 2)
    found = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        found.add(siblings.read_text() if siblings.is_file() else cpu)
    return len(found)


def _quota() -> int:
    """Cores that the cgroup allows, 0.5 rounded up; a large number without a limit."""
    file = Path("/sys/fs/cgroup/cpu.max")
    limit, _, period = file.read_text().partition(" ") if file.is_file() else ("max", "", "")
    return 1024 if limit == "max" else max(1, round(int(limit) / int(period)))


def _nvidia() -> tuple[Gpu, ...]:
    """NVIDIA's cards, as its own tool lists them; Apple's by the platform."""
    if sys.platform == "darwin" and os.uname().machine == "arm64":
        return (Gpu("Apple GPU (Metal)", 0),)
    listed = _said(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"])
    rows = [line.rpartition(",") for line in listed.splitlines()]
    return tuple(Gpu(one_line(n)[:60], int(mib) << 20) for n, _, mib in rows if n and mib.strip().isdigit())


def _engine() -> tuple[Gpu, ...]:
    """The graphics cards that the installed llama.cpp can use. A process of its own loads it: drivers crash, too."""
    code = (
        "import sys, xllamacpp\n"
        "for d in xllamacpp.get_device_info():\n"
        "    if 'GPU' in str(d['type']): print(d['name'], d['description'], d['memory_total'], sep='\\t')"
    )
    # -P: `-c` would import from the current folder, which may be a stranger's.
    rows = [line.split("\t") for line in _said([sys.executable, "-P", "-c", code]).splitlines()]
    return tuple(Gpu(one_line(r[1])[:60], int(r[2])) for r in rows if len(r) == 3 and r[2].isdigit())


def _said(command: list[str]) -> str:
    """Standard output of a program; "" if it is missing, fails or hangs: then there is nothing to list."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""
