"""What vendors' own errors lead to, in their own formats: OpenAI's, Anthropic's and Google's, and
Cloudflare's in front of each."""

from collections.abc import Callable
from typing import Any

import pytest

from edge.admission import UsageState
from tests.edge.fake_ledger import FakeLedger, grant, price, rule
from tests.edge.path.test_answers import post
from tollkeeper.v1.routers_pb2 import Retries

Start = Callable[..., Any]
VOIDED, ESTIMATED = UsageState.USAGE_STATE_VOIDED, UsageState.USAGE_STATE_ESTIMATED
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash"}

# How the first attempt ends, whether the next rule serves, what is booked, and how often the first was tried
# where its router retries.
ROWS = [
    ("status=500", True, VOIDED, "upstream_error", 2),
    ("status=503", True, VOIDED, "upstream_error", 2),
    ("status=529", True, VOIDED, "upstream_error", 2),
    ("status=504", True, ESTIMATED, "upstream_timeout", 1),
    ("status=408", True, ESTIMATED, "upstream_timeout", 1),
    ("status=429+retry_after=0", True, VOIDED, "rate_limited", 2),
    ("status=429+retry_after=90", True, VOIDED, "rate_limited", 1),
    ("status=400", False, VOIDED, "refused", 1),
    ("status=401", False, VOIDED, "provider_credential", 1),
    ("status=402", False, VOIDED, "provider_quota", 1),
    ("status=403", False, VOIDED, "refused", 1),
    ("status=404", False, VOIDED, "refused", 1),
    ("code=2005", True, ESTIMATED, "gateway_2005", 2),
    ("code=2003", True, VOIDED, "rate_limited", 2),
    ("code=2041", True, VOIDED, "provider_quota", 1),
    ("code=2009", False, VOIDED, "provider_credential", 1),
    ("code=2021", False, VOIDED, "provider_quota", 1),
    ("code=2016", False, VOIDED, "blocked", 1),
    ("code=2017", False, ESTIMATED, "blocked", 1),
    ("code=7013", True, ESTIMATED, "upstream_error", 1),
]


@pytest.mark.parametrize("provider_type", MODELS)
@pytest.mark.parametrize(("sim", "next_serves", "state", "why", "tries"), ROWS)
async def test_a17_a18_every_vendors_errors(
    start: Start, provider_type: str, sim: str, next_serves: bool, state: int, why: str, tries: int
) -> None:
    """The same end means the same, whoever says it and in which words; the client reads OpenAI's."""
    model = MODELS[provider_type]
    steered = f"{model}+{sim}"
    first = rule("first", provider_type=provider_type, model_rewrite=steered)
    second = rule("second", model_rewrite="gpt-4o-mini")
    retries = Retries(count=1, backoff_ms=1)
    ledger = FakeLedger(grant(first, second, retries=retries), price(steered), price("gpt-4o-mini"))
    edge = await start(ledger)
    answer = await post(edge, model=model)
    opened = edge.ledger.opened[0]

    assert [(each.state, each.why) for each in opened.ended[:tries]] == [(state, why)] * tries
    assert answer.headers["x-tollkeeper-provider"] == ("second" if next_serves else "first")
    if next_serves:
        assert len(opened.ended) == tries + 1
        assert answer.status_code == 200
    else:
        assert len(opened.ended) == 1
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
