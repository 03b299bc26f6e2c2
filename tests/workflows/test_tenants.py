"""Libraries that a long-lived process keeps open, and what others do to them meanwhile."""

from __future__ import annotations

from pathlib import Path

from tiny_siglip import make_siglip

from limner.tools.library import index
from limner.workflows.context import build_context
from limner.workflows.tenants import Tenant, Tenants


def test_a_library_that_was_given_another_encoder_is_opened_anew(bees: Path, home: Path, tmp_path: Path) -> None:
    tenants = Tenants(build_context(library="bees"))
    whose = (Tenant("ada"), Tenant("ben", ("bees",)))
    before = [tenants.scope(tenant) for tenant in whose]
    assert [set(one.search("a bee", 1)[0].scores) for one in before] == [{"caption", "words"}] * 2
    assert tenants.scope(whose[1]).context.libraries[0] is before[1].context.libraries[0]  # opened once
    index(home, "bees", [bees], tenants.context.encoders, encoder=str(make_siglip(tmp_path / "tiny")))
    for one in before:  # a call that has begun is answered with the new ones
        assert set(one.search("a bee", 1)[0].scores) == {"caption", "words", "clip"}
    after = [tenants.scope(tenant).search("a bee", 40) for tenant in whose]
    assert [{name for hit in found for name in hit.scores} for found in after] == [{"caption", "words", "clip"}] * 2
    assert {hit.library for hit in after[0]} == {"bees"}
    assert tenants.open(["bees"])[0].is_current()
