"""limner library reencode: what it says before, while and after, and how it goes on."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from PIL import Image
from shell import Shell
from tiny_siglip import COLOURS, break_siglip, make_siglip

from limner.jobs.backup import backup, restore
from limner.models.encoders.onnx import OnnxPictures
from limner.settings import Settings
from limner.tools.encoders import default_encoders
from limner.tools.library import Folders, Library


@pytest.fixture
def photos(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a library "photos", which is read in batches of two."""
    monkeypatch.setattr(Folders, "batch", 2)
    folder = tmp_path / "photos"
    folder.mkdir()
    for n, colour in enumerate(COLOURS.values()):
        Image.new("RGB", (64, 48), colour).save(folder / f"DSC_{n:04}.png")
    assert shell("library", "add", "photos", str(folder)).code == 0
    return folder


@pytest.fixture
def siglip(tmp_path: Path) -> str:
    return str(make_siglip(tmp_path / "siglip"))


def stop(shell: Shell, siglip: str, after: int) -> None:
    """Ctrl-C after so many pictures."""
    encode, seen = OnnxPictures.encode_images, [0]

    def stopped(self: OnnxPictures, shown: list[Image.Image]) -> object:
        if seen[0] > after:  # and the one that the encoder is tried with
            raise KeyboardInterrupt
        seen[0] += len(shown)
        return encode(self, shown)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnnxPictures, "encode_images", stopped)
        said = shell("library", "reencode", "photos", "--encoder", siglip)
    assert said.code == 130
    lines = said.err.splitlines()
    assert lines[-1] == "limner: Stopped. photos is searched as before. To go on: limner library reencode photos"


def test_it_says_what_it_takes_and_what_it_did(shell: Shell, photos: Path, siglip: str) -> None:
    said = shell("library", "reencode", "photos", "--encoder", siglip)
    assert said.code == 0, said.err
    assert said.out.splitlines() == [f"photos: 8 images are searched by {siglip} now (8 encoded)."]
    assert f"photos: 8 images to encode by {siglip}. It takes about 0.0 MB of disk beside the present" in said.err
    again = shell("library", "reencode", "photos", "--encoder", siglip)
    assert again.out.splitlines() == [f"photos has {siglip} already: nothing to do."]
    assert "encode by" not in again.err
    assert "DSC_0002" in shell("library", "search", "photos", "blue").out.splitlines()[0].replace(" 0", "_0")


def test_a_stopped_run_is_shown_and_goes_on_without_a_name(
    shell: Shell, photos: Path, siglip: str, tmp_path: Path
) -> None:
    stop(shell, siglip, after=4)
    shown = shell("library", "show", "photos").out.splitlines()
    again = "limner library reencode photos"
    half = f"reencode half made: 4 of 8 images are encoded by {siglip}, not searched yet; to go on: {again}"
    assert f"{half} (to drop them: {again} --abandon)" in shown
    assert shell("library", "list").out.split() == ["photos", "8", "images", "(reencode", "half", "made)"]
    said = shell("library", "reencode", "photos")
    assert said.code == 0, said.err
    assert f"photos: 8 images to encode by {siglip}, 4 of them by an earlier run. It takes about" in said.err
    assert said.out.splitlines() == [f"photos: 8 images are searched by {siglip} now (4 encoded, 4 by an earlier run)."]
    assert "half made" not in shell("library", "show", "photos").out + shell("library", "list").out
    none = shell("library", "reencode", "photos")
    assert none.code == 2
    assert none.err.splitlines() == [
        "limner: Name the new encoder: limner library reencode photos --encoder multilingual-e5-small."
    ]


def test_what_is_half_made_can_be_dropped(shell: Shell, photos: Path, siglip: str, home: Path) -> None:
    stop(shell, siglip, after=2)
    folders = lambda: sorted(path.name for path in (home / "libraries/photos").glob("vectors*"))  # noqa: E731
    assert len(folders()) == 6
    said = shell("library", "reencode", "photos", "--abandon")
    assert said.out.splitlines() == [f"photos: the half-made vectors of {siglip} are deleted."]
    assert folders() == ["vectors", "vectors.lock", "vectors.rows"]
    assert shell("library", "reencode", "photos", "--abandon").out.splitlines() == ["photos: nothing to abandon."]


def test_what_cannot_be_reencoded_is_one_line(shell: Shell, photos: Path, siglip: str, tmp_path: Path) -> None:
    broken = break_siglip(make_siglip(tmp_path / "broken"), "towers")
    for name, encoder, says in (
        ("photos", str(broken), "9 numbers for a picture and 48 for a text"),
        ("others", siglip, "No library others (libraries: photos)"),
        ("../photos", siglip, "cannot name a library"),
        ("photos", "no-such-model", "no-such-model"),
    ):
        said = shell("library", "reencode", name, "--encoder", encoder)
        assert said.code == 2
        assert says in said.err.splitlines()[-1]
        assert "Traceback" not in said.err
    assert "half made" not in shell("library", "show", "photos").out
    (photos / "DSC_0003.png").unlink()
    said = shell("library", "reencode", "photos", "--encoder", siglip)
    assert said.code == 2
    assert "1 picture is not where photos read it" in said.err.splitlines()[-1]
    said = shell("library", "add", "photos", "--encoder", siglip)
    assert said.code == 0, "its sources are read first"
    assert "1 vanished" in said.out
    assert "photos: 7 images" in said.out


def test_a_disk_without_room_is_seen_before(
    shell: Shell, photos: Path, siglip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.tools.library.reencoding._PER_IMAGE", 1 << 60)
    said = shell("library", "reencode", "photos", "--encoder", siglip)
    assert said.code == 2
    assert said.err.splitlines()[-1].startswith("limner: The new vectors of photos need about ")
    assert "make room, then run this again" in said.err


def test_a_backup_has_what_is_searched(shell: Shell, photos: Path, siglip: str, home: Path, tmp_path: Path) -> None:
    """Vectors that are made while it is written would not be whole."""
    assert shell("library", "reencode", "photos", "--encoder", siglip).code == 0
    other = str(make_siglip(tmp_path / "other", seed=1))
    stop(shell, other, after=4)
    backup(Settings(), tmp_path / "all.tar.gz")
    with tarfile.open(tmp_path / "all.tar.gz") as archive:
        kept = {name.split("/")[3] for name in archive.getnames() if name.startswith("home/libraries/photos/vectors")}
    now = f"vectors-{Library.open(home, 'photos', default_encoders(threads=1)).meta('vectors')}"
    assert kept == {now, f"{now}.rows"}
    restored = Settings(home=tmp_path / "elsewhere")
    restore(restored, tmp_path / "all.tar.gz")
    library = Library.open(restored.home, "photos", default_encoders(threads=1))
    assert len(library.search(["blue"], 8)[0]) == 8
