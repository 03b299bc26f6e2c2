"""The same calls to Qdrant Edge in a folder and to qdrant-client in memory, their answers compared."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import models
from stores import SIZES, WORDS, identity

from limner.errors import LibraryBusy, LibraryError
from limner.models.encoders.vectors import unit
from limner.tools.bm25 import Sparse
from limner.tools.server_store import ServerStore, server
from limner.tools.store import EdgeStore, Store
from limner.tools.stored import BODY, Vectors, Within

CAPTIONS = [
    "a heron at dawn in the reeds",
    "a heron fishing",
    "harvest at dusk, a red tractor in the wheat",
    "red tractors at a fair",
    "a jar of honey on a table",
    "bees on a honeycomb full of honey, honey everywhere",
    "the rings of saturn",
    "saturn and its moons seen from a probe near the rings of the planet",
]


def vectors(seed: int, text: str) -> Vectors:
    numbers = np.random.default_rng(seed).normal(size=(2, 8))
    return Vectors(unit(numbers[0]), WORDS.document(text), unit(numbers[1, :6]))


def query(seed: int, text: str) -> Vectors:
    numbers = np.random.default_rng(1000 + seed).normal(size=(2, 8))
    return Vectors(unit(numbers[0]), WORDS.query(text), unit(numbers[1, :6]))


POINTS = [(identity(n), vectors(n, caption)) for n, caption in enumerate(CAPTIONS)]
QUERIES = [query(0, "heron at dawn"), query(1, "rings of saturn"), query(2, "honey bees"), query(3, "")]


@pytest.fixture(params=["edge", "remote"])
def store(request: pytest.FixtureRequest) -> Store:
    return request.getfixturevalue(request.param)


def test_points_come_and_go(store: Store) -> None:
    store.upsert(POINTS)
    store.upsert(POINTS[:2])
    assert store.count() == len(POINTS)
    assert store.ids() == {i for i, _ in POINTS}
    store.delete([identity(0), identity(77)])
    store.delete([])
    assert store.ids() == {i for i, _ in POINTS[1:]}
    assert identity(0) not in {hit.id for hit in store.search(QUERIES[:1], 8)[0]}


@pytest.mark.parametrize("inside", [True, False])
def test_a_search_within_some_images_finds_as_many_with_the_same_scores(store: Store, inside: bool) -> None:
    """300 images fit better than the ten that may be found, so only a limit of the search itself finds those."""
    better = [(f"{n + 1000:032x}", vectors(0, "a heron at dawn in the reeds, saturn, honey")) for n in range(300)]
    others = [(f"{n + 5000:032x}", vectors(n, f"a tractor {n}")) for n in range(10)]
    store.upsert([*better, *others])
    query = Vectors(vectors(0, "").caption, WORDS.query("a heron at dawn"), vectors(0, "").clip)
    all_hits = {hit.id: hit for hit in store.search([query], 310)[0]}
    wanted, rest = {i for i, _ in others}, {i for i, _ in better}
    [found, same] = store.search([query, query], 10, Within(wanted if inside else rest, inside))
    assert {hit.id for hit in found} == wanted
    for hit in found:
        assert hit.scores == pytest.approx(all_hits[hit.id].scores, abs=1e-6)
    assert found == same
    [few] = store.search([query], 5, Within(wanted if inside else rest, inside))
    assert [hit.id for hit in few] == [hit.id for hit in found[:5]]
    assert [hit.score for hit in few] == pytest.approx([hit.score for hit in found[:5]], abs=1e-6)
    assert store.search([query], 5, Within((), True))[0] == []
    assert len(store.search([query], 5, Within((), False))[0]) == 5


@pytest.mark.parametrize("many", [50_000, 200_000])
@pytest.mark.parametrize("inside", [True, False])
def test_many_ids_go_to_a_server_in_bodies_that_it_takes(
    remote: ServerStore, monkeypatch: pytest.MonkeyPatch, inside: bool, many: int
) -> None:
    """Ten spots with tens of thousands of ids; the answers are those of a few ids."""
    remote.upsert(POINTS)
    away = {identity(n) for n in (0, 5)}
    near = {i for i, _ in POINTS} - away if inside else away
    few = remote.search(QUERIES, 4, Within(near, inside))
    sizes: list[int] = []
    ask = remote._client.query_batch_points

    def counted(collection: str, requests: list[models.QueryRequest]) -> list[models.QueryResponse]:
        body = models.QueryRequestBatch(searches=requests).model_dump_json(by_alias=True, exclude_unset=True)
        sizes.append(len(body.encode()))
        return ask(collection, requests)

    monkeypatch.setattr(remote._client, "query_batch_points", counted)
    among = Within(near | {f"{n + 1_000_000:032x}" for n in range(many)}, inside)
    found = remote.search([QUERIES[n % 4] for n in range(10)], 4, among)
    assert max(sizes) < BODY
    assert sum(sizes) > BODY
    assert [[(h.id, h.scores) for h in hits] for hits in found[:4]] == [
        [(h.id, h.scores) for h in hits] for hits in few
    ]
    for one, other in zip(found[:4], few, strict=True):
        assert [h.score for h in one] == pytest.approx([h.score for h in other])
    assert found[8:] == found[:2]


def test_vectors_are_read_back_as_they_were_stored(store: Store) -> None:
    bare = identity(40)
    store.upsert([*POINTS, (bare, Vectors(None, WORDS.document(""), POINTS[0][1].clip))])
    read = store.vectors([POINTS[2][0], bare, identity(99)])
    assert {i: sorted(of) for i, of in read.items()} == {POINTS[2][0]: ["caption", "clip"], bare: ["clip"]}
    assert POINTS[2][1].caption is not None
    assert np.allclose(read[POINTS[2][0]]["caption"], POINTS[2][1].caption, atol=1e-6)
    assert store.vectors([]) == {}


def test_scores_are_those_of_the_textbook(store: Store) -> None:
    store.upsert(POINTS)
    by_id = dict(POINTS)
    for asked, hits in zip(QUERIES, store.search(QUERIES, 8), strict=True):
        assert len(hits) == len(POINTS)
        for hit in hits:
            point = by_id[hit.id]
            assert point.clip is not None
            assert asked.clip is not None
            assert hit.scores["caption"] == pytest.approx(float(asked.caption @ point.caption), abs=1e-5)
            assert hit.scores["clip"] == pytest.approx(float(asked.clip @ point.clip), abs=1e-5)
            assert hit.scores["words"] == pytest.approx(bm25(asked.words, point.words), abs=1e-4)


def bm25(asked: Sparse, document: Sparse) -> float:
    """The definition, with the IDF that Qdrant documents, counted here by hand."""
    weights = dict(zip(document.indices, document.values, strict=True))
    holders = [set(v.words.indices) for _, v in POINTS]
    score = 0.0
    for index, times in zip(asked.indices, asked.values, strict=True):
        n = sum(index in holder for holder in holders)
        score += times * weights.get(index, 0) * np.log(1 + (len(POINTS) - n + 0.5) / (n + 0.5))
    return float(score)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_both_stores_answer_alike(edge: EdgeStore, remote: ServerStore, k: int) -> None:
    edge.upsert(POINTS)
    remote.upsert(POINTS)
    for ours, theirs in zip(edge.search(QUERIES, k), remote.search(QUERIES, k), strict=True):
        assert [hit.id for hit in ours] == [hit.id for hit in theirs]
        assert len(ours) == k
        for a, b in zip(ours, theirs, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-5)
            assert a.scores == pytest.approx(b.scores, abs=1e-4)


def test_an_image_alone_and_none_at_all(store: Store) -> None:
    assert store.search(QUERIES, 3) == [[], [], [], []]
    assert store.search([], 3) == []
    store.upsert(POINTS[:1])
    answers = store.search(QUERIES, 3)
    assert [[hit.id for hit in hits] for hits in answers] == [[identity(0)]] * 4


def test_without_clip(tmp_path: Path) -> None:
    points = [(i, Vectors(v.caption, v.words)) for i, v in POINTS]
    asked = [Vectors(q.caption, q.words) for q in QUERIES]
    client = server(":memory:")
    edge = EdgeStore(tmp_path / "vectors", {"caption": 8})
    remote = ServerStore(client, "limner-test", {"caption": 8})
    edge.upsert(points)
    remote.upsert(points)
    ours, theirs = edge.search(asked, 4), remote.search(asked, 4)
    edge.close()
    client.close()
    assert [[h.id for h in hits] for hits in ours] == [[h.id for h in hits] for hits in theirs]
    assert all(set(h.scores) == {"caption", "words"} for hits in ours for h in hits)


def test_an_image_without_a_clip_vector_is_found_by_its_caption(store: Store) -> None:
    store.upsert([(POINTS[0][0], Vectors(POINTS[0][1].caption, POINTS[0][1].words)), *POINTS[1:]])
    hits = {hit.id: hit for hit in store.search([query(0, "heron at dawn")], 8)[0]}
    assert "clip" not in hits[identity(0)].scores
    assert hits[identity(0)].scores["words"] > 0


def test_vectors_are_on_disk_once_upsert_returns(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path / "vectors", SIZES)
    store.upsert(POINTS)
    before = store.search(QUERIES, 8)
    store.close()
    store = EdgeStore(tmp_path / "vectors", SIZES)
    assert store.search(QUERIES, 8) == before
    store.close()


def test_a_folder_in_use_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    first = EdgeStore(tmp_path / "vectors", SIZES)
    with pytest.raises(LibraryBusy, match="try again"):
        EdgeStore(tmp_path / "vectors", SIZES, patience=0.05)
    found: list[int] = []

    def wait() -> None:
        second = EdgeStore(tmp_path / "vectors", SIZES)
        found.append(second.count())
        second.close()

    waiting = threading.Thread(target=wait)
    waiting.start()
    first.upsert(POINTS)
    first.close()
    waiting.join()
    assert found == [len(POINTS)]


def test_a_damaged_folder_says_what_to_do_and_can_be_dropped(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path / "vectors", SIZES)
    store.upsert(POINTS)
    store.close()
    for file in (tmp_path / "vectors").rglob("*.json"):
        file.write_text("{")
    store = EdgeStore(tmp_path / "vectors", SIZES)
    with pytest.raises(LibraryError, match="delete that folder"):
        store.count()
    store.drop()
    store.close()
    assert not (tmp_path / "vectors").exists()


def test_what_goes_wrong_while_open_is_a_library_error(edge: EdgeStore) -> None:
    edge.upsert(POINTS)
    wrong = Vectors(np.ones(3, np.float32), Sparse([], []))  # 3 numbers where the folder has 8
    with pytest.raises(LibraryError, match="cannot be used"):
        edge.upsert([(identity(50), wrong)])
    with pytest.raises(LibraryError, match="cannot be used"):
        edge.search([wrong], 3)
    assert edge.count() == len(POINTS)


def test_dropped_is_gone(store: Store, remote: ServerStore) -> None:
    store.upsert(POINTS)
    store.drop()
    if store is remote:
        assert not remote._client.collection_exists("limner-test")


def test_a_store_knows_whether_it_was_made_for_these_sizes(store: Store, edge: EdgeStore, remote: ServerStore) -> None:
    assert store.fits()
    store.upsert(POINTS)
    assert store.fits()
    store.close()
    client = remote._client
    for sizes in (SIZES, {"caption": 8}, {"caption": 8, "clip": 7}):
        made = EdgeStore(edge.folder, sizes) if store is edge else ServerStore(client, remote.collection, sizes)
        assert made.fits() == (sizes == SIZES)
        made.close()


def test_a_server_that_is_not_there_says_what_to_check() -> None:
    from qdrant_client import QdrantClient

    client = QdrantClient(
        url="http://127.0.0.1:9", timeout=1, check_compatibility=False
    )  # port 9 discards, if anything
    with pytest.raises(LibraryError, match="QDRANT_URL"):
        ServerStore(client, "limner-test", SIZES)
    client.close()
