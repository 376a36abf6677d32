"""Reading times out of messages."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from tollkeeper.errors import invalid


def moment(message: Timestamp, field: str) -> datetime:
    """The moment of a message, in UTC. Raises INVALID_ARGUMENT when it is out of the calendar's range."""
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid(f"{field} is not a time.", field=field) from None
