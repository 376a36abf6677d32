"""UUIDv7 (RFC 9562 §5.7): ids that sort by the time they were made. And what vendors' ids may look like."""

import os
import re
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

_RANDOM_BYTES = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OBJECT_ID = re.compile(r"[!-~]{1,200}")
_CANONICAL = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def uuid7() -> UUID:
    """A new time-ordered id: 48 bits of Unix milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(_RANDOM_BYTES), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=value)


def time_of(identifier: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=identifier.int >> 80)


def first_at(moment: datetime) -> UUID:
    """What no UUIDv7 made at this moment or later is below: for comparing only, it names nothing."""
    return UUID(int=((moment - _EPOCH) // timedelta(milliseconds=1)) << 80)


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in canonical form."""
    return _CANONICAL.fullmatch(text) is not None


def is_object_id(text: str) -> bool:
    """Whether the text can be a vendor's id of something it keeps."""
    return _OBJECT_ID.fullmatch(text) is not None
