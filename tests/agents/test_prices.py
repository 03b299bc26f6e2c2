"""What tokens cost: providers' prices, one's own, none; a limit of money stops before the call that exceeds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from scripted import ScriptedChatModel, ScriptedServer, in_turn

from limner.agents.meter import Meter
from limner.agents.prices import free, price_of
from limner.errors import BadInput, BudgetReached
from limner.settings import Settings
from limner.workflows.models import connect, handed

HELLO = [HumanMessage("Say hello.")]
OPENAI = "https://api.openai.com/v1"
MILLION = 1_000_000


def test_a_provider_s_model_costs_what_it_publishes(tmp_path: Path) -> None:
    """gpt-4o: 2.50 dollars per million tokens of prompt, 1.25 from the cache, 10 of completion."""
    price = price_of("gpt-4o", OPENAI, tmp_path)
    assert price
    assert price(MILLION, 0, 0) == pytest.approx(2.5)
    assert price(MILLION, 0, MILLION) == pytest.approx(1.25)
    assert price(0, MILLION, 0) == pytest.approx(10)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://localhost:8000/v1",
        "http://192.168.1.7/v1",
        "http://[::1]:80/v1",
        "http://gpu/v1",
        "http://gpu.local",
    ],
)
def test_a_server_of_one_s_own_costs_nothing(tmp_path: Path, url: str) -> None:
    """Whatever its model is called."""
    assert price_of("gpt-4o", url, tmp_path) is free


@pytest.mark.parametrize(("model", "url"), [("gpt-4o", "https://example.org/v1"), ("no-such-model", OPENAI)])
def test_a_price_that_nobody_knows_is_none(tmp_path: Path, model: str, url: str) -> None:
    assert price_of(model, url, tmp_path) is None


def test_prices_of_one_s_own_come_first(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text(
        '["gpt-4o"]\ninput = 1\noutput = 2\ncached = 0.5\n["mine"]\ninput=4\noutput=8\n'
    )
    (own, mine) = (price_of(name, OPENAI, tmp_path) for name in ("gpt-4o", "mine"))
    assert own
    assert mine
    assert own(MILLION, MILLION, MILLION // 2) == pytest.approx(0.5 + 0.25 + 2)
    assert mine(MILLION, 0, 2 * MILLION) == pytest.approx(4), "a server cannot take more from its cache than it read"


@pytest.mark.parametrize(
    "text", ["[", '["m"]\ninput = 1\n', '["m"]\ninput = "x"\noutput = 1\n', '["m"]\ninput = -1\noutput = 1\n', "m = 3"]
)
def test_a_table_that_cannot_be_read_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(BadInput, match=r"prices\.toml") as caught:
        price_of("m", OPENAI, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_limit_of_money_stops_before_the_call(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('["m"]\ninput = 1000\noutput = 10000\n')
    with ScriptedServer(in_turn("hello")) as server:
        meter = Meter(max_cost=0.6)
        voice = connect(server.url, "m", "writer", meter, Settings(home=tmp_path))
        voice.say(HELLO, max_tokens=50)
        (used,) = [asked.usage for asked in server.log]
        assert meter.cost == pytest.approx(used["prompt_tokens"] / 1000 + used["completion_tokens"] / 100)
        with pytest.raises(BudgetReached, match=r"limit of \$0\.60 .* --max-cost") as caught:
            voice.say(HELLO, max_tokens=60)
    assert len(server.requests) == 1, "the second call was never made"
    assert "\n" not in str(caught.value)


def test_a_limit_of_money_needs_a_price(tmp_path: Path) -> None:
    voice = handed(ScriptedChatModel(lines=["hello"]), "writer", Meter(max_cost=1), Settings(home=tmp_path))
    with pytest.raises(BadInput, match=r"prices\.toml"):
        voice.say(HELLO, max_tokens=5)
    voice.meter.max_cost = None
    assert voice.say(HELLO, max_tokens=5) == "hello"
    assert voice.meter.cost == 0
