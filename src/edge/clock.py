"""Time for the ledger's edge side: one clock that runs through suspend (L6), and wall time for records."""

import time


class Clock:
    """The clocks of this machine. Tests pass one they turn by hand."""

    __slots__ = ()

    def now_s(self) -> float:
        """Seconds on a clock that never jumps and, where the system has one, counts suspended time too."""
        return _elapsed_s()

    def wall_s(self) -> float:
        """Unix seconds, for records, expiry of keys and names of windows."""
        return time.time()


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# macOS has no CLOCK_BOOTTIME; its monotonic clock is what is left.
_elapsed_s = _boot_s if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
