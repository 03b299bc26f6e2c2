"""Rows that processes map and search: what counts, what a reader sees, what a kill leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import SIZES, WORDS, identity

from limner.errors import LibraryError
from limner.models.encoders import products
from limner.models.encoders.vectors import unit
from limner.tools import rows
from limner.tools.bm25 import Sparse
from limner.tools.rows import Rows, snapshot
from limner.tools.server_store import ServerStore
from limner.tools.store import EdgeStore, rows_folder
from limner.tools.stored import Hit, Vectors, Within


def vectors(seed: int, text: str = "a heron") -> Vectors:
    numbers = np.random.default_rng(seed).normal(size=(2, 8)).astype(np.float32)
    return Vectors(unit(numbers[0]), WORDS.document(text), unit(numbers[1, :6]))


def query(seed: int, text: str = "heron") -> Vectors:
    return Vectors(vectors(seed).caption, WORDS.query(text), vectors(seed).clip)


def ids(found: list[list[Hit]]) -> list[list[str]]:
    return [[hit.id for hit in hits] for hits in found]


def test_replaced_and_deleted_images_count_as_on_a_server(edge: EdgeStore, remote: ServerStore) -> None:
    texts = ["a heron at dawn", "a heron", "honey on a table", "saturn", "honey and a heron"]
    for store in (edge, remote):
        store.upsert([(identity(n), vectors(n, text)) for n, text in enumerate(texts)])
        store.upsert([(identity(1), vectors(71, "bees and honey")), (identity(9), vectors(9, "a heron"))])
        store.delete([identity(0), identity(3), identity(50)])
        store.upsert([(identity(3), Vectors(None, WORDS.document("saturn"), None))])
    asked = [query(1, "heron and honey"), query(2, "saturn")]
    ours, theirs = edge.search(asked, 6), remote.search(asked, 6)
    assert ids(ours) == ids(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert [hit.score for hit in a] == pytest.approx([hit.score for hit in b], abs=1e-5)
        for one, other in zip(a, b, strict=True):
            assert one.scores == pytest.approx(other.scores, abs=1e-4)
    assert edge.ids() == remote.ids()


@pytest.mark.parametrize("within", [None, Within({identity(n) for n in range(0, 9000, 3)}, inside=True),
                                    Within({identity(n) for n in range(0, 9000, 3)}, inside=False),
                                    Within({identity(n) for n in range(40)}, inside=True)])  # fmt: skip
def test_the_best_of_many_are_the_best(tmp_path: Path, within: Within | None) -> None:
    """Scores with many ties, of which a sample says from which on the best lie."""
    numbers = np.random.default_rng(5).normal(size=(9000, 8)).astype(np.float32)
    numbers[::7] = numbers[0]
    points = [(identity(n), Vectors(unit(row), Sparse([], []))) for n, row in enumerate(numbers)]
    made = Rows(tmp_path / "rows", {"caption": 8})
    made.start(points)
    asked = unit(numbers[1] + numbers[0])
    found = made.there()
    assert found
    hits = found.search([Vectors(asked, Sparse([], []))], 50, within)[0]
    scores = {i: float(asked @ v.caption) for i, v in points if v.caption is not None}
    allowed = sorted((s for i, s in scores.items() if within is None or within.allows(i)), reverse=True)
    assert [hit.scores["caption"] for hit in hits] == pytest.approx(allowed[:50], abs=1e-6)
    assert all(hit.scores["caption"] == pytest.approx(scores[hit.id], abs=1e-6) for hit in hits)


def test_a_reader_keeps_what_it_saw(tmp_path: Path) -> None:
    made = Rows(tmp_path / "rows", SIZES)
    made.start([(identity(n), vectors(n)) for n in range(5)])
    before = snapshot(made.folder)
    assert before
    answers = before.search([query(2)], 9)
    made.append([(identity(2), vectors(99)), (identity(7), vectors(7))])
    made.delete([identity(4)])
    assert before.search([query(2)], 9) == answers
    after = snapshot(made.folder)
    assert after
    assert set(after.row_of) == {identity(n) for n in (0, 1, 2, 3, 7)}
    assert snapshot(made.folder) is after


def test_replaced_rows_are_cleared_away_under_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "SPARE", 10)
    made = Rows(tmp_path / "rows", SIZES)
    made.start([(identity(n), vectors(n, f"heron number{n}")) for n in range(8)])
    first = snapshot(made.folder)
    assert first
    answers = first.search([query(2)], 9)
    for turn in range(4):
        made.append([(identity(n), vectors(100 * turn + n, f"heron number{n} turn{turn}")) for n in range(8)])
    made.delete([identity(0)])
    last = snapshot(made.folder)
    assert last
    assert last.columns.tag != first.columns.tag
    assert last.columns.rows < 5 * 8
    assert not list(made.folder.glob(f"{first.columns.tag}.*")), "the old files stay for ever"
    assert first.search([query(2)], 9) == answers
    assert set(last.row_of) == {identity(n) for n in range(1, 8)}
    [hit] = last.search([query(306, "number6 turn3")], 1)[0]
    assert hit.id == identity(6)
    assert hit.scores["caption"] == pytest.approx(1, abs=1e-6)


def test_what_a_killed_writer_left_behind_the_last_row_does_not_count(tmp_path: Path) -> None:
    made = Rows(tmp_path / "rows", SIZES)
    made.start([(identity(n), vectors(n)) for n in range(5)])
    asked = [query(2), query(3, "saturn")]
    found = snapshot(made.folder)
    assert found
    answers = found.search(asked, 9)
    for path in made.folder.glob("*.*"):
        if path.name != rows.MANIFEST:
            path.write_bytes(path.read_bytes() + b"half a row")
    rows._known.clear()
    found = snapshot(made.folder)
    assert found
    assert found.search(asked, 9) == answers
    made.append([(identity(9), vectors(9, "saturn"))])
    found = snapshot(made.folder)
    assert found
    assert ids(found.search([query(9, "saturn")], 1)) == [[identity(9)]]
    assert found.search([query(9, "saturn")], 1)[0][0].scores["caption"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("damage", ["no rows", "no manifest", "half a manifest", "half a file", "a file is gone"])
def test_lost_rows_are_made_again_from_edge(edge: EdgeStore, damage: str) -> None:
    edge.upsert([(identity(n), vectors(n, f"a heron number{n}")) for n in range(5)])
    edge.upsert([(identity(5), Vectors(None, WORDS.document("bare"), vectors(5).clip))])
    asked = [query(2, "heron number2")]
    before = edge.search(asked, 9)
    folder = rows_folder(edge.folder)
    if damage == "no rows":
        Rows(folder, SIZES).drop()
    elif damage == "no manifest":
        (folder / rows.MANIFEST).unlink()
    elif damage == "half a manifest":
        (folder / rows.MANIFEST).write_text('{"tag": "')
    elif damage == "half a file":
        [path] = folder.glob("*.caption")
        path.write_bytes(path.read_bytes()[:40])
    else:
        [path] = folder.glob("*.ids")
        path.unlink()
    rows._known.clear()
    assert snapshot(folder) is None
    after = edge.search(asked, 9)
    assert ids(after) == ids(before)
    for one, other in zip(after[0], before[0], strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-6)
    assert edge.ids() == {identity(n) for n in range(6)}
    assert snapshot(folder) is not None


def test_an_image_that_has_no_row_is_not_among_the_ids(edge: EdgeStore) -> None:
    """A kill between the vectors and their row: whoever looks for missing images must find it."""
    edge.upsert([(identity(n), vectors(n)) for n in range(3)])
    Rows(rows_folder(edge.folder), SIZES).delete([identity(1)])
    assert edge.ids() == {identity(0), identity(2)}


def test_equal_images_have_equal_scores_and_come_by_id(tmp_path: Path) -> None:
    """A matrix product gives equal rows other last bits, by their places; scaled by their deviation they would tell."""
    same = vectors(3)
    made = Rows(tmp_path / "rows", {"caption": 384})
    caption = unit(np.random.default_rng(3).normal(size=384).astype(np.float32))
    order = np.random.default_rng(4).permutation(1203).tolist()
    made.start([(identity(n), Vectors(caption, same.words)) for n in order])
    found = made.there()
    assert found
    for seed in range(20):
        asked = unit(np.random.default_rng(seed).normal(size=384).astype(np.float32))
        [hits] = found.search([Vectors(asked, Sparse([], []))], 5)
        assert {hit.score for hit in hits} == {0.5}
        [hits] = found.search([Vectors(asked, WORDS.query("heron"))], 5)
        assert [hit.id for hit in hits] == [identity(n) for n in range(5)]
        assert {hit.score for hit in hits} == {1.0}


@pytest.mark.parametrize("change", ["append", "delete"])
def test_a_batch_is_not_written_in_place_of_rows_that_cannot_be_read_just_now(
    edge: EdgeStore, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    edge.upsert([(identity(n), vectors(n)) for n in range(6)])
    edge._lay_out()
    read, readings = Path.read_bytes, []

    def failing(path: Path) -> bytes:
        readings.append(path)
        if path.name == rows.MANIFEST and len(readings) > 1:  # the first one is that of _lay_out
            raise OSError(5, "Input/output error")
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", failing)
        with pytest.raises(LibraryError, match=r"vectors\.rows cannot .* which is made again"):
            edge.upsert([(identity(9), vectors(9))]) if change == "append" else edge.delete([identity(0)])
    assert len(edge.search([query(2)], 9)[0]) == 6


def test_without_rows_nothing_is_appended(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be read"):
        Rows(tmp_path / "rows", SIZES).append([(identity(1), vectors(1))])


def test_a_full_disk_stops_no_deletion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the copy without replaced rows needs room for all of them."""
    monkeypatch.setattr(rows, "SPARE", 3)
    made = Rows(tmp_path / "rows", SIZES)
    made.start([(identity(n), vectors(n)) for n in range(8)])
    first, appended = snapshot(made.folder), Rows._appended
    assert first
    tag = first.columns.tag

    def full(self: Rows, columns: rows.Columns, *rest: Any) -> rows.Columns:
        after = appended(self, columns, *rest)
        if columns.tag != tag:
            raise OSError(28, "No space left on device")
        return after

    with monkeypatch.context() as patched:
        patched.setattr(Rows, "_appended", full)
        for n in range(5):
            made.delete([identity(n)])
            assert made.ids() == {identity(n) for n in range(n + 1, 8)}
        assert {path.name.split(".")[0] for path in made.folder.iterdir()} == {tag, "rows"}
    made.delete([identity(5)])
    assert not [*made.folder.glob(f"{tag}.*")], "there is room now"
    assert made.ids() == {identity(6), identity(7)}


