"""Archives when processes are killed or two work at once, and memory with many bad files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from packed import picture, samples, tarred, zipped

from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, libraries

ENCODERS = Encoders(MiniLM(threads=1), Words())
ADDING = """
import json, os, signal, sys
from pathlib import Path
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Folders, Library, index
from limner.tools.library.unpacking import child

home, archive, log, moment, count = sys.argv[1:]
Folders.batch, child._EVERY, put, left = 4, 1, Library.put, [int(count)]

def die(here):
    if here == moment:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

def watched(self, records, pictures):
    with open(log, "a") as file:
        file.writelines(record.id + chr(10) for record in records)
    die("before")
    put(self, records, pictures)
    die("after")

Library.put = watched
encoders = Encoders(MiniLM(threads=1), Words())
_, report = index(Path(home), "birds", [archive], encoders, lambda done, of: die("progress"))
status = Path("/proc/self/status").read_text()  # ru_maxrss would be that of the parent before exec
peak = int(status.partition("VmHWM:")[2].split()[0])
print(json.dumps({"added": report.added, "unreadable": len(report.unreadable), "peak": peak}))
"""


def adding(home: Path, archive: Path, log: Path, moment: str = "", count: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ADDING, str(home), str(archive), str(log), moment, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> dict[str, int]:
    out, _ = process.communicate()
    return json.loads(out) if process.returncode == 0 else {"killed": -process.returncode}


@pytest.mark.real
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_kill_at_any_point_and_only_the_rest_is_encoded(home: Path, tmp_path: Path, kind: str) -> None:
    """progress: while the archive is unpacked, and then between batches; before, after: around the encoding of one."""
    members, log = samples(64), tmp_path / "log"
    archive = (zipped if kind == "zip" else tarred)(tmp_path / f"a.{kind}", members)
    kills = [("progress", 1), ("progress", 4), ("before", 2), ("after", 1), ("before", 3), ("progress", 3)]
    for moment, count in kills:
        assert ended(adding(home, archive, log, moment, count)) == {"killed": signal.SIGKILL}
    last = ended(adding(home, archive, log))
    times = Counter(log.read_text().split())
    assert len(times) == 64
    twice = sum(times.values()) - 64
    assert twice <= 4 * len(kills)  # at most the batch in which it was killed
    library = Library.open(home, "birds", ENCODERS)
    assert len(library) == 64 > last["added"]
    assert {library.image(r.id) for r in library.records()} == {d for n, d in members.items() if n.endswith(".jpg")}
    assert not list(library.path.rglob(".part*"))


@pytest.mark.real
def test_two_processes_add_one_archive_at_once(home: Path, tmp_path: Path) -> None:
    archive, log = zipped(tmp_path / "a.zip", samples(24)), tmp_path / "log"
    processes = [adding(home, archive, log) for _ in range(2)]
    assert sorted(ended(process)["added"] for process in processes) == [0, 24]
    assert libraries(home) == ["birds"]
    assert max(Counter(log.read_text().split()).values()) == 1


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory as Linux shows it")
def test_ten_thousand_corrupt_files_take_no_memory(home: Path, tmp_path: Path) -> None:
    """The peak grows by less than 60 MB: 10,000 files of 30 kB would be 300 MB."""
    peaks = []
    for count in (100, 10_000):
        members = {f"good{n}.jpg": picture(n) for n in range(20)}
        members |= {f"bad/{n:05}.jpg": picture(n)[:200] + n.to_bytes(4) + bytes(30_000) for n in range(count)}
        archive = zipped(tmp_path / f"{count}.zip", members)
        done = ended(adding(home / str(count), archive, tmp_path / "log"))
        assert (done["added"], done["unreadable"]) == (20, count)
        peaks.append(done["peak"])
    assert peaks[1] - peaks[0] < 60_000  # kB
