"""Requests made from descriptors: every id, name and enum filled with something that makes sense."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.control.contract.methods import behaves, request_of, resource_field

MAX_DEPTH = 4
_numbers = count(1)

# Ids by kind: {"team": "0192...", "key": ...}.
Ids = Mapping[str, str]
# What a field gets that can't be guessed from its name and type; None leaves it out.
Recipe = Callable[[Ids], Any]


def nothing(ids: Ids) -> None:
    """Leaves the field out."""
    return None


def build(method: str, ids: Ids, recipes: Mapping[str, Recipe]) -> Message:
    """A request of the method about these ids. Raises KeyError for a kind that isn't there."""
    request = request_of(method)
    _fill(request, ids, recipes, depth=0)
    resource = resource_field(request.DESCRIPTOR)
    if resource is not None and request.DESCRIPTOR.name.startswith("Update"):
        _identify(getattr(request, resource.name), ids)
    return request


def id_paths(message: Message, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all fields that name a resource: `("team", "team_id")`; of lists the list."""
    for field in message.DESCRIPTOR.fields:
        here = (*path, field.name)
        if is_id(field):
            yield here
        elif field.message_type is not None and not field.is_repeated and message.HasField(field.name):
            yield from id_paths(getattr(message, field.name), here)
        elif field.message_type is not None and field.is_repeated and _is_plain(field):
            for item in list(getattr(message, field.name))[:1]:
                yield from id_paths(item, (*path, field.name, "0"))


def with_id(request: Message, path: tuple[str, ...], value: str) -> Message:
    """A copy that names another resource there."""
    copy = type(request)()
    copy.CopyFrom(request)
    *way, last = path
    message: Any = copy
    for step in way:
        message = message[int(step)] if step.isdigit() else getattr(message, step)
    if message.DESCRIPTOR.fields_by_name[last].is_repeated:
        getattr(message, last)[:] = [value]
    else:
        setattr(message, last, value)
    return copy


def is_id(field: FieldDescriptor) -> bool:
    """Whether it names a resource: `team_id`, `team_ids`, but not `request_id`."""
    if field.type != FieldDescriptor.TYPE_STRING or field.name == "request_id":
        return False
    return field.name.endswith(("_id", "_ids"))


def kind_of(field_name: str, ids: Ids) -> str | None:
    """The kind a field's name ends with: `default_router_id` → `router`."""
    stem = field_name.removesuffix("s").removesuffix("_id")
    found = [kind for kind in ids if stem == kind or stem.endswith(f"_{kind}")]
    return max(found, key=len, default=None)


def unique(text: str) -> str:
    """A name that nothing else has."""
    return f"{text}-{next(_numbers)}"


def _fill(message: Message, ids: Ids, recipes: Mapping[str, Recipe], depth: int) -> None:
    descriptor = message.DESCRIPTOR
    chosen = {field.containing_oneof.name: field for field in descriptor.fields if _in_oneof(field)}
    for field in descriptor.fields:
        if _in_oneof(field) and chosen[field.containing_oneof.name] is not field:
            continue
        if field.full_name in recipes:
            value = recipes[field.full_name](ids)
        elif behaves(field, field_behavior_pb2.OUTPUT_ONLY):
            continue
        else:
            value = _value(field, descriptor, ids, recipes, depth)
        if value is not None:
            put(message, field, value)


def put(message: Message, field: FieldDescriptor, value: Any) -> None:
    """Sets a field of any form."""
    if field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name).update(value)
    elif field.is_repeated:
        getattr(message, field.name).extend(value if isinstance(value, list) else [value])
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def _value(
    field: FieldDescriptor, owner: Descriptor, ids: Ids, recipes: Mapping[str, Recipe], depth: int
) -> Any:
    needed = behaves(field, field_behavior_pb2.REQUIRED)
    if is_id(field):
        kind = kind_of(field.name, ids)
        if kind is None and needed:
            raise KeyError(field.full_name)
        return ids[kind] if kind is not None else None
    if field.message_type is not None:
        if (needed or field is resource_field(owner)) and depth < MAX_DEPTH:
            made = GetMessageClass(field.message_type)()
            _fill(made, ids, recipes, depth + 1)
            return made
        return None
    if not needed:
        return None
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.type == FieldDescriptor.TYPE_STRING:
        name = unique("thing")
        return f"{name}@example.com" if "email" in field.name else name
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"x" * 32
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    return 1


def _identify(resource: Message, ids: Ids) -> None:
    """An update names what it changes in fields that are output only elsewhere."""
    first = resource.DESCRIPTOR.fields[0].name
    kind = kind_of(first, ids)
    if kind is None:
        raise KeyError(f"{resource.DESCRIPTOR.full_name}.{first}")
    setattr(resource, first, ids[kind])


def _in_oneof(field: FieldDescriptor) -> bool:
    return field.containing_oneof is not None and not field.containing_oneof.name.startswith("_")


def _is_plain(field: FieldDescriptor) -> bool:
    return field.message_type is not None and not field.message_type.GetOptions().map_entry
