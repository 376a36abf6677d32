"""What people type, read."""

import io

import pytest

from clients.cli.commands import changes
from clients.cli.failures import UsageProblem, one_line
from clients.cli.keys import new_budget
from clients.cli.options import PeriodName, initial_budget, secret, time, usd
from clients.cli.prices import parse_step
from clients.cli.routers import parse_deadlines, parse_retries, parse_rule
from clients.cli.session import collect
from tollkeeper.v1.budgets_pb2 import Budget, InitialBudget, Period
from tollkeeper.v1.keys_pb2 import Key
from tollkeeper.v1.prices_pb2 import Rates, RateStep
from tollkeeper.v1.routers_pb2 import Deadlines, Retries, RoutingRule


def test_a_rule() -> None:
    """Every part of it; models repeat."""
    text = "provider=p1,priority=2,models=gpt-*,models=o3*,condition=fallback,rewrite=gpt-4o,weight=3"
    assert parse_rule(text) == RoutingRule(
        provider_id="p1",
        priority=2,
        allowed_models=["gpt-*", "o3*"],
        condition="fallback",
        weight=3,
        model_rewrite="gpt-4o",
    )
    assert parse_rule("provider=p1") == RoutingRule(provider_id="p1")


def test_a_rule_with_conditions() -> None:
    """Statuses repeat; an expression may have commas, so it comes last."""
    text = "provider=p1,condition=on_status,status=429,status=503,when=model in ['a', 'b'] && x=1"
    assert parse_rule(text) == RoutingRule(
        provider_id="p1",
        condition="on_status",
        statuses=[429, 503],
        when="model in ['a', 'b'] && x=1",
    )


def test_retries_and_deadlines() -> None:
    """Deadlines are in milliseconds, without saying so each time; nothing given is nothing changed."""
    assert parse_retries("count=2,backoff_ms=10") == Retries(count=2, backoff_ms=10)
    assert parse_deadlines("connect=1,first_byte=2,idle=3,total=4") == Deadlines(
        connect_ms=1, first_byte_ms=2, idle_ms=3, total_ms=4
    )
    assert parse_retries(None) is parse_deadlines(None) is None
    with pytest.raises(UsageProblem, match="connect, first_byte, idle, total"):
        parse_deadlines("total_ms=4")
    with pytest.raises(UsageProblem, match="count must be a whole number"):
        parse_retries("count=often")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("priority=1", "a rule needs a provider"),
        ("provider=p1,colour=2", "'colour=2'"),
        ("provider=p1,priority=first", "priority must be a whole number"),
        ("provider=p1,provider=p2", "provider can be given once only"),
        ("provider=", "'provider='"),
        ("", "''"),
    ],
)
def test_a_rule_that_makes_no_sense(text: str, problem: str) -> None:
    """It is said which part, and never guessed."""
    with pytest.raises(UsageProblem, match=problem):
        parse_rule(text)


def test_a_step() -> None:
    """Rates from a prompt length on."""
    expected = RateStep(above_input_tokens=200_000, rates=Rates(input=4_000_000_000, output=18_000_000_000))
    assert parse_step("above=200000,input=4,output=18") == expected
    with pytest.raises(UsageProblem, match="above=TOKENS"):
        parse_step("input=4")


@pytest.mark.parametrize(
    ("text", "nanousd"), [("0.01", 10_000_000), ("$5", 5_000_000_000), ("0.000000001", 1), ("0", 0)]
)
def test_an_amount(text: str, nanousd: int) -> None:
    """Exact to the nano-dollar."""
    assert usd(text) == nanousd


@pytest.mark.parametrize("text", ["", "one", "0.0000000001", "-1", "NaN", "1e12"])
def test_an_amount_that_is_none(text: str) -> None:
    """Refused, never rounded."""
    with pytest.raises(UsageProblem):
        usd(text)


def test_a_time() -> None:
    """RFC 3339 with its zone."""
    assert time("2026-12-01T02:00:00+02:00").ToJsonString() == "2026-12-01T00:00:00Z"
    for text in ("tomorrow", "2026-12-01", "2026-12-01T00:00:00"):
        with pytest.raises(UsageProblem):
            time(text)


def test_a_first_budget() -> None:
    """Nothing said, a limit, a limit with a reset, and none at all are four things."""
    assert initial_budget(None, None) is None
    assert initial_budget("0.01", None) == InitialBudget(limit_nanousd=10_000_000, period=Period.PERIOD_NONE)
    assert initial_budget("1", PeriodName.MONTHLY) == InitialBudget(
        limit_nanousd=1_000_000_000, period=Period.PERIOD_MONTHLY
    )
    assert initial_budget(None, None, unlimited=True) == InitialBudget()
    with pytest.raises(UsageProblem):
        initial_budget(None, PeriodName.DAILY)
    with pytest.raises(UsageProblem):
        initial_budget("1", None, unlimited=True)


def test_a_changed_budget_of_a_key() -> None:
    """What isn't named stays as it is."""
    key = Key(budgets=[Budget(limit_nanousd=5, period=Period.PERIOD_WEEKLY)])
    assert new_budget(key, "1", None, remove=False) == InitialBudget(
        limit_nanousd=1_000_000_000, period=Period.PERIOD_WEEKLY
    )
    assert new_budget(key, None, PeriodName.NONE, remove=False) == InitialBudget(
        limit_nanousd=5, period=Period.PERIOD_NONE
    )
    assert new_budget(key, None, None, remove=True) == InitialBudget()
    with pytest.raises(UsageProblem):
        new_budget(Key(), None, PeriodName.DAILY, remove=False)
    with pytest.raises(UsageProblem):
        new_budget(key, "1", None, remove=True)


def test_a_secret_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input when asked for, else the environment, else none; never an empty one."""
    monkeypatch.setenv("A_SECRET", "from the environment")
    monkeypatch.setattr("sys.stdin", io.StringIO(" from stdin\n"))
    assert secret(True, "A_SECRET", "Secret") == "from stdin"
    assert secret(False, "A_SECRET", "Secret") == "from the environment"
    monkeypatch.delenv("A_SECRET")
    assert secret(False, "A_SECRET", "Secret") is None
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(UsageProblem, match="secret: standard input must hold"):
        secret(True, "A_SECRET", "Secret")


def test_an_update_needs_a_change() -> None:
    """None means not given; False and 0 are values."""
    assert changes(name=None, disabled=False, limit=0) == {"disabled": False, "limit": 0}
    with pytest.raises(UsageProblem):
        changes(name=None)


@pytest.mark.parametrize(("limit", "count"), [(None, 1200), (0, 0), (3, 3), (700, 700), (5000, 1200)])
def test_lists_go_through_all_pages(limit: int | None, count: int) -> None:
    """Without a limit to the last page; with one no more is asked for than needed."""
    asked: list[int] = []

    def page(page_size: int, page_token: str) -> tuple[list[int], str]:
        asked.append(page_size)
        start = int(page_token or "0")
        items = list(range(start, min(start + page_size, 1200)))
        return items, str(items[-1] + 1) if items and items[-1] < 1199 else ""

    assert collect(page, limit) == list(range(count))
    assert limit is None or sum(asked) <= max(limit, 1200 + 500)


def test_messages_are_one_line() -> None:
    """What a server says can't break out of its line, nor move the cursor."""
    assert one_line("no\nsuch\x1b[2J  thing\r") == "no such [2J thing"
