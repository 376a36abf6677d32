"""Times of requests, checked."""

from datetime import UTC, datetime
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from tollkeeper.errors import invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WithTimes(Protocol):
    """Any message; the fields that are named are timestamps."""

    def HasField(self, name: str) -> bool: ...


def checked_time(request: WithTimes, field: str) -> datetime | None:
    """The moment of a field, None when it isn't set. Raises INVALID_ARGUMENT for one that the calendar
    doesn't have; before 1970 counts as 1970."""
    if not request.HasField(field):
        return None
    time: Timestamp = getattr(request, field)
    try:
        return max(_EPOCH, time.ToDatetime(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise invalid(f"{field} is out of range.", field=field) from None
