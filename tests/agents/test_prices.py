"""What tokens cost: providers' prices, one's own, none; a limit of money stops before the call that exceeds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from scripted import ScriptedChatModel, ScriptedServer, in_turn

from limner.agents.meter import Meter
from limner.agents.prices import near, price_of
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
        "http://localhost:8000/v1",
        "http://192.168.1.7/v1",
        "http://[::1]:80/v1",
        "http://gpu/v1",
        "http://gpu.local",
    ],
)
def test_a_server_of_one_s_own_costs_nothing(tmp_path: Path, url: str) -> None:
    """Whatever its model is called."""
    assert price_of("gpt-4o", url, tmp_path) is near


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


def test_a_gateway_nearby_is_not_free_where_money_is_limited(tmp_path: Path) -> None:
    """It may pass its calls on to a provider."""
    with ScriptedServer(in_turn("hello")) as server:
        voice = connect(server.url, "gpt-4o", "writer", Meter(max_cost=1), Settings(home=tmp_path))
        with pytest.raises(BadInput, match=r"prices\.toml"):
            voice.say(HELLO, max_tokens=5)
        (tmp_path / "prices.toml").write_text('["gpt-4o"]\ninput = 0\noutput = 0\n')
        assert connect(server.url, "gpt-4o", "writer", Meter(max_cost=1), Settings(home=tmp_path)).say(
            HELLO, max_tokens=5
        )
    assert len(server.requests) == 1


def test_a_model_that_is_handed_over_is_priced_by_its_name_and_its_client_s_address(tmp_path: Path) -> None:
    model = ScriptedChatModel(lines=["hello"])
    name = handed(model, "writer", Meter(), Settings(home=tmp_path)).name
    (tmp_path / "prices.toml").write_text(f'["{name}"]\ninput = 1\noutput = 1\n')
    price = handed(model, "writer", Meter(), Settings(home=tmp_path)).price
    assert price
    assert price(MILLION, 0, 0) == pytest.approx(1)
    elsewhere = ChatOpenAI(model="gpt-4o", api_key=SecretStr("k"), base_url="https://example.org/v1")
    assert handed(elsewhere, "writer", Meter(), Settings(home=tmp_path)).price is None
    openai = ChatOpenAI(model="gpt-4o", api_key=SecretStr("k"), base_url=OPENAI)
    assert handed(openai, "writer", Meter(), Settings(home=tmp_path)).price is not None


def test_an_unreadable_table_stops_nobody_whose_money_is_not_limited(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "prices.toml").write_text("[")
    with ScriptedServer(in_turn("hello")) as server:
        assert connect(server.url, "m", "writer", Meter(), Settings(home=tmp_path)).say(HELLO, max_tokens=5) == "hello"
        assert "prices.toml" in caplog.text
        with pytest.raises(BadInput, match=r"prices\.toml") as caught:
            connect(server.url, "m", "writer", Meter(max_cost=1), Settings(home=tmp_path))
    assert str(tmp_path) not in caught.value.afar


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_limits_nothing_is_refused(limit: float) -> None:
    with pytest.raises(BadInput, match="none"):
        Meter(max_cost=limit)


def test_a_meter_of_two_articles_tells_them_apart() -> None:
    meter = Meter()
    meter.count("writer", 100, 10, cost=1)
    before = meter.spent()
    meter.count("writer", 7, 3, cost=0.5)
    meter.count("selector", 5, 1)
    mine = meter.spent_since(
        before, {"writer": {**before["writer"], "prompt": 1, "completion": 0, "calls": 1, "cost": 0}}
    )
    assert (mine["writer"]["prompt"], mine["writer"]["calls"], mine["writer"]["cost"]) == (8, 2, 0.5)
    assert mine["selector"]["completion"] == 1
