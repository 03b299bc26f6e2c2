"""Weights come from a hub: once, checked, continued after a cut, and each fault in one line that says what to do."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.file_download
import pytest
from filelock import FileLock
from hub_server import COMMIT, LARGE, Hub, hub_of
from tiny_siglip import make_siglip

from limner.errors import NotInstalled
from limner.models import hub as hub_module
from limner.models.encoders.known import KnownEncoder, known
from limner.models.hub import fetch
from limner.models.known import WeightsFile, is_there
from limner.tools.encoders import picture_encoder

WEIGHTS = "onnx/text_model.onnx"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Hub, KnownEncoder]]:
    """A hub with one tiny model, and what limner knows of it."""
    folder = make_siglip(tmp_path / "repository")
    assert (folder / WEIGHTS).stat().st_size > LARGE
    paths = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    files = tuple(WeightsFile(path, *facts(folder / path)) for path in paths)
    with hub_of("maker/tiny", folder) as hub:
        yield hub, KnownEncoder("siglip2", "tiny", "maker/tiny", COMMIT, "Apache-2.0", "English", files)


def facts(path: Path) -> tuple[int, str]:
    """Size and digest of a large file; of a small one only the hub knows them, as of siglip2's."""
    data = path.read_bytes()
    return (len(data), hashlib.sha256(data).hexdigest()) if len(data) > LARGE else (0, "")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub waits a second before it tries a cut connection again."""
    monkeypatch.setattr(huggingface_hub.file_download, "time", SimpleNamespace(sleep=lambda _seconds: None))
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # its 10 MB are more than these files


def run(served: tuple[Hub, KnownEncoder], home: Path, **more: Any) -> tuple[Path, list[str]]:
    hub, model = served
    said: list[str] = []
    return fetch(model, home, hub_module.Hub(hub.url, more.pop("offline", False)), said.append, **more), said


def refused(served: tuple[Hub, KnownEncoder], home: Path, **more: Any) -> str:
    """The one line that a failed download says."""
    with pytest.raises(NotInstalled) as raised:
        run(served, home, **more)
    assert "\n" not in str(raised.value)
    assert not (home / "models" / "siglip2").exists()
    return str(raised.value)


def test_a_model_is_fetched_once_and_said_beforehand(
    served: tuple[Hub, KnownEncoder], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, model = served
    seen: list[tuple[int, int]] = []
    folder, said = run(served, home, progress=lambda done, of: seen.append((done, of)))
    assert folder == home / "models" / "siglip2"
    assert is_there(model, home)
    total = sum((folder / file.path).stat().st_size for file in model.files)
    assert seen[0] == (0, total)
    assert seen[-1] == (total, total)
    assert [line for line in said if f"{total / 1e6:.0f} MB from {hub.url}/maker/tiny, licence Apache-2.0, to" in line]
    assert len(said) == 1
    monkeypatch.setitem(known(), "siglip2", model)
    assert picture_encoder("siglip2", home, threads=1).encode_texts(["red"]).shape == (1, 48)
    before = len(hub.asked)
    assert run(served, home) == (folder, [])
    assert len(hub.asked) == before  # nothing is asked of the hub for a model that is there


def test_a_cut_file_is_continued_by_the_next_run(served: tuple[Hub, KnownEncoder], home: Path) -> None:
    hub, model = served
    hub.faults.cut[WEIGHTS] = 20_000
    hub.faults.lasting = True
    words = refused(served, home)
    assert "the connection was cut" in words
    assert "Run the command again; it goes on where it stopped." in words
    hub.faults.gone.clear()
    hub.asked.clear()
    folder, said = run(served, home)
    assert ("onnx/text_model.onnx", "bytes=20000-") in hub.got()
    done = {path for path, _ in hub.got()}
    assert not done & {f.path for f in model.files if f.path < WEIGHTS}  # sound files are not fetched again
    assert "of them are here)" in said[0]
    assert hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() in {f.sha256 for f in model.files}
    assert not list(folder.rglob("*.part"))


def test_a_download_that_goes_on_mixes_no_revisions(served: tuple[Hub, KnownEncoder], home: Path) -> None:
    """The finished files of a stopped download of an older revision: one of the same name, and one that is gone."""
    hub, model = served
    parts = home / "models" / ".siglip2.part"
    (parts / "onnx").mkdir(parents=True)
    for path in ("config.json", WEIGHTS, "onnx/gone.onnx", "onnx/gone.onnx.0123456789abcdef.part"):
        (parts / path).write_bytes(b"of an older revision")
    folder, _ = run(served, home)
    assert {("config.json", ""), (WEIGHTS, "")} <= set(hub.got())
    assert b"older" not in (folder / "config.json").read_bytes()
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == {file.path for file in model.files} | {".checked"}


def test_a_short_cut_is_bridged_within_the_run(served: tuple[Hub, KnownEncoder], home: Path) -> None:
    hub, _ = served
    hub.faults.cut[WEIGHTS] = 20_000
    run(served, home)
    assert [part for path, part in hub.got() if path == WEIGHTS] == ["", "bytes=20000-"]


@pytest.mark.parametrize("path", [WEIGHTS, "config.json"])
def test_a_wrong_checksum_leaves_nothing_that_is_continued(
    served: tuple[Hub, KnownEncoder], home: Path, path: str
) -> None:
    """Of a large file limner and the hub know the SHA-256, of a small one the hub declares git's SHA-1."""
    hub, _ = served
    hub.faults.damaged.add(path)
    words = refused(served, home)
    assert words.startswith(f"{path} of maker/tiny arrived damaged: its checksum is wrong.")
    hub.faults.damaged.clear()
    hub.asked.clear()
    run(served, home)
    assert (path, "") in hub.got()


