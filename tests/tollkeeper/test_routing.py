"""Which attempts a request gets, and in which order: the one planning of edge and dry run."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.conditions import Ending, Failure, answers_to, waits
from tollkeeper.errors import Reason
from tollkeeper.expressions import Facts
from tollkeeper.model_match import ModelList
from tollkeeper.routing import Plan, Skip, drawn, plan, prepare, with_prices
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
    facts: Facts | None = None,
) -> Plan[Rule]:
    """The plan; rules named in `unreachable` lead nowhere, those in `unserving` to other kinds of
    requests."""
    prepared = prepare(rules, lambda each: each.rule_id not in unreachable.split())
    return plan(prepared, ALL, ALL, model, provider, lambda each: each.rule_id not in unserving, facts)


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


def test_conditions_have_an_order_of_their_own() -> None:
    """In one priority what answers to one kind of failure comes before what answers to all."""
    conditions = ["fallback", "on_timeout", "on_status", "on_rate_limit", "primary"]
    found = planned(*(rule(each, condition=each) for each in conditions))
    assert groups(found) == [["primary"], ["on_status"], ["on_rate_limit"], ["on_timeout"], ["fallback"]]


def test_rules_that_wait_for_a_failure_are_never_first() -> None:
    """Whatever their priority, they come after a rule that doesn't wait; without one nothing is tried."""
    late = rule("late", condition="on_timeout", priority=3)
    early = rule("early", condition="on_status", statuses=[503])
    found = planned(early, late, rule("first", priority=2))
    assert groups(found) == [["first"], ["late"]]
    assert found.skipped == ((early, Skip.NEVER_FIRST),)
    refusal = planned(early, late).refusal
    assert refusal is not None
    assert refusal.reason == Reason.MODEL_NOT_ALLOWED


def test_expressions_choose_among_rules() -> None:
    """A rule takes what its expression is true of; one that can't be read takes nothing; unasked, all do."""
    rules = [
        rule("small", when="prompt_bytes < 100"),
        rule("broken", when="prompt_bytes <"),
        rule("any"),
        rule("spare", when='"vip" in tags', condition="fallback"),
    ]
    assert groups(planned(*rules, facts=Facts(prompt_bytes=5))) == [["small"], ["any"]]
    assert groups(planned(*rules, facts=Facts(prompt_bytes=500, tags=("vip",)))) == [["any"], ["spare"]]
    assert groups(planned(*rules)) == [["small"], ["broken"], ["any"], ["spare"]]
    refusal = planned(rules[0], facts=Facts(prompt_bytes=500)).refusal
    assert refusal is not None
    assert refusal.reason == Reason.MODEL_NOT_ALLOWED


def test_a_rule_without_a_price_leaves_no_waiting_rule_first() -> None:
    """What only the waiting rule could bill isn't served: there is nothing it could follow."""
    first, waiting, last = rule("first"), rule("waiting", condition="on_timeout"), rule("last")
    prices = {"waiting": 1, "last": 2}
    found = with_prices([first, waiting, last], lambda each: prices.get(each.rule_id), waits, "m")
    assert found == ([(last, 2)], [(first, Skip.NOT_PRICED), (waiting, Skip.NEVER_FIRST)], None)
    *_, refusal = with_prices([first, waiting], lambda each: prices.get(each.rule_id), waits, "m")
    assert refusal is not None
    assert refusal.reason == Reason.MODEL_NOT_PRICED


@pytest.mark.parametrize(
    ("condition", "status", "failure", "answers"),
    [
        ("primary", 503, Failure.OTHER, True),
        ("fallback", 0, Failure.TIMEOUT, True),
        ("fallback", 429, Failure.RATE_LIMIT, True),
        ("fallback", 400, Failure.REFUSED, False),
        ("primary", 401, Failure.REFUSED, False),
        ("on_status", 503, Failure.OTHER, True),
        ("on_status", 500, Failure.OTHER, False),
        ("on_status", 401, Failure.REFUSED, True),
        ("on_status", 0, Failure.TIMEOUT, False),
        ("on_timeout", 0, Failure.TIMEOUT, True),
        ("on_timeout", 504, Failure.TIMEOUT, True),
        ("on_timeout", 503, Failure.OTHER, False),
        ("on_rate_limit", 429, Failure.RATE_LIMIT, True),
        ("on_rate_limit", 529, Failure.OTHER, False),
    ],
)
def test_a17_which_rule_answers_to_which_failure(
    condition: str, status: int, failure: Failure, answers: bool
) -> None:
    """A17: a final refusal stays final, but for a rule that names its status."""
    statuses = [401, 503] if condition == "on_status" else []
    named = rule("a", condition=condition, statuses=statuses)
    assert answers_to(named, Ending(status, failure)) is answers


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
