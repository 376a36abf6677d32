"""HTTP to messages and back: proto3 JSON with the contract's own (snake_case) field names.

Strict: what isn't a field, has another type or isn't JSON is refused with INVALID_ARGUMENT that names it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from edge.rest.contract import Binding, FieldBehavior, behaviors
from tollkeeper.errors import TollkeeperError, invalid

JsonObject = dict[str, Any]

_FIELD_MASK = "google.protobuf.FieldMask"
_WELL_KNOWN = "google.protobuf."
_MASK_FIELD = "update_mask"
# Far more than any message of the contract, and less than gRPC's own limit.
MAX_DEPTH = 32
MAX_MESSAGE_CHARS = 300
# So many messages are converted at once; then requests to apps get their turn.
SLICE = 50

_NEVER_CHANGED = {FieldBehavior.OUTPUT_ONLY, FieldBehavior.IMMUTABLE, FieldBehavior.IDENTIFIER}


# ---- requests


def request_of(
    binding: Binding, variables: Mapping[str, str], query: Iterable[tuple[str, str]], body: bytes
) -> Message:
    """The request message of a call. Raises INVALID_ARGUMENT."""
    descriptor = binding.rpc.input_type
    plain: JsonObject = {}
    if binding.body:
        sent = json_object(body)
        plain = dict(sent) if binding.body == "*" else {binding.body: dict(sent)}
        _check_fields(descriptor, plain, "")
    elif body:
        raise invalid("This call takes no body; send parameters in the query.")
    taken = set(variables)
    for name, value in query:
        _check_free(binding, name, taken)
        _put_parameter(descriptor, plain, name, value)
    if binding.method == "PATCH":
        _name_changes(binding, plain, variables)
    for name, value in variables.items():
        _put(plain, name.split("."), value)
    return parse(binding.request_class(), plain)


def json_object(body: bytes) -> JsonObject:
    """The object that a body is; none for an empty one. Raises INVALID_ARGUMENT."""
    if not body:
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"The body is not JSON: {error}.") from None
    if type(value) is not dict:
        raise invalid("The body must be a JSON object.")
    return value


def parse(message: Message, plain: JsonObject) -> Message:
    """Fills a message. Raises INVALID_ARGUMENT, with the reason of the first field that doesn't fit."""
    try:
        return ParseDict(plain, message, max_recursion_depth=MAX_DEPTH)
    except (ParseError, ValueError, TypeError, OverflowError, RecursionError, AttributeError) as error:
        raise invalid(_readable(error)) from None


def _readable(error: Exception) -> str:
    text = " ".join(str(error).split()) or "The request can't be read."
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[: MAX_MESSAGE_CHARS - 1]}…"


def _check_fields(descriptor: Descriptor, plain: JsonObject, where: str, depth: int = 1) -> None:
    """Refuses fields that don't exist, and brings field masks into the form that the parser reads."""
    if depth > MAX_DEPTH:
        raise invalid("The body is nested too deeply.")
    by_json_name = {field.json_name: field for field in descriptor.fields}
    for name, value in plain.items():
        field = descriptor.fields_by_name.get(name) or by_json_name.get(name)
        path = f"{where}{name}"
        if field is None:
            raise invalid(f"There is no field {path!r}.", field=path)
        inner = field.message_type
        if inner is None or value is None:
            continue
        if inner.full_name == _FIELD_MASK and isinstance(value, str):
            plain[name] = _camel_mask(value)
        elif inner.full_name.startswith(_WELL_KNOWN) or inner.GetOptions().map_entry:
            continue
        elif field.is_repeated:
            for number, item in enumerate(value if isinstance(value, list) else ()):
                if isinstance(item, dict):
                    _check_fields(inner, item, f"{path}[{number}].", depth + 1)
        elif isinstance(value, dict):
            _check_fields(inner, value, f"{path}.", depth + 1)


def _camel_mask(paths: str) -> str:
    """proto3 JSON writes the paths of a mask in lowerCamelCase, the contract in snake_case; both are read."""

    def camel(path: str) -> str:
        first, *rest = path.split("_")
        return first + "".join(part[:1].upper() + part[1:] for part in rest)

    return ",".join(camel(path.strip()) for path in paths.split(","))


# ---- query parameters


def _check_free(binding: Binding, name: str, taken: set[str]) -> None:
    of_body = binding.body == "*" or (binding.body and name.split(".")[0] == binding.body)
    if name in taken or of_body:
        raise invalid(f"{name!r} can't be a parameter of the query here.", field=name)


