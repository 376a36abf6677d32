"""Which attempts a request gets, and in which order: the one planning of edge and dry run."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.errors import Reason
from tollkeeper.model_match import ModelList
from tollkeeper.routing import Plan, Skip, drawn, plan, prepare
from tollkeeper.v1 import edge_pb2

Rule = edge_pb2.Rule
ALL = ModelList(())


def rule(name: str, **fields: object) -> Rule:
    """A rule of an enabled openai provider."""
    values = {"rule_id": name, "provider_name": name, "provider_type": "openai", "priority": 1}
    return Rule(**{"provider_enabled": True, **values, **fields})  # type: ignore[arg-type]


def planned(
    *rules: Rule,
    model: str = "m",
    provider: str | None = None,
    unreachable: str = "",
    unserving: Sequence[str] = (),
) -> Plan[Rule]:
    """The plan; rules named in `unreachable` lead nowhere, those in `unserving` to other kinds of
    requests."""
    prepared = prepare(rules, lambda each: each.rule_id not in unreachable.split())
    return plan(prepared, ALL, ALL, model, provider, lambda each: each.rule_id not in unserving)


def groups(found: Plan[Rule]) -> list[list[str]]:
    """Names, group by group."""
    return [[each.rule_id for each in group] for group in found.groups]


def test_a17_priority_first_then_condition_then_weight() -> None:
    """A17: lower priorities first; in one, primary before fallback, drawn before fixed, else as given."""
    found = planned(
        rule("later", priority=2, weight=9),
        rule("spare", condition="fallback"),
        rule("plain"),
        rule("heavy", weight=3),
        rule("light", weight=1),
        rule("unknown", condition="on tuesdays"),
        rule("spare-heavy", condition="fallback", weight=2),
    )
    assert groups(found) == [
        ["heavy", "light"],
        ["plain"],
        ["unknown"],
        ["spare-heavy"],
        ["spare"],
        ["later"],
    ]


def test_skipped_rules_say_why() -> None:
    """Every rule is tried or skipped with its reason."""
    found = planned(
        rule("other", provider_type="groq"),
        rule("model", allowed_models=["x"]),
        rule("off", provider_enabled=False),
        rule("nowhere"),
        rule("other kind"),
        rule("on"),
        provider="openai",
        unreachable="nowhere",
        unserving=("other kind",),
    )
    assert groups(found) == [["on"]]
    assert {each.rule_id: skip for each, skip in found.skipped} == {
        "other": Skip.OTHER_PROVIDER,
        "model": Skip.MODEL,
        "off": Skip.DISABLED,
        "nowhere": Skip.UNREACHABLE,
        "other kind": Skip.OPERATION,
    }


@pytest.mark.parametrize(
    ("rules", "provider", "reason"),
    [
        ([], None, Reason.ROUTER_WITHOUT_RULES),
        ([rule("a", allowed_models=["x"])], None, Reason.MODEL_NOT_ALLOWED),
        ([rule("a", provider_enabled=False)], None, Reason.ALL_PROVIDERS_FAILED),
        ([rule("nowhere")], None, Reason.ALL_PROVIDERS_FAILED),
        ([rule("other kind")], None, Reason.ENDPOINT_NOT_SUPPORTED),
        ([rule("a")], "nobody", Reason.INVALID_ARGUMENT),
        (
            [rule("a", allowed_models=["x"]), rule("b", provider_type="groq")],
            "openai",
            Reason.MODEL_NOT_ALLOWED,
        ),
    ],
)
def test_refusals(rules: list[Rule], provider: str | None, reason: Reason) -> None:
    """An empty router, and each way in which no rule is left, has a reason of its own."""
    found = planned(*rules, provider=provider, unreachable="nowhere", unserving=("other kind",))
    assert found.refusal is not None
    assert found.refusal.reason == reason
    assert not found.groups


def test_lists_of_key_and_customer_both_count() -> None:
    """Whichever lacks the model refuses it."""
    prepared = prepare([rule("a")], lambda _: True)
    for lists in ((ModelList(["x"]), ALL), (ALL, ModelList(["x"]))):
        found = plan(prepared, *lists, "m", None, lambda _: True)
        assert found.refusal is not None
        assert found.refusal.reason == Reason.MODEL_NOT_ALLOWED


def test_draws_follow_the_weights() -> None:
    """Over many requests each rule is first as often as its weight says, and the rest follow it."""
    random = Random(7).random
    group = [("a", 6), ("b", 3), ("c", 1)]
    orders = [tuple(each[0] for each in drawn([group], lambda one: one[1], random)) for _ in range(10_000)]
    first = Counter(order[0] for order in orders)
    assert abs(first["a"] - 6000) < 250
    assert abs(first["c"] - 1000) < 150
    # Once `a` is out, b and c share as 3 to 1.
    second = Counter(order[1] for order in orders if order[0] == "a")
    assert abs(second["b"] / first["a"] - 0.75) < 0.03


@given(
    st.lists(st.lists(st.integers(1, 1_000_000), min_size=1, max_size=6), max_size=4),
    st.floats(0, 1, exclude_max=True),
)
def test_a_draw_loses_nothing(weights: list[list[int]], random: float) -> None:
    """Groups stay in order, and each rule comes once."""
    marked = [[(place, each) for each in enumerate(group)] for place, group in enumerate(weights)]
    order = drawn(marked, lambda one: one[1][1], lambda: random)
    assert sorted(order) == sorted(each for group in marked for each in group)
    assert [each[0] for each in order] == sorted(each[0] for each in order)
