"""Who may do what: tokens, libraries, limits."""

from __future__ import annotations

import math

import pytest
from sqlalchemy import text

from limner.errors import BadInput, NotAllowed
from limner.jobs.ledger.database import Database
from limner.jobs.owners import LOCAL, Owners
from limner.settings import Settings


@pytest.fixture
def owners(database: Database) -> Owners:
    return Owners(database, Settings())


def test_with_no_token_everybody_is_local(owners: Owners) -> None:
    assert not owners.closed()
    assert owners.whose(None).name == LOCAL
    assert owners.whose(None).may_use("anything")


def test_a_token_names_its_owner(owners: Owners) -> None:
    token = owners.add_token("anna", libraries=["garden"])
    assert owners.closed()
    anna = owners.whose(token)
    assert (anna.name, anna.libraries) == ("anna", ("garden",))
    assert anna.may_use("garden")
    assert anna.may_use("starter")
    assert not anna.may_use("archive")
    for wrong in (None, "", token[:-1], token + "x", "limner_"):
        with pytest.raises(NotAllowed, match="needs a token"):
            owners.whose(wrong)


def test_the_database_cannot_give_tokens_away(owners: Owners, database: Database) -> None:
    token = owners.add_token("anna")
    with database.read() as c:
        stored = repr([tuple(row) for row in c.execute(text("SELECT * FROM tokens"))])
    assert token not in stored
    assert token.removeprefix("limner_") not in stored


def test_removing_the_last_token_opens_nothing(owners: Owners) -> None:
    token = owners.add_token("anna")
    assert owners.remove_tokens("anna") == 1
    assert owners.closed()
    for wrong in (None, token):
        with pytest.raises(NotAllowed):
            owners.whose(wrong)


def test_a_second_token_while_the_first_still_works(owners: Owners) -> None:
    first, second = owners.add_token("anna"), owners.add_token("anna")
    assert owners.whose(first) == owners.whose(second)
    assert [(o.name, n) for o, n in owners.list()] == [("anna", 2)]


def test_the_environment_s_token(database: Database) -> None:
    owners = Owners(database, Settings(token="geheim-geheim"))  # type: ignore[arg-type]
    assert owners.closed()
    assert owners.whose("geheim-geheim").name == LOCAL
    with pytest.raises(NotAllowed):
        owners.whose("geheim")
    with pytest.raises(NotAllowed):
        owners.whose("gehéim")


def test_limits_are_set_and_lifted(owners: Owners) -> None:
    owners.add_token("anna")
    owners.limit("anna", jobs_at_a_time=2, tokens_a_day=1000)
    assert owners.get("anna").jobs_at_a_time == 2
    owners.limit("anna", jobs_at_a_time=0, libraries=["garden"])
    anna = owners.get("anna")
    assert (anna.jobs_at_a_time, anna.tokens_a_day, anna.libraries) == (None, 1000, ("garden",))
    owners.limit("anna", dollars_a_day=2.5)
    assert (owners.get("anna").dollars_a_day, owners.get("anna").tokens_a_day) == (2.5, 1000)
    owners.limit("anna", dollars_a_day=0)
    assert owners.get("anna").dollars_a_day is None
    for wrong in (-1.0, 100_001.0, math.inf, math.nan):
        with pytest.raises(BadInput, match="a day are no limit"):
            owners.limit("anna", dollars_a_day=wrong)
    owners.limit(LOCAL, jobs_a_minute=5)
    assert owners.get(LOCAL).jobs_a_minute == 5
    assert not owners.closed() or owners.list()[0][0].name == "anna"


def test_limits_of_the_local_owner_close_nothing(owners: Owners) -> None:
    owners.limit(LOCAL, jobs_a_minute=5)
    assert not owners.closed()


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "a\nb", "ä'--"])
def test_names_that_cannot_be(owners: Owners, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be an owner's name"):
        owners.add_token(name)


def test_an_unknown_owner_has_no_limits_to_set(owners: Owners) -> None:
    with pytest.raises(BadInput, match="Unknown owner 'nobody'"):
        owners.limit("nobody", jobs_at_a_time=1)
