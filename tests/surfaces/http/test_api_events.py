"""Watching jobs over a real port: nothing missed, nothing twice, nobody held up."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lives import bearer, finish, say, serving, submit, take
from servers import in_thread, until

from limner.errors import LedgerError
from limner.jobs.ledger import Lease, News
from limner.jobs.service import Jobs
from limner.surfaces.http.hub import KEPT, PAGE, Feed, Hub, Ready

PATIENCE = httpx.Timeout(60)


def events_of(lines: Iterator[str]) -> Iterator[dict[str, object]]:
    """The events of a stream, each checked to have its number as id."""
    number = ""
    for line in lines:
        if line.startswith("id: "):
            number = line[4:]
        elif line.startswith("data: "):
            event = json.loads(line[6:])
            assert str(event["seq"]) == number
            yield event


def stored(jobs: Jobs, job: str) -> list[int]:
    """The numbers of a job's events, from the ledger."""
    return [e.seq for e in jobs.ledger.events(job, limit=100_000)]


def at_work(jobs: Jobs, leases: list[Lease], count: int, seed: int = 1) -> AbstractContextManager[None]:
    """Meanwhile, events come to all jobs in turn, at uneven distances, and then the jobs are done."""
    random_ = random.Random(seed)

    def work() -> None:
        for n in range(count):
            for lease in leases:
                say(jobs, lease, 1, n)
            time.sleep(random_.choice([0, 0, 0.001, 0.05, 0.15]))
        for lease in leases:
            finish(jobs, lease)

    return in_thread(work)


# --- replay --------------------------------------------------------------------------------------------------------