def test_a_manifest_that_a_reader_has_open_is_replaced_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    made, replace, refused = Rows(tmp_path / "rows", SIZES), Path.replace, []

    def busy(path: Path, target: Path) -> Path:
        if not refused:
            refused.append(path)
            raise PermissionError(13, "The process cannot access the file")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", busy)
    made.start([(identity(1), vectors(1))])
    assert refused
    assert made.ids() == {identity(1)}


def test_a_file_that_a_reader_has_mapped_is_deleted_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    made = Rows(tmp_path / "rows", SIZES)
    made.start([(identity(1), vectors(1))])

    def mapped(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "The process cannot access the file")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", mapped)
        made.start([(identity(2), vectors(2))])
    assert made.ids() == {identity(2)}
    made.append([(identity(3), vectors(3))])
    assert len({path.name.split(".")[0] for path in made.folder.iterdir()}) == 2


def test_vectors_without_a_row_are_deleted(edge: EdgeStore) -> None:
    """A kill between the deletion of a row and of its vectors left them for good."""
    edge.upsert([(identity(n), vectors(n)) for n in range(3)])
    Rows(rows_folder(edge.folder), SIZES).delete([identity(1)])
    assert edge.count() == 3
    edge.ids()
    assert edge.count() == 2
    assert edge._all() == {identity(0), identity(2)}