def test_another_file_than_limner_knows_is_not_even_fetched(served: tuple[Hub, KnownEncoder], home: Path) -> None:
    hub, model = served
    other = tuple(replace(f, sha256="0" * 64) if f.path == WEIGHTS else f for f in model.files)
    words = refused((hub, replace(model, files=other)), home)
    assert f"has another {WEIGHTS} of maker/tiny than limner knows" in words
    assert not hub.got()


def test_a_page_in_place_of_a_file_is_damage(served: tuple[Hub, KnownEncoder], home: Path) -> None:
    hub, _ = served
    hub.faults.pages.add(WEIGHTS)
    assert "arrived damaged" in refused(served, home)
    hub.faults.pages.clear()
    run(served, home)


def test_a_network_that_answers_with_a_login_page_is_named(served: tuple[Hub, KnownEncoder], home: Path) -> None:
    served[0].faults.login = True
    words = refused(served, home)
    assert "does not answer like a model hub (a login page, or a proxy?)" in words
    assert "Check HF_ENDPOINT" in words


@pytest.mark.parametrize("etag", ["x/../../../../a", "/" * 40, "g" * 64, "0" * 41])
def test_a_hub_s_tag_that_is_no_digest_names_no_file(served: tuple[Hub, KnownEncoder], home: Path, etag: str) -> None:
    served[0].faults.etag = etag
    assert "does not answer like a model hub" in refused(served, home)
    assert served[0].got() == []
    served[0].faults.etag = ""
    run(served, home)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (429, "asks to wait (429, too many requests). Run the command again; it goes on where it stopped."),
        (401, "refuses siglip2 (401). Check HF_ENDPOINT and HF_TOKEN."),
        (404, "refuses siglip2 (404). Check HF_ENDPOINT and HF_TOKEN."),
        (500, "answers 500. Run the command again"),
    ],
)
def test_what_a_hub_refuses_is_told(served: tuple[Hub, KnownEncoder], home: Path, status: int, reason: str) -> None:
    served[0].faults.status = status
    assert reason in refused(served, home)
    served[0].faults.status = 0
    run(served, home)


def test_without_network_the_line_says_what_to_copy_where(served: tuple[Hub, KnownEncoder], home: Path) -> None:
    hub, model = served
    nobody = Hub("http://127.0.0.1:9")
    words = refused((nobody, model), home)
    assert "cannot be reached" in words
    for file in model.files:
        assert file.path in words
    assert f"huggingface.co/maker/tiny/tree/{COMMIT[:12]} to {home / 'models' / 'siglip2'}." in words
    offline = refused(served, home, offline=True)
    assert "HF_HUB_OFFLINE is set. From a machine with a network copy" in offline
    assert not hub.asked


def test_a_model_copied_by_hand_is_checked_and_used(
    served: tuple[Hub, KnownEncoder], home: Path, tmp_path: Path
) -> None:
    hub, _ = served
    folder = home / "models" / "siglip2"
    shutil.copytree(tmp_path / "repository", folder)
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:-1] + b"x")
    with pytest.raises(NotInstalled, match=r"text_model.onnx is not the file of maker/tiny .*: copy it again"):
        run(served, home, offline=True)
    (folder / WEIGHTS).write_bytes(data)
    assert run(served, home, offline=True) == (folder, [])
    assert not hub.asked


def test_a_full_disk_is_noticed_before_and_during(
    served: tuple[Hub, KnownEncoder], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda _path: usage(10**9, 10**9 - 10**6, 10**6))
    words = refused(served, home)
    assert "No room for siglip2" in words
    assert "1 MB are free). Free some, or set LIMNER_HOME." in words
    assert not served[0].got()
    monkeypatch.undo()
    monkeypatch.setenv("LIMNER_HOME", str(home))
    _fill(monkeypatch, 20_000)
    words = refused(served, home)
    assert "No room for siglip2" in words
    assert "Free some, or set LIMNER_HOME." in words
    monkeypatch.undo()
    run(served, home)


def _fill(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Let the disk be full once `room` bytes of a file are written."""
    write = huggingface_hub.file_download.http_get

    def get(url: str, target: Any, **more: Any) -> None:
        class Full:
            def __getattr__(self, name: str) -> Any:
                return getattr(target, name)

            def write(self, data: bytes) -> None:
                if target.tell() + len(data) > room:
                    target.write(data[: room - target.tell()])
                    raise OSError(errno.ENOSPC, "No space left on device")
                target.write(data)

        write(url, Full(), **more)

    monkeypatch.setattr(huggingface_hub.file_download, "http_get", get)


def test_two_programs_do_not_download_at_once(served: tuple[Hub, KnownEncoder], home: Path) -> None:
    (home / "models").mkdir(parents=True)
    with FileLock(home / "models" / ".siglip2.lock"):
        assert "Another program is downloading siglip2" in refused(served, home)


def test_the_known_models_are_complete() -> None:
    assert set(known()) == {"siglip2", "siglip2-small", "clip", "multilingual-e5-small"}
    for model in known().values():
        paths = {file.path for file in model.files}
        assert {"config.json", "tokenizer.json"} <= paths
        assert model.kind == "captions" or {"preprocessor_config.json", "tokenizer_config.json"} <= paths
        large = [file for file in model.files if file.path.endswith(".onnx") or file.path == "tokenizer.json"]
        assert len(large) == (2 if model.kind == "captions" else 3)
        assert all(file.size > 10**6 and len(file.sha256) == 64 for file in large)
        assert len(model.revision) == 40
    assert known()["siglip2"].megabytes == 785


def test_importing_limner_does_not_load_the_hub_s_client() -> None:
    import subprocess
    import sys

    code = "import sys, limner, limner.tools.encoders, limner.surfaces.cli.app; print('huggingface_hub' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
