"""Messages of the contract as plain values for programs: money as decimal text, enums by short names."""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from tollkeeper.money import format_usd

Plain = dict[str, Any]

_NANOUSD = "_nanousd"
_ENUM_PREFIXES = {
    "Scope": "SCOPE_",
    "Period": "PERIOD_",
    "Role": "ROLE_",
    "UsageState": "USAGE_STATE_",
    "GatewayState": "GATEWAY_STATE_",
}


def plain(message: Message) -> Plain:
    """All fields of a message; absent ones are null. `x_nanousd` becomes `x_usd`, a decimal string."""
    return dict(_field(message, field) for field in message.DESCRIPTOR.fields)


def enum_name(prefix: str, name: str) -> str | None:
    """PERIOD_MONTHLY → monthly; unspecified → null."""
    short = name.removeprefix(prefix).lower()
    return None if short == "unspecified" else short


def time_text(time: Timestamp | None) -> str | None:
    """RFC 3339 in UTC; null when it isn't set."""
    if time is None or (time.seconds == 0 and time.nanos == 0):
        return None
    return time.ToJsonString()


def _field(message: Message, field: Any) -> tuple[str, Any]:
    convert = _converter(field)
    name = field.name
    if name.endswith(_NANOUSD):
        name, convert = name.removesuffix(_NANOUSD) + "_usd", format_usd
    value = getattr(message, field.name)
    if field.is_repeated:
        return name, [convert(each) for each in value]
    if field.has_presence and not message.HasField(field.name):
        return name, None
    return name, convert(value)


def _converter(field: Any) -> Callable[[Any], Any]:
    if field.message_type is not None:
        if field.message_type is Struct.DESCRIPTOR:
            return MessageToDict
        return time_text if field.message_type is Timestamp.DESCRIPTOR else plain
    if field.enum_type is not None:
        names: Mapping[int, Any] = field.enum_type.values_by_number
        prefix = _ENUM_PREFIXES.get(field.enum_type.name, "")
        return lambda number: enum_name(prefix, names[number].name) if number in names else number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: value.hex()
    return lambda value: value
