"""The truth about jobs: on SQLite and on Postgres alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from orders import lapse, submitted
from servers import until
from sqlalchemy import select

from limner.agents.meter import Usage
from limner.document import Article
from limner.errors import JobConflict, JobUnknown, LimitReached
from limner.jobs.ledger import Lease, LeaseLost, Ledger, Left, News, Order, Swept
from limner.jobs.ledger.database import Database
from limner.jobs.ledger.schema import jobs as table
from limner.jobs.ledger.values import Death
from limner.jobs.owners import Owners
from limner.settings import Settings

ARTICLE = Article(title="Honey", language="en")


def taken(ledger: Ledger, job: str, worker: str = "a") -> Lease:
    lease = ledger.take(job, worker)
    assert lease is not None
    return lease


def kinds(ledger: Ledger, job: str) -> list[str]:
    return [event.kind for event in ledger.events(job)]


# --- submitting ----------------------------------------------------------------------------------------------------


def test_a_job_is_queued_and_told_of(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    assert (job.state, job.attempt, job.owner, job.title) == ("queued", 0, "local", "Honey")
    assert kinds(ledger, job.id) == ["queued"]


def test_the_same_key_is_the_same_job(ledger: Ledger) -> None:
    order = Order("Honey", {"brief": "Honey"}, idempotency_key="k")
    [(first, new)] = ledger.submit("local", [order])
    [(second, again)] = ledger.submit("local", [order])
    [(other, _)] = ledger.submit("somebody", [order])
    assert (new, again) == (True, False)
    assert first.id == second.id != other.id, "a key belongs to its owner"


def test_a_key_with_another_request_is_refused(ledger: Ledger) -> None:
    ledger.submit("local", [Order("Honey", {"brief": "Honey"}, idempotency_key="k")])
    with pytest.raises(JobConflict, match=r"'k' was used for another request"):
        ledger.submit("local", [Order("Wax", {"brief": "Wax"}, idempotency_key="k")])


def test_one_key_from_twenty_sides_is_one_job(ledger: Ledger) -> None:
    order = Order("Honey", {"brief": "Honey"}, idempotency_key="k")
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(ledger.submit, "local", [order]) for _ in range(20)]
        made = [a.result()[0] for a in answers]
    assert len({job.id for job, _ in made}) == 1
    assert sum(new for _, new in made) == 1
    assert len(ledger.list()) == 1


def test_a_batch_is_accepted_whole_or_not_at_all(ledger: Ledger) -> None:
    ledger.submit("local", [Order("Honey", {"brief": "Honey"}, idempotency_key="k")])
    with pytest.raises(JobConflict):
        ledger.submit("local", [Order("A", {}), Order("B", {}, idempotency_key="k")], batch="b")
    assert [job.title for job in ledger.list()] == ["Honey"]


def test_jobs_a_minute(ledger: Ledger, database: Database) -> None:
    owners = Owners(database, Settings())
    owners.add_token("anna")
    owners.limit("anna", jobs_a_minute=3)
    submitted(ledger, "A", "B", owner="anna")
    with pytest.raises(LimitReached, match="3 jobs a minute; 2 came"):
        submitted(ledger, "C", "D", owner="anna")
    submitted(ledger, "C", owner="anna")
    submitted(ledger, *"EFGHI")


# --- looking -------------------------------------------------------------------------------------------------------


def test_owners_do_not_see_each_other(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey", owner="anna")
    for look in (ledger.job, ledger.cancel, ledger.retry, ledger.delete):
        with pytest.raises(JobUnknown):
            look(job.id, "bert")
    with pytest.raises(JobUnknown):
        ledger.answer(job.id, 1, "bert")
    assert ledger.list("bert") == []
    assert ledger.job(job.id, "anna").id == job.id


def test_pages_hold_every_job_once(ledger: Ledger) -> None:
    made = [submitted(ledger, f"Job {n}")[0].id for n in range(7)]
    seen: list[str] = []
    after = None
    while page := ledger.list(limit=3, after=after):
        seen += [job.id for job in page]
        after = (page[-1].created, page[-1].id)
    assert seen == made[::-1]


def test_filters(ledger: Ledger) -> None:
    submitted(ledger, "Bees and honey")
    [wax] = submitted(ledger, "100% wax_", queue="batch")
    ledger.cancel(wax.id)
    assert [j.title for j in ledger.list(search="HONEY")] == ["Bees and honey"]
    assert [j.title for j in ledger.list(search="0% wax_")] == ["100% wax_"]
    assert ledger.list(search="%honey") == [], "what a person searches for is no pattern"
    assert [j.title for j in ledger.list(queue="batch")] == ["100% wax_"]
    assert [j.title for j in ledger.list(states=["queued"])] == ["Bees and honey"]


# --- the lease -----------------------------------------------------------------------------------------------------


def test_one_of_twenty_workers_gets_the_job(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    with ThreadPoolExecutor(20) as pool:
        leases = [lease for lease in pool.map(lambda n: ledger.take(job.id, f"w{n}"), range(20)) if lease]
    assert len(leases) == 1
    assert ledger.job(job.id).attempt == 1


def test_a_lapsed_attempt_can_write_nothing(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    late = taken(ledger, job.id, "a")
    lapse(ledger)
    assert ledger.sweep().put_back == [job.id]
    mine = taken(ledger, job.id, "b")
    before = ledger.job(job.id), ledger.events(job.id)
    usage = Usage(1, 10, 5)
    for write in (
        lambda: ledger.beat(late),
        lambda: ledger.append(late, [News("text", "write", {"text": "late"}, once="late")], step="write"),
        lambda: ledger.finish(late, ARTICLE),
        lambda: ledger.fail(late, "late"),
        lambda: ledger.park(late, "late", 3),
        lambda: ledger.put_back(late),
        lambda: ledger.crashed(late, "late"),
        lambda: ledger.wait(late, "late"),
        lambda: ledger.answered(late),
        lambda: ledger.forget_answers(late, "write"),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert ledger.job(job.id).model_copy(update={"now": before[0].now}) == before[0]
    assert ledger.events(job.id) == before[1]
    with pytest.raises(LeaseLost):
        ledger.keep(late, "write", "writer", "d", "late words", usage, 1)
    assert ledger.recall(mine, "write", "d") is None, "its answer is not used"
    assert ledger.job(job.id).spent == 15, "what it cost is counted"


def test_reporting_keeps_the_lease(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    lease = taken(ledger, job.id)
    for _ in range(3):
        lapse(ledger)  # nobody looked meanwhile
        ledger.beat(lease)
        assert ledger.sweep().put_back == []
    assert ledger.job(job.id).attempt == 1


def test_a_job_of_a_dead_worker_is_put_back_at_once(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    taken(ledger, job.id, "dead")
    assert ledger.sweep(lambda worker: worker == "dead").put_back == [job.id]
    assert ledger.job(job.id).state == "queued"


def broke_off(ledger: Ledger, *, own: bool, worker: str = "dead") -> Swept:
    """A sweep that knows how a process ended."""
    return ledger.sweep(deaths={worker: Death(worker, "died of SIGSEGV" if own else "was killed by SIGKILL", own)})


def counts(ledger: Ledger, job: str) -> tuple[int, int]:
    """Crashes and losses in a row."""
    with ledger.database.read() as c:
        row = c.execute(select(table.c.crashes, table.c.losses).where(table.c.id == job)).one()
        return row.crashes, row.losses


def test_two_sweepers_count_one_loss(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    taken(ledger, job.id, "dead")
    with ThreadPoolExecutor(8) as pool:
        swept = list(pool.map(lambda _: ledger.sweep(lambda worker: worker == "dead"), range(8)))
    assert sum(len(s.put_back) for s in swept) == 1
    assert counts(ledger, job.id) == (0, 1)


def test_three_crashes_in_a_row_of_its_own_set_it_aside(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    aside = []
    for _ in range(3):
        ledger.append(taken(ledger, job.id, "dead"), [], step="select")
        aside = broke_off(ledger, own=True).set_aside
    assert aside == [job.id]
    found = ledger.job(job.id)
    assert found.state == "set_aside"
    assert "3 times in a row, its worker died of SIGSEGV at select" in found.error
    assert ledger.take(job.id, "a") is None


def test_ten_losses_in_a_row_set_it_aside_with_no_fault_to_be_seen(ledger: Ledger) -> None:
    """It may take whole machines down, and then nobody is left who could tell how they ended."""
    [job] = submitted(ledger, "Honey")
    ends = [lambda: broke_off(ledger, own=False), lambda: ledger.sweep(lambda worker: worker == "dead")] * 5
    for n, end in enumerate(ends):
        assert ledger.job(job.id).state == "queued", f"after {n} losses"
        ledger.append(taken(ledger, job.id, "dead"), [], step="select")
        end()
    assert ledger.job(job.id).state == "set_aside"
    assert "10 times in a row, its worker died at select" in ledger.job(job.id).error


def test_of_jobs_whose_process_crashed_none_is_to_blame_and_each_is_worked_on_alone_next(ledger: Ledger) -> None:
    made = submitted(ledger, "Honey", "Wax", "Pollen")
    for job in made[:2]:
        taken(ledger, job.id, "dead")
    broke_off(ledger, own=True)
    suspects = [job.id for job in made[:2]]
    assert [counts(ledger, job) for job in suspects] == [(0, 1), (0, 1)]
    assert sorted(ledger.suspects(10)) == sorted(suspects)
    assert ledger.unheard("interactive", 0, 10, suspects=False) == [made[2].id]
    assert (ledger.queued("interactive"), ledger.queued("interactive", suspects=False)) == (3, 1)
    assert ledger.take(suspects[0], "many", alone=False) is None
    for worker, job in zip(("one", "two"), suspects, strict=True):
        assert ledger.take(job, worker)
    broke_off(ledger, own=True, worker="two")
    assert [counts(ledger, job) for job in suspects] == [(0, 1), (1, 1)], "now it is known which"


def test_crashes_with_progress_between_do_not_add_up(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    for n in range(6):
        lease = taken(ledger, job.id, "dead")
        ledger.append(lease, [], finished=(f"select/{n}", 0.1))
        ledger.sweep(lambda worker: worker == "dead")
    assert ledger.job(job.id).state == "queued"


def test_a_new_answer_is_progress_and_one_that_broke_off_is_none(ledger: Ledger) -> None:
    [long, stuck] = submitted(ledger, "Honey", "Wax")
    for n in range(6):
        for job, answer in ((long, f"answer {n}"), (stuck, None)):
            lease = ledger.take(job.id, "dead")
            assert lease is not None
            ledger.keep(lease, "write", "writer", f"call {n}", answer, Usage(1, 5, 5), 1)
        ledger.sweep(lambda worker: worker == "dead")
    assert counts(ledger, long.id) == (0, 1)
    assert counts(ledger, stuck.id) == (0, 6)


def test_a_webhook_that_was_sent_before_a_retry_does_not_count_after_it(ledger: Ledger) -> None:
    hook = {"url": "https://example.com/hook", "secret": "whsec_" + "A" * 32}
    ((job, _),) = ledger.submit("ann", [Order("Honey", {"brief": "Honey"}, webhook=hook)])
    ledger.fail(taken(ledger, job.id), "no such model")
    assert [found.id for found, _ in ledger.due_webhooks()] == [job.id]
    ledger.retry(job.id)
    ledger.webhook_sent(job.id)
    ledger.webhook_failed(job.id, "500", 0)
    assert ledger.job(job.id).webhook_state is None
    ledger.finish(taken(ledger, job.id), ARTICLE)
    assert ledger.job(job.id).webhook_state == "due"


def test_an_event_is_there_once_however_often_it_is_written(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    lease = taken(ledger, job.id)
    news = [News("text", "write", {"text": "a"}, once="1:1"), News("text", "write", {"text": "b"}, once="1:2")]
    ledger.append(lease, news)
    ledger.append(lease, [*news, News("text", "write", {"text": "c"}, once="1:3")])
    assert ledger.text(job.id) == "abc"
    assert [e.seq for e in ledger.events(job.id)] == [1, 2, 3, 4, 5]


def test_text_begun_anew_replaces_what_was_shown(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    lease = taken(ledger, job.id)
    for n, (kind, text) in enumerate([("text", "One"), ("text", " two"), ("again", "Three"), ("text", " four")]):
        ledger.append(lease, [News(kind, "write", {"text": text}, once=str(n))])
    assert ledger.text(job.id) == "Three four"


# --- calls ---------------------------------------------------------------------------------------------------------


def test_calls_are_remembered_by_step_and_counted_once(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    lease = taken(ledger, job.id)
    for _ in range(2):  # as after a commit whose answer was lost
        ledger.keep(lease, "select/1", "selector", "digest", "1", Usage(1, 100, 5, 40), 1)
    ledger.keep(lease, "select/1", "selector", "other", None, Usage(1, 10, 1), 2)
    assert ledger.recall(lease, "select/1", "digest") == "1"
    assert ledger.recall(lease, "select/2", "digest") is None
    assert ledger.recall(lease, "select/1", "other") is None, "it broke off"
    assert ledger.usage(job.id) == {"selector": Usage(2, 110, 6, 40)}
    assert ledger.job(job.id).spent == 116


def test_answers_of_no_use_are_asked_for_anew_and_stay_paid(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    lease = taken(ledger, job.id)
    ledger.keep(lease, "spot", "spotter", "d", "nonsense", Usage(1, 10, 5), 1)
    ledger.forget_answers(lease, "spot")
    assert ledger.recall(lease, "spot", "d") is None
    assert ledger.job(job.id).spent == 15


# --- limits --------------------------------------------------------------------------------------------------------


def test_jobs_at_a_time_hold_against_a_hundred_starts(ledger: Ledger, database: Database) -> None:
    owners = Owners(database, Settings())
    owners.add_token("anna")
    owners.limit("anna", jobs_at_a_time=3)
    jobs = submitted(ledger, *[f"Job {n}" for n in range(30)], owner="anna")
    with ThreadPoolExecutor(10) as pool:
        leases = list(pool.map(lambda job: ledger.take(job.id, "w"), jobs))
    running = [lease for lease in leases if lease]
    assert len(running) == 3
    assert ledger.unheard("interactive", 0, 100) == [], "nobody is rung for in vain"
    ledger.finish(running[0], ARTICLE)
    waiting = ledger.next_of("anna")
    assert waiting is not None
    assert ledger.take(waiting[0], "w")


def test_a_day_s_tokens_park_the_next_job_until_midnight(ledger: Ledger, database: Database) -> None:
    owners = Owners(database, Settings())
    owners.add_token("anna")
    owners.limit("anna", tokens_a_day=100)
    first, second = submitted(ledger, "A", "B", owner="anna")
    lease = taken(ledger, first.id)
    assert lease.left == Left(100, None)
    ledger.keep(lease, "write", "writer", "d", "words", Usage(1, 60, 50), 1)
    ledger.finish(lease, ARTICLE)
    assert ledger.take(second.id, "w") is None
    found = ledger.job(second.id)
    assert found.state == "parked"
    assert "today's 100 tokens" in found.error
    assert found.not_before is not None
    assert 0 < found.not_before - found.now <= 86_400
    assert found.not_before % 86_400 == 0
    ledger.delete(first.id)
    ledger.retry(second.id)
    assert ledger.take(second.id, "w") is None, "deleting a job does not give its tokens back"


def test_a_day_s_dollars_park_the_next_job_until_midnight(ledger: Ledger, database: Database) -> None:
    owners = Owners(database, Settings())
    owners.add_token("anna")
    owners.limit("anna", tokens_a_day=1000, dollars_a_day=0.25)
    first, second = submitted(ledger, "A", "B", owner="anna")
    lease = taken(ledger, first.id)
    assert lease.left == Left(1000, 0.25)
    ledger.keep(lease, "write", "writer", "d", "words", Usage(1, 60, 50, cost=0.2), 1)
    assert ledger.left_today("anna") == Left(890, pytest.approx(0.05))
    ledger.paid_beside("anna", "caption", {"selector": Usage(1, 10, 10, cost=0.05)})
    assert ledger.left_today("anna").spent
    assert ledger.spent_today("anna") == (130, pytest.approx(0.25))
    assert ledger.take(second.id, "w") is None
    found = ledger.job(second.id)
    assert (found.state, found.why.code) == ("parked", "money-waits")
    assert "today's $0.25" in found.error
    owners.limit("anna", dollars_a_day=0)
    ledger.retry(second.id)
    assert taken(ledger, second.id).left == Left(870, None)


# --- ends ----------------------------------------------------------------------------------------------------------


def test_cancelling_ends_the_lease(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    lease = taken(ledger, job.id)
    assert ledger.cancel(job.id).state == "cancelled"
    assert ledger.cancel(job.id).state == "cancelled", "twice is once"
    with pytest.raises(LeaseLost):
        ledger.finish(lease, ARTICLE)
    assert kinds(ledger, job.id) == ["queued", "started", "cancelled"]


def test_what_ended_cannot_be_cancelled_and_what_runs_cannot_be_retried(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    with pytest.raises(JobConflict, match="queued: there is nothing to retry"):
        ledger.retry(job.id)
    lease = taken(ledger, job.id)
    with pytest.raises(JobConflict, match="running: there is nothing to retry"):
        ledger.retry(job.id)
    ledger.finish(lease, ARTICLE)
    with pytest.raises(JobConflict, match="done already and cannot be cancelled"):
        ledger.cancel(job.id)
    with pytest.raises(JobConflict, match="Submit it again"):
        ledger.retry(job.id)


def test_a_failed_job_goes_on_after_retry(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    ledger.fail(taken(ledger, job.id), "no such model")
    assert ledger.job(job.id).error == "no such model"
    again = ledger.retry(job.id)
    assert (again.state, again.error, again.crashes) == ("queued", "", 0)
    ledger.finish(taken(ledger, job.id), ARTICLE)
    assert ledger.article(job.id) == ARTICLE


def test_a_parked_job_comes_back_and_at_last_fails(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    [job] = submitted(ledger, "Honey")
    assert ledger.park(taken(ledger, job.id), "the server is away", 2)
    found = ledger.job(job.id)
    assert found.state == "parked"
    assert found.not_before is not None
    assert 4 < found.not_before - found.now <= 5
    assert ledger.sweep().due == [], "not yet"
    until(lambda: ledger.sweep().due == [job.id], "the parked job to be due")
    assert not ledger.park(taken(ledger, job.id), "the server is away", 2)
    assert ledger.job(job.id).state == "failed"
    assert "tried 2 times" in ledger.job(job.id).error


def test_a_waiting_job_holds_nothing_and_is_answered_once(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    ledger.wait(taken(ledger, job.id), [{"id": "i", "value": "Which?"}])
    found = ledger.job(job.id)
    assert (found.state, found.question) == ("waiting", [{"id": "i", "value": "Which?"}])
    lapse(ledger)
    assert ledger.sweep().put_back == []
    assert ledger.unheard("interactive", 0, 10) == []
    assert ledger.answer(job.id, {"pick": 2}).state == "queued"
    with pytest.raises(JobConflict, match="queued and asks nothing"):
        ledger.answer(job.id, {"pick": 3})
    lease = taken(ledger, job.id)
    assert lease.answer == {"value": {"pick": 2}}


def test_twenty_answers_one_is_taken(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    ledger.wait(taken(ledger, job.id), "Which?")

    def answer(n: int) -> Any:
        try:
            return ledger.answer(job.id, n)
        except JobConflict as e:
            return e

    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(answer, range(20)))
    assert sum(not isinstance(s, JobConflict) for s in said) == 1


def test_deleting_a_running_job_leaves_nothing_and_no_one_to_write(ledger: Ledger, database: Database) -> None:
    [job] = submitted(ledger, "Honey")
    lease = taken(ledger, job.id)
    ledger.keep(lease, "write", "writer", "d", "secret words", Usage(1, 1, 1), 1)
    ledger.delete(job.id)
    with pytest.raises(LeaseLost):
        ledger.append(lease, [News("text", "write", {"text": "x"}, once="x")])
    with pytest.raises(LeaseLost):
        ledger.keep(lease, "write", "writer", "e", "more", Usage(1, 1, 1), 2)
    with pytest.raises(JobUnknown):
        ledger.job(job.id)
    assert ledger.events(job.id) == []
    assert ledger.recall(lease, "write", "d") is None


def test_numbers_are_counted(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    lease = taken(ledger, job.id)
    ledger.append(lease, [], finished=("write", 0.7))
    ledger.finish(lease, ARTICLE, ("arrange", 0.2))
    tallies = {(name, tuple(sorted(labels.items()))): value for name, labels, value in ledger.tallies()}
    assert tallies["jobs_submitted", (("queue", "interactive"),)] == 1
    assert tallies["jobs_ended", (("queue", "interactive"), ("state", "done"))] == 1
    assert tallies["step_seconds_sum", (("step", "write"),)] == pytest.approx(0.7)
    assert tallies["step_seconds_bucket", (("le", "1"), ("step", "write"))] == 1
    assert ledger.counts() == [("interactive", "done", 1)]


# --- whom nobody rang for ------------------------------------------------------------------------------------------


def test_who_was_not_rung_for_is_found_oldest_first(ledger: Ledger) -> None:
    a, b = submitted(ledger, "A", "B")
    assert ledger.unheard("interactive", 60, 10) == [], "rung for a moment ago"
    until(lambda: len(ledger.unheard("interactive", 0.05, 10)) == 2, "two jobs to be unheard")
    assert set(ledger.unheard("interactive", 0.05, 10)) == {a.id, b.id}
    ledger.rang([a.id, b.id])
    assert ledger.unheard("interactive", 60, 10) == []
    assert ledger.unheard("batch", 0, 10) == []


def test_what_was_begun_has_a_route_of_its_own(ledger: Ledger) -> None:
    fresh, begun = submitted(ledger, "Fresh", "Begun")
    ledger.put_back(taken(ledger, begun.id))
    found = ledger.job(begun.id)
    assert (fresh.route, found.queue, found.route) == ("interactive", "interactive", "interactive.begun")
    assert ledger.unheard("interactive", 0, 10, begun=True) == [begun.id]
    assert ledger.unheard("interactive", -1, 10, begun=False) == [fresh.id]
    assert [ledger.queued("interactive", begun=b) for b in (True, False, None)] == [1, 1, 2]


def test_webhooks_are_due_once_the_job_ended(ledger: Ledger) -> None:
    hook = {"url": "https://example.org/", "secret": "s" * 16}
    [job] = submitted(ledger, "Honey", webhook=hook)
    assert ledger.due_webhooks() == []
    ledger.finish(taken(ledger, job.id), ARTICLE)
    [(due, told)] = ledger.due_webhooks()
    assert (due.id, told) == (job.id, hook)
    assert ledger.due_webhooks() == [], "somebody is at it"
    ledger.webhook_failed(job.id, "500", 0)
    assert [d.id for d, _ in ledger.due_webhooks()] == [job.id]
    ledger.webhook_sent(job.id)
    assert ledger.due_webhooks() == []
    assert ledger.job(job.id).webhook_state == "sent"
