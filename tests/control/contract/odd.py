"""Odd messages of any type: what hypothesis makes from a descriptor, seasoned with ids that exist."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from tests.control.contract.build import is_id, put
from tests.control.contract.methods import resource_field, short

MAX_DEPTH = 4
_TEXTS = (
    *("", " ", "é" * 300, "x" * 60_000, "\u202e\u2028", "😀", "%", "_", "*", "'; DROP TABLE keys; --"),
    *("null", "0", "-1", "1e400", "NaN", "../..", "a@b.example", "gpt-*", "[", "(", "\\", "UTC", "Mars/Base"),
    *("2026-12-01T00:00:00Z", "https://127.0.0.1:1", "http://[::1", "00000000-0000-0000-0000-000000000000"),
    *("10.0.0.0/8", "0.0.0.0/0", "999.1.1.1", "::/129", "{", "- a: 1", "model,input\n1,2"),
    *("name", "read", "team:read", "hourly", "model", "-create_time", "a = b"),
)
# What the guard refuses hides what a service would make of the rest of a message: seldom, then.
_REFUSED_TEXTS = ("\0", "a\0b", "x" * 70_000)
_TEXT = (
    st.sampled_from(_TEXTS)
    | st.sampled_from(_TEXTS * 5 + _REFUSED_TEXTS)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
)
_SECONDS = (0, -1, 1_800_000_000, 253_402_300_799, 253_402_300_800, -62_135_596_800, 2**63 - 1)
_PATHS = ("*", "a.b", "rules.0", "", "nonsense")
_RANGES = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}


def messages(descriptor: Descriptor, ids: Sequence[str], depth: int = 0) -> st.SearchStrategy[Message]:
    """Messages of this type; the deeper, the fewer fields."""
    well_known = _WELL_KNOWN.get(descriptor.full_name)
    if well_known is not None:
        return well_known(descriptor)
    fields = [
        field
        for field in descriptor.fields
        if depth < MAX_DEPTH or field.message_type is None or not field.is_repeated
    ]
    if depth > MAX_DEPTH + 2:
        fields = [field for field in fields if field.message_type is None]
    optional = {
        field.name: _mask(descriptor) if _is_mask(field) else _values(field, ids, depth) for field in fields
    }
    message_class = GetMessageClass(descriptor)

    def make(values: dict[str, Any]) -> Message:
        message = message_class()
        for name, value in values.items():
            put(message, descriptor.fields_by_name[name], value)
        return message

    return st.fixed_dictionaries({}, optional=optional).map(make)


def requests(base: Message, method: str, ids: Sequence[str]) -> st.SearchStrategy[Message]:
    """Requests of a method: odd throughout, or a sensible one that is odd in a few places."""

    def merged(odd: Message) -> Message:
        request = type(base)()
        request.CopyFrom(base)
        for field, value in odd.ListFields():
            if field.is_repeated or field.message_type is None or not request.HasField(field.name):
                request.ClearField(field.name)
                put(request, field, value if not field.is_repeated else _plain(field, value))
            else:
                getattr(request, field.name).MergeFrom(value)
        return request

    odd = messages(base.DESCRIPTOR, ids)
    return odd if short(method) == "CreateSession" else odd.map(merged) | odd


def _plain(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    return list(value)


def _values(field: FieldDescriptor, ids: Sequence[str], depth: int) -> st.SearchStrategy[Any]:
    if not field.is_repeated:
        return _single(field, ids, depth)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        return st.dictionaries(_single(key, ids, depth), _single(value, ids, depth + 1), max_size=3)
    return st.lists(_single(field, ids, depth), max_size=3)


def _single(field: FieldDescriptor, ids: Sequence[str], depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        inner = field.message_type
        return st.deferred(lambda: messages(inner, ids, depth + 1))
    if field.enum_type is not None:
        return st.sampled_from([*field.enum_type.values_by_number] * 4 + [99, -1])
    if field.type in _RANGES:
        least, most = _RANGES[field.type]
        odd = [0, 1, least, most, min(most, 10**18), 1000]
        return st.sampled_from(odd) | st.integers(least, most)
    if field.type == FieldDescriptor.TYPE_STRING:
        return st.sampled_from(ids) | st.sampled_from(ids) | _TEXT if is_id(field) else _TEXT
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=40) | st.just(b"\0" * 32)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    return st.floats()


def _time(descriptor: Descriptor) -> st.SearchStrategy[Message]:
    seconds, nanos = st.sampled_from(_SECONDS), st.sampled_from((0, 0, 0, 1, 999_999_999, 10**9, -1))
    return st.builds(GetMessageClass(descriptor), seconds=seconds, nanos=nanos)


def _mask(request: Descriptor) -> st.SearchStrategy[Message]:
    """Mostly fields of what the request changes."""
    resource = resource_field(request)
    known = [field.name for field in resource.message_type.fields] if resource is not None else []
    paths = st.sampled_from([*known * 3, *_PATHS])
    return st.builds(FieldMask, paths=st.lists(paths, max_size=2))


def _is_mask(field: FieldDescriptor) -> bool:
    return field.message_type is FieldMask.DESCRIPTOR and not field.is_repeated


_WELL_KNOWN = {
    "google.protobuf.Timestamp": _time,
    "google.protobuf.Duration": _time,
}
