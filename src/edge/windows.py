"""Windows as leases pin them: the key of a window's row, and what is left in a chain of them."""

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tollkeeper.v1 import edge_pb2

# Budget id, start seconds, start nanos (L2).
WindowKey = tuple[str, int, int]


def window_key(window: edge_pb2.WindowRef) -> WindowKey:
    """What a window is found by."""
    return key_of(window.budget_id, window.start_time)


def key_of(budget_id: str, start_time: Timestamp) -> WindowKey:
    """Likewise, from its parts."""
    return budget_id, start_time.seconds, start_time.nanos


def room_nanousd(windows: Iterable[edge_pb2.WindowRef]) -> int | None:
    """Limit less spend of the tightest hard window; None when there is none."""
    return min((w.limit_nanousd - w.spent_nanousd for w in windows if w.hard), default=None)


def duration_s(duration: Duration) -> float:
    """Seconds of a duration."""
    return duration.seconds + duration.nanos / 1e9


def duration_of(seconds: float) -> Duration:
    """The duration of so many seconds, to the microsecond."""
    duration = Duration()
    duration.FromMicroseconds(max(0, round(seconds * 1e6)))
    return duration