def test_a_stream_that_does_not_follow_is_what_is_stored(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    lease = take(jobs, job)
    say(jobs, lease, 3 * PAGE)
    answer = client.get(f"/v1/jobs/{job}/events", params={"follow": False})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    seen = list(events_of(iter(answer.text.splitlines())))
    assert [e["seq"] for e in seen] == stored(jobs, job)
    assert [e["kind"] for e in seen[:3]] == ["queued", "started", "text"]
    assert seen[2]["data"] == {"text": "word 0 "}


def test_the_same_events_come_as_pages(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    lease = take(jobs, job)
    say(jobs, lease, 25)
    finish(jobs, lease)
    seen, after, ended = [], 0, False
    while not ended:
        page = client.get(f"/v1/jobs/{job}/events.json", params={"after": after, "limit": 10}).json()
        seen += [e["seq"] for e in page["events"]]
        after, ended = seen[-1], page["ended"]
    assert seen == stored(jobs, job)


def test_where_to_begin_is_said_by_header_or_query(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    say(jobs, take(jobs, job), 8)

    def first(headers: dict[str, str], **params: object) -> object:
        text = client.get(f"/v1/jobs/{job}/events", params={"follow": False, **params}, headers=headers).text
        return next(events_of(iter(text.splitlines())))["seq"]

    assert first({}, after=4) == 5
    assert first({"Last-Event-ID": "6"}) == 7
    assert first({"Last-Event-ID": "6"}, after=2) == 7
    for wrong in ("-1", "x", "9" * 30):
        answer = client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": wrong})
        assert answer.status_code == 422
        assert "last-event-id" in answer.json()["detail"]


def test_an_event_source_that_comes_back_after_the_end_is_told_to_stay_away(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    finish(jobs, take(jobs, job))
    last = stored(jobs, job)[-1]
    assert client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": str(last)}).status_code == 204
    assert client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": str(last - 1)}).status_code == 200


# --- live ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_missed_however_often_the_connection_breaks(app: FastAPI, jobs: Jobs, seed: int) -> None:
    random_ = random.Random(seed)
    with serving(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        job = submit(client)  # type: ignore[arg-type]  # the same methods
        seen: list[int] = []
        breaks = 0
        with at_work(jobs, [take(jobs, job)], 120, seed):
            while True:
                headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
                with client.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as answer:
                    if answer.status_code == 204:
                        break
                    enough = random_.randint(0, 20)
                    for n, event in enumerate(events_of(answer.iter_lines())):
                        seen.append(event["seq"])  # type: ignore[arg-type]
                        if n >= enough:
                            breaks += 1
                            break
    assert seen == stored(jobs, job)
    assert breaks > 3


def test_three_hundred_watchers_of_ten_jobs_get_all(app: FastAPI, jobs: Jobs) -> None:
    with serving(app) as url, httpx.Client(base_url=url) as client:
        ids = [submit(client, {"brief": f"Article {n}"}) for n in range(10)]  # type: ignore[arg-type]

        async def watch(client: httpx.AsyncClient, job: str) -> list[int]:
            seen: list[int] = []
            async with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("id: "):
                        seen.append(int(line[4:]))
            return seen

        async def watch_all() -> list[list[int]]:
            limits = httpx.Limits(max_connections=300)
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits) as client:
                return await asyncio.gather(*(watch(client, ids[n % 10]) for n in range(300)))

        with at_work(jobs, [take(jobs, job) for job in ids], 40):
            seen = asyncio.run(watch_all())
    for n, numbers in enumerate(seen):
        assert numbers == stored(jobs, ids[n % 10])
    assert app.state.parts.hub.watchers == 0


def test_a_reader_that_does_not_read_holds_up_nobody_and_no_memory(app: FastAPI, jobs: Jobs) -> None:
    text = "x" * 20_000
    with serving(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        job = submit(client)  # type: ignore[arg-type]
        lease = take(jobs, job)
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            until(lambda: app.state.parts.hub.watchers == 1, "the slow reader")
            for n in range(2000):  # 40 MB, far more than all buffers between here and there
                jobs.ledger.append(lease, [News("text", "write", {"text": text}, once=f"s{n}")])
            finish(jobs, lease)
            seen = 0
            with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
                for line in answer.iter_lines():
                    seen += line.startswith("id: ")
            assert seen == 2003
            hub = app.state.parts.hub
            assert hub.watchers == 1  # the slow one, still at its beginning
            (feed,) = hub._feeds.values()
            assert feed.size <= KEPT
        until(lambda: app.state.parts.hub.watchers == 0, "its end")


def test_a_stream_ends_with_the_job_whatever_the_end(app: FastAPI, jobs: Jobs) -> None:
    with serving(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        ends = {
            "cancelled": lambda job, lease: jobs.cancel(job),
            "failed": lambda job, lease: jobs.ledger.fail(lease, "No."),
            "done": lambda job, lease: finish(jobs, lease),
        }
        for kind, end in ends.items():
            job = submit(client)  # type: ignore[arg-type]
            lease = take(jobs, job)
            with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
                watched = events_of(answer.iter_lines())
                assert [next(watched)["kind"], next(watched)["kind"]] == ["queued", "started"]
                end(job, lease)
                assert [e["kind"] for e in watched] == [kind]


def test_a_stream_of_a_job_that_is_deleted_ends(app: FastAPI, jobs: Jobs) -> None:
    with serving(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        job = submit(client)  # type: ignore[arg-type]
        with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
            watched = events_of(answer.iter_lines())
            assert next(watched)["kind"] == "queued"
            jobs.delete(job)
            assert list(watched) == []


def test_a_server_that_is_told_to_stop_ends_its_streams(app: FastAPI, jobs: Jobs) -> None:
    with httpx.Client(timeout=PATIENCE) as client:
        with serving(app) as url:
            client.base_url = url
            job = submit(client)  # type: ignore[arg-type]
            context = client.stream("GET", f"/v1/jobs/{job}/events")
            watched = events_of(context.__enter__().iter_lines())
            assert next(watched)["seq"] == 1
        # `serving` has seen the server's thread end; the stream came to its end in order, not by a broken connection
        assert list(watched) == []
        context.__exit__(None, None, None)


def test_streams_outlive_an_outage_of_the_ledger(app: FastAPI, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    out = threading.Event()
    hub = app.state.parts.hub
    for name in ("seqs", "events"):
        real = getattr(jobs.ledger, name)

        def read(*args: object, real: object = real, **more: object) -> object:
            if out.is_set():
                raise LedgerError("The job database cannot be used now. Check DATABASE_URL.")
            return real(*args, **more)  # type: ignore[operator]

        monkeypatch.setattr(hub.ledger, name, read)
    with serving(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        job = submit(client)  # type: ignore[arg-type]
        lease = take(jobs, job)
        with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
            watched = events_of(answer.iter_lines())
            seen = [next(watched)["seq"], next(watched)["seq"]]
            out.set()
            say(jobs, lease, 5)
            finish(jobs, lease)
            time.sleep(0.5)  # some looks fall into the outage
            out.clear()
            seen += [e["seq"] for e in watched]
    assert seen == stored(jobs, job)


# --- the parts -----------------------------------------------------------------------------------------------------


def test_a_feed_keeps_the_newest_without_a_gap() -> None:
    async def check() -> None:
        feed = Feed()
        feed.keep([Ready(n, b"x" * 1000) for n in range(1, 200)])
        assert feed.size <= KEPT
        first = feed.newest[0].seq
        assert feed.kept(first - 2) == []  # what was dropped must be read
        assert [r.seq for r in feed.kept(first - 1)] == list(range(first, 200))
        assert feed.kept(199) == []
        feed.keep([Ready(3, b"old")])
        assert feed.newest[-1].seq == 199
        feed.keep([Ready(500, b"new")])
        assert [r.seq for r in feed.newest] == [500]
        feed.tell(7, True)
        feed.tell(6, False)  # a look that was slower than the next one
        assert (feed.seq, feed.over) == (7, True)

    asyncio.run(check())


def test_silence_is_filled_with_comments(jobs: Jobs, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from limner.surfaces.http import hub as module

    monkeypatch.setattr(module, "PING", 0.2)
    job = submit(client)
    hub = Hub(jobs.ledger)

    async def watch() -> bytes:
        read = b""
        with anyio.fail_after(30):
            async for data in hub.events(job, 0, True):
                read += data
                if read.count(b"\n: ") + read.startswith(b": ") >= 2:
                    hub.close()
        return read

    assert b"id: 1\n" in asyncio.run(watch())


def test_a_stream_ends_when_its_token_is_removed(
    app: FastAPI, client: TestClient, jobs: Jobs, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no other does; also of one owner with two tokens, of which one is kept."""
    from limner.surfaces.http import hub as module

    monkeypatch.setattr(module, "TOKENS", 0.1)
    made = {name: submit(client, **bearer(token)) for name, token in tokens.items()}
    leases = {name: take(jobs, job) for name, job in made.items()}
    with serving(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as http:

        def watching(name: str) -> httpx.Response:
            asked = http.build_request("GET", f"/v1/jobs/{made[name]}/events", headers=bearer(tokens[name]))
            return http.send(asked, stream=True)

        his, hers = watching("alice"), watching("bob")
        lines = hers.iter_lines()
        assert next(lines)
        jobs.owners.remove_tokens("alice")
        assert '"kind":"done"' not in "".join(his.iter_text()), "it ended before the job did"
        assert watching("alice").status_code == 401
        finish(jobs, leases["bob"])
        assert any('"kind":"done"' in line for line in lines)
        hers.close()


def test_who_watched_without_a_token_is_sent_away_once_there_are_tokens(
    app: FastAPI, client: TestClient, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limner.surfaces.http import hub as module

    monkeypatch.setattr(module, "TOKENS", 0.1)
    job = submit(client)
    take(jobs, job)
    with serving(app) as url, httpx.stream("GET", f"{url}/v1/jobs/{job}/events", timeout=PATIENCE) as stream:
        text = stream.iter_text()
        assert next(text)
        jobs.owners.add_token("alice")
        assert '"kind":"done"' not in "".join(text)
