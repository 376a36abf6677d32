"""Which rule a request goes to, by what the rules say of it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.edge.fake_ledger import FakeLedger, grant, price, rule
from tests.edge.path.test_answers import MESSAGES, PATH, post

Start = Callable[..., Any]


@pytest.mark.parametrize(
    ("when", "taken"),
    [
        ('model.startsWith("gpt-")', True),
        ("prompt_bytes < 50", False),
        ("stream", False),
        ("output_limit == 5", True),
        ('"batch" in tags', True),
        ('end_user == "ann"', True),
        ('family == "chat" && key_id == "key-1"', True),
        ("hour >= 0 && hour < 24 && weekday >= 1 && weekday <= 7", True),
        ("not readable", False),
    ],
)
async def test_a17_expressions_choose_the_rule(start: Start, when: str, taken: bool) -> None:
    """What the rule's expression says of this very request decides; the next one serves the others."""
    edge = await start(FakeLedger(grant(rule("if", when=when), rule("else")), price("gpt-4o-mini")))
    content = {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 5, "user": "ann"}
    async with edge.client as client:
        answer = await client.post(PATH, json=content, headers={"x-tollkeeper-tags": "batch"})

    assert answer.headers["x-tollkeeper-provider"] == ("if" if taken else "else")


async def test_a16_no_rule_takes_the_request(start: Start) -> None:
    """403 before anything is sent, and the next request of the same key is judged anew."""
    edge = await start(FakeLedger(grant(rule("only", when="stream")), price("gpt-4o-mini")))
    refused = await post(edge)
    served = await post(edge, stream=True)

    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert served.status_code == 200
    assert len(edge.ledger.opened) == 1