def _put_parameter(descriptor: Descriptor, plain: JsonObject, name: str, text: str) -> None:
    """Raises INVALID_ARGUMENT for a name that isn't a field, or not one that fits in a query."""
    *parents, leaf = name.split(".")
    for part in parents:
        parent = descriptor.fields_by_name.get(part)
        if parent is None or parent.message_type is None or parent.is_repeated:
            raise invalid(f"There is no parameter {name!r}.", field=name)
        descriptor = parent.message_type
    field = descriptor.fields_by_name.get(leaf)
    if field is None:
        raise invalid(f"There is no parameter {name!r}.", field=name)
    if FieldBehavior.INPUT_ONLY in behaviors(field):
        raise invalid(f"{name!r} is a secret: it is taken in bodies only, for URLs are logged.", field=name)
    value = _parameter(field, name, text)
    if field.is_repeated:
        holder = _holder(plain, parents)
        holder.setdefault(leaf, []).append(value)
    elif not _put(plain, [*parents, leaf], value, again=False):
        raise invalid(f"{name!r} is there twice.", field=name)


def _parameter(field: FieldDescriptor, name: str, text: str) -> object:
    inner = field.message_type
    if inner is not None:
        if inner.full_name == _FIELD_MASK:
            return _camel_mask(text)
        if not inner.full_name.startswith(_WELL_KNOWN) or inner.GetOptions().map_entry:
            raise invalid(f"{name!r} is an object: name its fields, as in {name}.x=…", field=name)
        return text
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text not in ("true", "false"):
            raise invalid(f"{name} must be true or false.", field=name)
        return text == "true"
    return text


def _holder(plain: JsonObject, parents: list[str]) -> JsonObject:
    for part in parents:
        inner = plain.setdefault(part, {})
        if not isinstance(inner, dict):
            raise invalid(f"{part!r} must be an object.", field=part)
        plain = inner
    return plain


def _put(plain: JsonObject, path: list[str], value: object, again: bool = True) -> bool:
    """Sets a nested value; False when it is there and mustn't be replaced."""
    *parents, leaf = path
    holder = _holder(plain, parents)
    if leaf in holder and not again:
        return False
    holder[leaf] = value
    return True


def _name_changes(binding: Binding, plain: JsonObject, variables: Mapping[str, str]) -> None:
    """A PATCH without a mask changes what its body names, also to false, zero, empty or null (AIP-134)."""
    if _MASK_FIELD not in binding.rpc.input_type.fields_by_name or _MASK_FIELD in plain:
        return
    resource, sent = binding.body_message, plain.get(binding.body)
    if resource is None or not isinstance(sent, dict):
        return
    kept = {"etag", *(name.rpartition(".")[2] for name in variables)}
    by_json_name = {field.json_name: field for field in resource.fields}
    named = [resource.fields_by_name.get(name) or by_json_name[name] for name in sent]
    paths = [
        field.name for field in named if field.name not in kept and not behaviors(field) & _NEVER_CHANGED
    ]
    if paths:
        plain[_MASK_FIELD] = _camel_mask(",".join(paths))


# ---- answers


def plain_of(message: Message) -> JsonObject:
    """The JSON object of a message; fields that have no presence are there even when they are empty."""
    plain: JsonObject = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return plain


async def json_of(message: Message) -> bytes:
    """The same as bytes. Long lists are made in slices, so that no other request waits for them."""
    long = [
        field
        for field in message.DESCRIPTOR.fields
        if field.is_repeated
        and field.message_type is not None
        and not field.message_type.GetOptions().map_entry
        and len(getattr(message, field.name)) > SLICE
    ]
    if not long:
        return orjson.dumps(plain_of(message))
    shell = type(message)()
    shell.CopyFrom(message)
    for field in long:
        shell.ClearField(field.name)
    plain = plain_of(shell)
    for field in long:
        items = getattr(message, field.name)
        made: list[bytes] = []
        for start in range(0, len(items), SLICE):
            made.append(orjson.dumps([plain_of(item) for item in items[start : start + SLICE]])[1:-1])
            await asyncio.sleep(0)
        plain[field.name] = orjson.Fragment(b"[%b]" % b",".join(made))
    return orjson.dumps(plain)


def refusal_line(error: TollkeeperError) -> bytes:
    """The last line of a stream that broke: what an error's body would have been."""
    return orjson.dumps({"error": error.message, "reason": error.reason_name}) + b"\n"
