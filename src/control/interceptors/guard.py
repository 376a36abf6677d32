"""No odd message reaches a service: what every request of the contract must keep to, whatever its type.

Services still check what their fields mean. Here is what the types alone say: texts without NUL (which
PostgreSQL can't store), enum values that exist, times within the calendar, and bounded sizes and counts.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from control.interceptors.concern import Context, Stream, Unary
from tollkeeper.errors import Reason, TollkeeperError, invalid

MAX_REQUEST_BYTES = 8 * 1024 * 1024
MAX_TEXT_CHARS = 65_536
MAX_ITEMS = 1000
MAX_DEPTH = 32

# Where the contract says otherwise: characters of a text, or items of a list.
_LIMITS: Mapping[str, int] = {
    # An edge names all it knows when it begins to watch.
    "tollkeeper.v1.WatchRequest.lease_ids": 1_000_000,
    "tollkeeper.v1.WatchRequest.customers": 1_000_000,
    "tollkeeper.v1.AcquireLeaseRequest.holds_nanousd": 10_000,
    "tollkeeper.v1.AcquireLeaseRequest.reports": 10_000,
    "tollkeeper.v1.ReturnLeaseRequest.reports": 10_000,
}
# Its records are judged one by one (L17): one that can't be booked must not hold up the others.
_UNGUARDED = frozenset({"/tollkeeper.v1.EdgeService/Settle"})

# From 0001-01-01 to 9999-12-31, and ten thousand years.
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)
_DURATION_SECONDS = range(-315_576_000_000, 315_576_000_001)
_NANOS = range(1_000_000_000)

_Check = Callable[[Any, str], None]


def reader(parse: Callable[[bytes], Message]) -> Callable[[bytes], Message | TollkeeperError]:
    """A deserializer that returns what is wrong with a request instead of raising it: what a deserializer
    raises gRPC tells as INTERNAL, so the Guard raises it later."""

    def read(data: bytes) -> Message | TollkeeperError:
        if len(data) > MAX_REQUEST_BYTES:
            return TollkeeperError(
                Reason.REQUEST_TOO_LARGE,
                f"The request is larger than {MAX_REQUEST_BYTES} bytes.",
                {"limit_bytes": str(MAX_REQUEST_BYTES)},
            )
        try:
            return parse(data)
        except DecodeError:
            return invalid("The request isn't a message of this method.")

    return read


class Guard:
    """Refuses requests that break what the types of the contract say."""

    def unary(self, method: str, inner: Unary) -> Unary:
        """INVALID_ARGUMENT naming the field; REQUEST_TOO_LARGE."""
        guarded = method not in _UNGUARDED

        async def handle(request: Message, context: Context) -> Message:
            _check(request, guarded)
            return await inner(request, context)

        return handle

    def stream(self, method: str, inner: Stream) -> Stream:
        """As for unary methods."""

        async def handle(request: Message, context: Context) -> AsyncIterator[Message]:
            _check(request, guarded=True)
            async for message in inner(request, context):
                yield message

        return handle


def _check(request: Message | TollkeeperError, guarded: bool) -> None:
    if isinstance(request, TollkeeperError):
        raise request
    if guarded:
        check_message(request)


def check_message(message: Message, path: str = "", depth: int = 0) -> None:
    """Raises INVALID_ARGUMENT naming the first field that breaks the rules of its type."""
    if depth > MAX_DEPTH:
        raise invalid(f"{path} is nested more than {MAX_DEPTH} levels deep.", field=path)
    for name, repeated, limit, check in _plan(message.DESCRIPTOR):
        where = f"{path}.{name}" if path else name
        value = getattr(message, name)
        if not repeated:
            if isinstance(value, Message):
                if message.HasField(name):
                    _check_nested(value, where, depth)
            elif check is not None:
                check(value, where)
            continue
        if len(value) > limit:
            raise invalid(f"{where} has more than {limit} items.", field=where, limit=str(limit))
        _check_items(value, where, check, depth)


def _check_items(value: Any, where: str, check: _Check | None, depth: int) -> None:
    items: Iterable[tuple[object, Any]] = enumerate(value)
    if hasattr(value, "items"):
        for key in value:
            if isinstance(key, str):
                _check_text(key, where, MAX_TEXT_CHARS)
        items = value.items()
    for key, item in items:
        if isinstance(item, Message):
            _check_nested(item, f"{where}[{key}]", depth)
        elif check is not None:
            check(item, f"{where}[{key}]")


def _check_nested(message: Message, where: str, depth: int) -> None:
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Timestamp":
            if message.seconds not in _TIMESTAMP_SECONDS or message.nanos not in _NANOS:  # type: ignore[attr-defined]
                raise invalid(f"{where} isn't a time between the years 1 and 9999.", field=where)
        case "google.protobuf.Duration":
            seconds, nanos = message.seconds, message.nanos  # type: ignore[attr-defined]
            if seconds not in _DURATION_SECONDS or abs(nanos) not in _NANOS or seconds * nanos < 0:
                raise invalid(f"{where} isn't a duration.", field=where)
        case _:
            check_message(message, where, depth + 1)


@cache
def _plan(descriptor: Descriptor) -> tuple[tuple[str, bool, int, _Check | None], ...]:
    """Name, whether repeated, limit of items, and check of each field that can be wrong at all."""
    return tuple(
        (field.name, field.is_repeated, _LIMITS.get(field.full_name, MAX_ITEMS), check)
        for field in descriptor.fields
        if (check := _check_of(_value_of(field))) is not None
        or field.is_repeated
        or field.message_type is not None
    )


def _value_of(field: FieldDescriptor) -> FieldDescriptor:
    """The field itself; of a map the field of its values."""
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return entry.fields_by_name["value"]
    return field


def _check_of(field: FieldDescriptor) -> _Check | None:
    if field.type == FieldDescriptor.TYPE_STRING:
        limit = MAX_TEXT_CHARS if field.is_repeated else _LIMITS.get(field.full_name, MAX_TEXT_CHARS)
        return lambda value, where: _check_text(value, where, limit)
    if field.enum_type is not None:
        numbers = frozenset(field.enum_type.values_by_number)
        return lambda value, where: _check_enum(value, where, numbers)
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return _check_finite
    return None


def _check_text(value: str, where: str, limit: int) -> None:
    if len(value) > limit:
        raise invalid(f"{where} is longer than {limit} characters.", field=where, limit=str(limit))
    if "\0" in value:
        raise invalid(f"{where} holds a NUL character.", field=where)


def _check_enum(value: int, where: str, numbers: frozenset[int]) -> None:
    if value not in numbers:
        raise invalid(f"{where} has no value {value}.", field=where)


def _check_finite(value: float, where: str) -> None:
    if not math.isfinite(value):
        raise invalid(f"{where} isn't a finite number.", field=where)
