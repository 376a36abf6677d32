"""Time for the ledger's edge side: one clock that runs through suspend (L6), and wall time for records."""

import time
from collections.abc import Callable
from functools import partial


class Clock:
    """The clocks of this machine, callable attributes. Tests pass one they turn by hand."""

    __slots__ = ("now_s", "wall_s")

    # Seconds on a clock that never jumps and, where the system has one, counts suspended time too.
    now_s: Callable[[], float]
    # Unix seconds, for records, expiry of keys and names of windows.
    wall_s: Callable[[], float]

    def __init__(self) -> None:
        self.now_s, self.wall_s = time.monotonic, time.time
        # macOS has no CLOCK_BOOTTIME; its monotonic clock is what is left.
        if hasattr(time, "CLOCK_BOOTTIME"):
            self.now_s = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
