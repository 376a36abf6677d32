"""B6: a provider given in the body, in the model's name, or found by who sells the model."""

from typing import Any

import orjson
import pytest

from edge.upstream.breakers import BreakerKey
from tests.edge.fake_ledger import FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge
from tests.edge.path.test_answers import Start, post
from tollkeeper.conditions import Ending, Failure

AI_PATH = "/v1/ai/chat/completions"
PATH = "/v1/chat/completions"


@pytest.fixture
async def two(start: Start) -> Edge:
    """An edge with a rule to Groq before one to OpenAI, which sells the model."""
    rules = rule("first", provider_type="groq"), rule("second")
    made = await start(FakeLedger(grant(*rules), price("gpt-4o-mini")))
    assert isinstance(made, Edge)
    return made


def trip(edge: Edge) -> None:
    """Somebody's provider is sick, so that breakers are asked at all."""
    for _ in range(10):
        edge.breakers.failed(BreakerKey("customer-2", "provider", "model"), Ending(503, Failure.OTHER))
    assert edge.breakers.tripped


def asked_models(edge: Edge) -> list[Any]:
    """What the vendors were asked for, in order."""
    return [orjson.loads(str(each["body"]))["model"] for each in edge.simulator.captures.last(10)]


@pytest.mark.parametrize(
    ("path", "fields", "served_by"),
    [
        (AI_PATH, {"provider": "groq"}, "first"),
        (AI_PATH, {"model": "groq/gpt-4o-mini"}, "first"),
        (PATH, {"model": "openai/gpt-4o-mini"}, "second"),
        (AI_PATH, {}, "second"),
        (PATH, {}, "first"),
    ],
)
async def test_b6_named_or_inferred(two: Edge, path: str, fields: dict[str, str], served_by: str) -> None:
    """A17's order holds where nobody is named; under /v1/ai only those that sell the model count then."""
    answer = await post(two, path=path, **fields)

    assert answer.status_code == 200
    assert answer.headers["x-tollkeeper-provider"] == served_by
    assert two.ledger.opened[0].plan.model == "gpt-4o-mini"
    assert asked_models(two) == ["gpt-4o-mini"]


async def test_b6_whoever_sells_it_but_waits_for_a_failure(start: Start) -> None:
    """A rule that waits is never first: where no other is of who sells the model, the order holds."""
    sells = rule("second", condition="on_status", statuses=[503])
    edge = await start(FakeLedger(grant(rule("first", provider_type="groq"), sells), price("gpt-4o-mini")))
    for tripped in (False, True):
        if tripped:
            trip(edge)
        answer = await post(edge, path=AI_PATH)
        assert (answer.status_code, answer.headers["x-tollkeeper-provider"]) == (200, "first")


async def test_b6_nobody_of_that_name(two: Edge) -> None:
    """It is a model like any other, and counted as one without a price."""
    answer = await post(two, model="nobody/gpt-4o-mini")

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "model_not_priced"
    assert two.ledger.missing_models.names == ["nobody/gpt-4o-mini"]


async def test_b6_a_model_with_a_slash_of_its_own(start: Start) -> None:
    """What has a price as it is named is asked for as it is named."""
    edge = await start(FakeLedger(grant(rule("openai")), price("openai/gpt-4o-mini")))
    await post(edge, model="openai/gpt-4o-mini")

    assert asked_models(edge) == ["openai/gpt-4o-mini"]
