"""Counts failures per name within a window of time; bounded in memory, whatever names callers make up."""

from collections import OrderedDict


class Throttle:
    """Refuses a name after `limit` failures within `window_s`. The oldest of more than `capacity` names are
    forgotten."""

    def __init__(self, limit: int, window_s: float, capacity: int) -> None:
        self._limit = limit
        self._window_s = window_s
        self._capacity = capacity
        # name → (when its window began, failures since).
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, name: str, now_s: float) -> float:
        """How long the name has to wait; 0 when it may try."""
        begin_s, count = self._failures.get(name, (now_s, 0))
        if count < self._limit:
            return 0.0
        return max(0.0, begin_s + self._window_s - now_s)

    def failed(self, name: str, now_s: float) -> None:
        """Counts one failure."""
        begin_s, count = self._failures.pop(name, (now_s, 0))
        if now_s - begin_s >= self._window_s:
            begin_s, count = now_s, 0
        self._failures[name] = (begin_s, count + 1)
        if len(self._failures) > self._capacity:
            self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forgets the name's failures."""
        self._failures.pop(name, None)
