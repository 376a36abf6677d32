"""How long a retry waits, and how many a provider gets."""

import pytest

from edge.upstream import retries
from edge.upstream.retries import RetryBudgets, RetryPolicy

POLICY = RetryPolicy(3, 0.1, 1.0)


@pytest.mark.parametrize(("retry", "longest_s"), [(1, 0.1), (2, 0.2), (3, 0.4), (5, 1.0), (9, 1.0)])
def test_waits_double(retry: int, longest_s: float) -> None:
    """Up to the longest, less up to a half at random."""
    waits = [POLICY.wait_s(retry, None) or 0.0 for _ in range(200)]
    assert longest_s / 2 <= min(waits) < max(waits) <= longest_s


def test_a_provider_gets_the_time_it_asks_for() -> None:
    """If anybody would wait so long; never less than the backoff."""
    assert POLICY.wait_s(1, 0.7) == 0.7
    assert 0.05 <= (POLICY.wait_s(1, 0.0) or 0.0) <= 0.1
    assert POLICY.wait_s(1, 1.1) is None


def test_the_budget_is_a_part_of_first_tries() -> None:
    """Ten at once, one for five first tries, three in ten seconds; each provider has its own."""
    now_s = 0.0
    budgets = RetryBudgets(lambda: now_s)
    assert [budgets.take("a") for _ in range(12)] == [True] * 10 + [False] * 2
    for _ in range(10):
        budgets.tried("a")
    assert [budgets.take("a") for _ in range(3)] == [True, True, False]
    assert budgets.take("b")
    now_s = 10.0
    assert [budgets.take("a") for _ in range(4)] == [True] * 3 + [False]


def test_an_overload_is_not_multiplied() -> None:
    """Everything fails and everything wants two retries: the provider sees about a fifth more, not thrice as
    much."""
    now_s = 0.0
    budgets = RetryBudgets(lambda: now_s)
    sent = 0
    for number in range(10_000):
        now_s = number / 1000
        budgets.tried("a")
        sent += 1 + sum(budgets.take("a") for _ in range(2))
    assert 12_000 <= sent <= 12_020


def test_only_so_many_providers_are_kept() -> None:
    """Those tried last."""
    budgets = RetryBudgets(lambda: 0.0)
    for number in range(retries.MAX_PROVIDERS + 5):
        budgets.tried(str(number))
    assert len(budgets._buckets) == retries.MAX_PROVIDERS
