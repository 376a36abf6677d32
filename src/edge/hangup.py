"""What happens when a client hangs up before its answer is complete.

Sanic cancels the connection's task. For a request that is being billed upstream that would throw its usage
away, so by default the task goes on, without a client, until the vendor has told what it cost: for a bounded
time, and only so many at once. Beyond either bound, or by setting, it is cancelled as usual and the attempt
is an estimate.
"""

import asyncio
from collections.abc import Callable


class HangupPolicy:
    """Of one worker."""

    __slots__ = ("_drain_s", "_max_drains", "_on_hangup", "drain_count")

    def __init__(self, drain_s: float, max_drains: int, on_hangup: Callable[[str], None]) -> None:
        """`max_drains` 0 cancels always. `on_hangup` is told `drained` or `cancelled`."""
        self._drain_s = drain_s
        self._max_drains = max_drains
        self._on_hangup = on_hangup
        self.drain_count = 0

    def admits_drain(self, most: int | None = None) -> bool:
        """Whether one more request may go on without its client; `most` where there is a smaller limit."""
        allowed = self.drain_count < (self._max_drains if most is None else most)
        self._on_hangup("drained" if allowed else "cancelled")
        return allowed

    @property
    def drain_s(self) -> float:
        """How long each may go on."""
        return self._drain_s


class Client:
    """The client of one request: there, or gone."""

    __slots__ = ("_kept", "_policy", "_timer", "gone")

    def __init__(self, policy: HangupPolicy) -> None:
        self._policy = policy
        self._kept = False
        self._timer: asyncio.TimerHandle | None = None
        self.gone = False

    def lost(self, task: "asyncio.Task[None]", in_body: bool = False) -> bool:
        """Called once by the connection; True: `task` goes on and must not be cancelled. `in_body`: before
        the request's end, so that there is nothing to go on for."""
        if self.gone:
            return self._kept
        self.gone = True
        self._kept = self._policy.admits_drain(0 if in_body else None)
        if self._kept:
            self._policy.drain_count += 1
            self._timer = task.get_loop().call_later(self._policy.drain_s, task.cancel)
        return self._kept

    def release(self) -> None:
        """The request is over."""
        if self._kept:
            self._kept = False
            self._policy.drain_count -= 1
        if self._timer is not None:
            self._timer.cancel()