@pytest.mark.parametrize("share", [1.0, 0.9, 0.5])
def test_products_in_blocks_are_exact(share: float) -> None:
    """More rows than a block, none of a whole number of blocks."""
    random = np.random.default_rng(3)
    table = unit(random.normal(size=(2 * products.BLOCK + 77, 40)).astype(np.float32))
    queries = unit(random.normal(size=(5, 40)).astype(np.float32))
    count = int(share * len(table))
    among = None if share == 1 else np.sort(random.choice(len(table), count, replace=False))
    exact = queries.astype(np.float64) @ table.astype(np.float64).T
    found = products.product(queries, table, among)
    assert found.shape == (5, count)
    assert np.abs(found - (exact if among is None else exact[:, among])).max() < 3e-7


def test_the_product_is_what_onnx_calls_one() -> None:
    """The bytes in limner are what its own library writes."""
    onnx = pytest.importorskip("onnx")

    def floats(name: str, *shape: str) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    node = onnx.helper.make_node("MatMul", ["a", "b"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [floats("a", "n", "k"), floats("b", "k", "m")], [floats("y", "n", "m")])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    assert onnx.load_from_string(products._MODEL) == made


def test_scores_that_differ_behind_the_sixth_decimal_are_equal_for_any_number_of_rows(tmp_path: Path) -> None:
    """A sample says where the best of many rows lie; the last of them tie with rows that are less by rounding."""
    points = []
    for n in range(9000):
        vector = np.zeros(8, np.float32)
        vector[0] = 0.5 + (1.0000e-7 if n % 2 else -1.0000e-7) if n > 4000 else 0.1
        points.append((identity(9000 - n), Vectors(vector, Sparse([], []))))
    made = Rows(tmp_path / "rows", {"caption": 8})
    made.start(points)
    found = made.there()
    assert found
    asked = Vectors(np.eye(8, dtype=np.float32)[0], Sparse([], []))
    assert ids(found.search([asked], 50)) == [[identity(n) for n in range(1, 51)]]


def test_ids_of_any_form_limit_a_search(tmp_path: Path) -> None:
    made = Rows(tmp_path / "rows", SIZES)
    known = [f"{n:016x}{n % 7:016x}" for n in range(1, 30)]  # ends that several share
    made.start([(i, vectors(n)) for n, i in enumerate(known)])
    for all_ in (known, [f"{n:032x}" for n in range(1, 30)]):
        made.start([(i, vectors(n)) for n, i in enumerate(all_)])
        rows._known.clear()
        found = made.there()
        assert found
        some = {*all_[3:9], "0" * 32, "f" * 32, "no id"}
        assert set(*ids(found.search([query(2)], 40, Within(some, inside=True)))) == set(all_[3:9])
        some.remove("no id")
        assert set(*ids(found.search([query(2)], 40, Within(some, inside=True)))) == set(all_[3:9])
        assert set(*ids(found.search([query(2)], 40, Within(some, inside=False)))) == {*all_} - some
