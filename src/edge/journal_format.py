"""Bytes of a journal segment: how records are framed, and how a reader finds its way past damage (L21).

A record is magic (2 bytes), length of the payload (u32), CRC-32 of type and payload (u32), type (1 byte),
payload; all little-endian. The payload is a serialized UsageRecord.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

MAGIC = b"\xa7J"
HEADER = struct.Struct("<2sIIB")
# A payload is a kilobyte or so; a length above this is damage.
MOST_PAYLOAD_BYTES = 1 << 20


class Kind(IntEnum):
    """What a record says."""

    # First of a segment: the incarnation, and the last sequence given before it.
    SEGMENT = 1
    # A request, or a further attempt of it, is about to be sent.
    BEGIN = 2
    # A request is over; repeats all of its begin.
    END = 3


_TYPE_BYTES = {kind: bytes((kind,)) for kind in Kind}
_TYPE_CRCS = {kind: crc32(byte) for kind, byte in _TYPE_BYTES.items()}


class Framed(NamedTuple):
    """One record read back; `kind` None: bytes that are no record, to be set aside."""

    kind: Kind | None
    payload: bytes


def frame(kind: Kind, payload: bytes) -> bytes:
    """The bytes of one record."""
    return HEADER.pack(MAGIC, len(payload), crc32(payload, _TYPE_CRCS[kind]), kind) + payload


def read_frames(data: bytes) -> Iterator[Framed]:
    """Every record of a segment, in order; damage comes as one piece between the records it lies between."""
    position = good_until = 0
    while (position := data.find(MAGIC, position)) != -1:
        framed = _frame_at(data, position)
        if framed is None:
            position += 1
            continue
        if position > good_until:
            yield Framed(None, data[good_until:position])
        yield framed
        position = good_until = position + HEADER.size + len(framed.payload)
    if good_until < len(data):
        yield Framed(None, data[good_until:])


def _frame_at(data: bytes, position: int) -> Framed | None:
    if position + HEADER.size > len(data):
        return None
    _, length, checksum, kind = HEADER.unpack_from(data, position)
    start = position + HEADER.size
    if length > MOST_PAYLOAD_BYTES or start + length > len(data) or kind not in _TYPE_CRCS:
        return None
    payload = data[start : start + length]
    if crc32(payload, _TYPE_CRCS[kind]) != checksum:
        return None
    return Framed(Kind(kind), payload)
