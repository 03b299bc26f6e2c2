"""The table of language models, the one that is proposed, and those of any repository of the hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub, hub_of

from limner.errors import BadInput, NotInstalled
from limner.models import hub as hubs
from limner.models import language, machine
from limner.models.language import folder_name, is_local, of_hub, propose
from limner.models.machine import Gpu, Machine
from limner.tools.images import sandbox

GB = 10**9
LARGE = b"x" * 20_000


def test_the_table_is_complete() -> None:
    for model in language.known().values():
        names = [f.path for f in model.files]
        assert len(names) == 2
        assert sum("mmproj" in name for name in names) == 1
        assert all(f.size > 10**8 and len(f.sha256) == 64 for f in model.files)
        assert len({f.sha256 for m in language.known().values() for f in m.files}) == 12
        assert len(model.revision) == 40
        assert model.licence == "Apache-2.0"
        assert model.languages
        assert model.memory * GB > model.bytes + 10**9
        assert model.sees


def has(memory: float, cores: int = 8, *cards: int) -> Machine:
    gpus = tuple(Gpu("a card", card * GB) for card in cards)
    return Machine(int(memory * GB), int(memory * GB), cores, gpus, gpus, 100 * GB)


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (has(4.1, 2), "qwen3-vl-2b"),
        (has(8.2, 4), "qwen3-vl-4b"),
        (has(64, 2), "qwen3-vl-2b"),
        (has(64, 32), "qwen3-vl-4b"),
        (has(64, 8, 8), "qwen3-vl-8b"),
        (has(64, 8, 6), "qwen3-vl-4b"),
        (has(64, 8, 2), "qwen3-vl-2b"),
        (has(16, 8, 0), "qwen3-vl-8b"),  # memory shared with the card
        (has(8, 8, 0), "qwen3-vl-4b"),
        (has(0, 8), "qwen3-vl-4b"),  # a system that does not say
    ],
)
def test_one_model_is_proposed_for_a_machine(found: Machine, name: str) -> None:
    assert propose(found).name == name


def test_a_machine_with_room_for_none_is_told_of_servers() -> None:
    with pytest.raises(NotInstalled, match=r"No model that sees fits 2.0 GB of memory. Set LIMNER_MODEL_URL"):
        propose(has(2))


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    found = machine.look(tmp_path / "not" / "yet")
    assert found.cores >= 1
    assert found.free > 0
    assert 0 <= found.available <= found.memory


def test_the_memory_that_nested_cgroups_leave(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    for folder, names, values in (
        ("b/c", "memory.max memory.current memory.stat", ("max", "10", "inactive_file 0")),
        ("b", "memory.max memory.current memory.stat", ("1000", "700", "anon 1\ninactive_file 200")),
        (
            "memory/d",
            "memory.limit_in_bytes memory.usage_in_bytes memory.stat",
            ("900", "300", "inactive_file 1\ntotal_inactive_file 100"),
        ),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, value in zip(names.split(), values, strict=True):
            (tmp_path / folder / name).write_text(value + "\n")
    own.write_text("0::/b/c\n")
    assert machine._cgroup(tmp_path, own) == (1000, 500)
    own.write_text("5:cpu,cpuacct:/b\n4:memory:/d/e\n")
    assert machine._cgroup(tmp_path, own) == (900, 700)
    own.write_text("0::/../elsewhere\n")
    assert machine._cgroup(tmp_path, own)[0] > 10**15


def test_no_program_is_taken_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone runs limner in a folder of a stranger's photographs, and modules lie among them."""
    run = tmp_path / "run"
    for name in ("xllamacpp", "json"):
        (tmp_path / f"{name}.py").write_text(f"open({str(run)!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    machine.look(tmp_path)
    with suppress(EOFError, OSError):
        child = sandbox.Child()
        child.ask({"name": "none"}, b"", 60)
    child.close()
    assert not run.exists()


def test_names_that_limner_runs_itself() -> None:
    assert all(map(is_local, ("qwen3-vl-4b", "hf:a/b", "hf:", "~/m.GGUF")))
    assert not any(map(is_local, ("", "gpt-5", "qwen3-vl:4b", "m.safetensors")))
    assert folder_name("hf:a/b") == "hf--a--b"
    assert folder_name("hf:a/b:sub/c.gguf") == "hf--a--b--sub-c.gguf"


# --- a repository of the hub ---------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "repository"
    (folder / "BF16").mkdir(parents=True)
    for name in ("tiny-Q8_0", "tiny-Q4_K_M", "mmproj-f16", "mmproj-Q8_0", "BF16/tiny-BF16-00001-of-00002"):
        (folder / f"{name}.gguf").write_bytes(LARGE + name.encode())
    (folder / "README.md").write_text("A model")
    with hub_of("maker/tiny", folder) as hub:
        yield hub


def of(hub: Hub) -> hubs.Hub:
    return hubs.Hub(hub.url)


def test_four_bits_and_a_projector_are_chosen(served: Hub) -> None:
    found = of_hub("hf:maker/tiny", of(served))
    assert [f.path for f in found.files] == ["tiny-Q4_K_M.gguf", "mmproj-Q8_0.gguf"]
    assert all(f.size > len(LARGE) and len(f.sha256) == 64 for f in found.files)
    assert (found.revision, found.licence, found.sees) == (COMMIT, "apache-2.0", True)
    assert of_hub("hf:maker/tiny:tiny-Q8_0.gguf", of(served)).files[0].path == "tiny-Q8_0.gguf"


def test_a_part_of_a_model_is_not_taken_for_the_whole(served: Hub) -> None:
    with pytest.raises(BadInput, match=r"00001-of-00002.gguf is one part of a model in several files.*Choose a file"):
        of_hub("hf:maker/tiny:BF16/tiny-BF16-00001-of-00002.gguf", of(served))


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ({"m-BF16": 16, "m-IQ2_M": 2, "m-Q3_K_L": 3, "m-UD-Q4_K_XL": 4, "m-Q6_K": 6}, "m-UD-Q4_K_XL"),
        ({"m-BF16": 16, "m-IQ4_XS": 4}, "m-IQ4_XS"),
        ({"m-Q2_K": 2, "m-Q3_K_M": 3}, "m-Q3_K_M"),
        ({"a": 9, "b": 8, "m-Q2_K": 2}, "b"),
    ],
)
def test_without_a_usual_file_the_smallest_of_four_bits_is_chosen(
    tmp_path: Path, sizes: dict[str, int], chosen: str
) -> None:
    for name, size in sizes.items():
        (tmp_path / f"{name}.gguf").write_bytes(LARGE * size)
    with hub_of("maker/odd", tmp_path) as hub:
        assert of_hub("hf:maker/odd", of(hub)).files[0].path == f"{chosen}.gguf"


