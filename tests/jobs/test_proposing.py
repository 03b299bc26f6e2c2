"""A proposal for a job's article, by HTTP, shell and toolbox alike: the day's tokens, the libraries, the references."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from articles import composed
from fastapi.testclient import TestClient
from PIL import Image
from scripted import ScriptedServer, article_answers
from shell import Shell

from limner.agents.meter import Usage
from limner.jobs.history.proposing import propose_for_job
from limner.jobs.history.revisions import Revisions
from limner.jobs.libraries import names_for, opener
from limner.jobs.owners import Owner
from limner.jobs.request import JobRequest
from limner.jobs.service import Jobs
from limner.jobs.uploads import keep
from limner.settings import Settings
from limner.surfaces.http.app import create_app
from limner.surfaces.toolbox.tools import Toolbox
from limner.tools.editing.commands import PlaceImage, Regenerate
from limner.tools.encoders import default_encoders
from limner.tools.library import Library
from limner.workflows.context import Context, build_context
from limner.workflows.tenants import Tenant

INSTRUCTION = "Shorten the first paragraph."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer(article_answers(sees=True)) as made:
        monkeypatch.setenv("LIMNER_MODEL_URL", made.url)
        yield made


@pytest.fixture
def jobs(bees: Path, home: Path, server: ScriptedServer) -> Iterator[Jobs]:
    made = Jobs(Settings(home=home))
    yield made
    made.close()


def finished(jobs: Jobs, **request: object) -> str:
    records = Library.open(jobs.settings.home, "bees", default_encoders()).records()
    made = JobRequest.model_validate({"brief": "How bees make honey", "library": ["bees"], **request})
    [(job, _)] = jobs.submit([made], jobs.owners.get("local"))
    lease = jobs.ledger.take(job.id, "w")
    assert lease
    jobs.ledger.finish(lease, composed(records))
    return job.id


def by_http(jobs: Jobs, job: str, shell: Shell) -> str:
    with TestClient(create_app(jobs.settings, jobs), base_url="http://localhost:8642") as client:
        body = {"version": 1, "instruction": {"do": "instruct", "text": INSTRUCTION}}
        return client.post(f"/v1/jobs/{job}/proposals", json=body).json()["detail"]


def by_shell(jobs: Jobs, job: str, shell: Shell) -> str:
    return shell("revise", "ask", job, INSTRUCTION).err


def by_tool(jobs: Jobs, job: str, shell: Shell) -> str:
    tools = Toolbox(build_context(jobs.settings, library="bees"), jobs).tools(Tenant())
    with pytest.raises(Exception, match="tokens") as refused:
        tools.revise(job, INSTRUCTION)
    return str(refused.value)


@pytest.mark.parametrize("way", [by_http, by_shell, by_tool])
def test_whoever_has_spent_the_days_tokens_asks_no_model(
    jobs: Jobs, server: ScriptedServer, shell: Shell, way: Callable[[Jobs, str, Shell], str]
) -> None:
    job = finished(jobs)
    jobs.owners.limit("local", tokens_a_day=100)
    jobs.ledger.paid(job, "revise", {"reviser": Usage(1, 90, 10)})
    assert "local has reached today's limit" in way(jobs, job, shell)
    assert server.requests == []


def test_a_proposal_stops_at_what_is_left_of_the_day(jobs: Jobs, server: ScriptedServer) -> None:
    job = finished(jobs)
    jobs.owners.limit("local", tokens_a_day=100)
    tools = Toolbox(build_context(jobs.settings, library="bees"), jobs).tools(Tenant())
    with pytest.raises(Exception, match="budget of 100"):
        tools.revise(job, INSTRUCTION)
    assert server.requests == []


def test_a_job_may_use_what_it_names_what_its_article_shows_and_its_owners_uploads(jobs: Jobs) -> None:
    job = finished(jobs)
    article = Revisions(jobs.ledger).show(job).article
    context = Context(jobs.settings, [])
    assert names_for(jobs, job, article) == ["bees"]
    own, _ = keep(context, Owner("local"), png(), "swarm.png", "A swarm in a chimney")
    keep(context, Owner("ann"), png("olive"), "other.png", "Another's")
    assert names_for(jobs, job, article) == ["bees", own.name]
    assert names_for(jobs, job, article, Owner("ann", libraries=())) == [Owner("ann").own_library]


def test_images_chosen_anew_are_of_the_jobs_libraries_and_its_references_first(jobs: Jobs) -> None:
    """The brief of a revision knew no references: a person's own images were as good as any other."""
    context = Context(jobs.settings, [])
    own, mine = keep(context, Owner("local"), png(), "ship.png", "A container ship in a harbour")
    _, other = keep(context, Owner("local"), png("olive"), "tax.png", "A tax form on a desk")
    job = finished(jobs, references=[mine.id], images=2)
    article = Revisions(jobs.ledger).show(job).article
    proposal = propose_for_job(jobs, job, article, Regenerate(what="images"), context, opener(context))
    placed = [edit for edit in proposal.edits if isinstance(edit, PlaceImage)]
    assert (own.name, mine.id) in {(edit.library, edit.image_id) for edit in placed}
    assert other.id not in {edit.image_id for edit in placed}
    assert jobs.ledger.job(job).spent == proposal.spent > 0


def png(colour: str = "navy") -> bytes:
    out = BytesIO()
    Image.new("RGB", (300, 200), colour).save(out, "PNG")
    return out.getvalue()
