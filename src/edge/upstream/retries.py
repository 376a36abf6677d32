"""Whether a failed attempt is made again at the same provider, and after what wait (docs/routing.md).

A budget bounds what retries add to a provider's load: over time at most one for each five first tries, plus
three in ten seconds; ten at once. Without it, everybody's retries would multiply an overload.
"""

from collections import OrderedDict
from collections.abc import Callable
from random import uniform
from typing import NamedTuple

DEFAULT_BACKOFF_S = 0.25
DEFAULT_MAX_BACKOFF_S = 4.0
# In fifths of a retry, so that adding them up is exact: what a retry takes, what a first try earns, what
# comes by itself, and the most that is kept.
_RETRY = 5.0
_FIRST_TRY = 1.0
_PER_SECOND = 1.5
_MOST = 10 * _RETRY
MAX_PROVIDERS = 4096


class RetryPolicy(NamedTuple):
    """Of a router."""

    most: int = 0
    """How often a rule is tried again before the next one is."""
    backoff_s: float = DEFAULT_BACKOFF_S
    max_backoff_s: float = DEFAULT_MAX_BACKOFF_S

    def wait_s(self, retry: int, retry_after_s: float | None) -> float | None:
        """How long to wait before the `retry`-th one (from 1); None: not at all, since the provider asks for
        more time than anybody would wait.

        Doubles each time. Up to half is left off at random, so that what failed together doesn't come back
        together; what the provider asks for is kept to.
        """
        wait_s = min(self.backoff_s * 2 ** (retry - 1), self.max_backoff_s)
        wait_s = uniform(wait_s / 2, wait_s)
        if retry_after_s is None:
            return wait_s
        return max(wait_s, retry_after_s) if retry_after_s <= self.max_backoff_s else None


NO_RETRIES = RetryPolicy()


class RetryBudgets:
    """A bucket for each provider, in each worker by itself; only of providers whose routers retry."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        # What is left, and since when.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def tried(self, provider_id: str) -> None:
        """A first try: it earns a part of a retry."""
        left, _ = self._filled(provider_id)
        self._keep(provider_id, left + _FIRST_TRY)

    def take(self, provider_id: str) -> bool:
        """Whether one more retry may be made; it is counted."""
        left, _ = self._filled(provider_id)
        if left < _RETRY:
            return False
        self._keep(provider_id, left - _RETRY)
        return True

    def _filled(self, provider_id: str) -> tuple[float, float]:
        now_s = self._now_s()
        left, since_s = self._buckets.get(provider_id, (_MOST, now_s))
        return min(_MOST, left + _PER_SECOND * (now_s - since_s)), now_s

    def _keep(self, provider_id: str, left: float) -> None:
        self._buckets[provider_id] = (min(_MOST, left), self._now_s())
        self._buckets.move_to_end(provider_id)
        if len(self._buckets) > MAX_PROVIDERS:
            self._buckets.popitem(last=False)