def test_a_repository_without_a_projector_is_said_to_see_nothing(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "text.gguf").write_bytes(LARGE)
    with hub_of("maker/text", tmp_path / "text") as hub:
        found = of_hub("hf:maker/text", of(hub))
    assert ([f.path for f in found.files], found.sees) == (["text.gguf"], False)
    assert "sees no pictures" in found.about


def test_a_file_that_is_not_there_is_answered_with_those_that_are(served: Hub) -> None:
    with pytest.raises(BadInput, match=r"maker/tiny has no tiny-Q2.gguf. Its models: .*tiny-Q4_K_M.gguf"):
        of_hub("hf:maker/tiny:tiny-Q2.gguf", of(served))
    with pytest.raises(BadInput, match=r"has no mmproj-f16\.gguf"):
        of_hub("hf:maker/tiny:mmproj-f16.gguf", of(served))


def test_a_listing_that_is_none(served: Hub) -> None:
    for listed in ("<!doctype html>", "[]", '{"id": 3}', '{"id": "a/b", "sha": "../x", "siblings": []}'):
        served.faults.listed = listed
        with pytest.raises(NotInstalled, match="Check HF_ENDPOINT") as raised:
            of_hub("hf:maker/tiny", of(served))
        assert "\n" not in str(raised.value)


def test_paths_that_lead_out_of_the_folder_are_no_files(served: Hub) -> None:
    siblings = '[{"rfilename": "../x.gguf", "size": 3}, {"rfilename": "/y.gguf"}, {"rfilename": "a/../../z.gguf"}]'
    served.faults.listed = f'{{"id": "maker/tiny", "sha": "{COMMIT}", "siblings": {siblings}}}'
    with pytest.raises(BadInput, match="Its models: none"):
        of_hub("hf:maker/tiny", of(served))


@pytest.mark.parametrize(
    ("status", "words"), [(404, "no such repository, or it needs an HF_TOKEN"), (500, "answers 500. Run the command")]
)
def test_a_hub_that_refuses_its_list(served: Hub, status: int, words: str) -> None:
    served.faults.status = status
    with pytest.raises(NotInstalled, match=words):
        of_hub("hf:maker/tiny", of(served))


def test_a_hub_that_is_away_or_forbidden() -> None:
    with pytest.raises(NotInstalled, match=r"cannot be reached.*copy a GGUF and its mmproj into one folder"):
        of_hub("hf:maker/tiny", hubs.Hub("http://127.0.0.1:9"))
    with pytest.raises(NotInstalled, match="HF_HUB_OFFLINE is set"):
        of_hub("hf:maker/tiny", hubs.Hub("http://127.0.0.1:9", offline=True))
