"""Routes that aren't the contract's own: those of systems A and B, declared with all that /openapi.json says
about them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import Message

from edge.rest.calls import Caller
from edge.rest.exchange import Exchange, Handler
from tollkeeper.errors import invalid
from tollkeeper.money import parse_usd

Schema = dict[str, Any]
Reader = Callable[[str, Any], Any]
Answer = TypeVar("Answer", bound=Message)

PAGE_SIZE = 1000
# What a list without pages shows at most; /v1 has the rest, in pages.
MAX_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A JSON type: what it looks like, and how a value of it is read."""

    schema: Schema
    read: Reader


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request's body."""

    kind: Kind
    required: bool = False
    nullable: bool = False
    """Whether null is a value of its own; else it is as if the field were left out."""


def required(kind: Kind) -> Field:
    """Must be there, and not be null or empty."""
    return Field(kind, required=True)


def optional(kind: Kind) -> Field:
    """May be left out."""
    return Field(kind)


def nullable(kind: Kind) -> Field:
    """May be left out; null says none."""
    return Field(kind, nullable=True)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route."""

    method: str
    path: str
    handler: Handler
    summary: str
    answer: Schema
    status: int = 200
    fields: Mapping[str, Field] = field(default_factory=dict)
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    """Of the query."""
    signed_in: bool = True


def read_fields(exchange: Exchange, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The body's fields that were sent. Raises INVALID_ARGUMENT naming the field."""
    sent = exchange.json()
    for name in sent:
        if name not in fields:
            raise invalid(f"There is no field {name!r}.", field=name)
    values: dict[str, Any] = {}
    for name, each in fields.items():
        value = sent.get(name)
        if value is None:
            if each.required:
                raise invalid(f"{name} is needed.", field=name)
            if name in sent and each.nullable:
                values[name] = None
            continue
        if each.required and value == "":
            raise invalid(f"{name} is needed.", field=name)
        values[name] = each.kind.read(name, value)
    return values


def read_numbers(exchange: Exchange, defaults: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Whole numbers of the query: name → default and maximum. Raises INVALID_ARGUMENT."""
    values = {name: default for name, (default, _) in defaults.items()}
    for name, text in exchange.query:
        if name not in defaults:
            raise invalid(f"There is no parameter {name!r}.", field=name)
        most = defaults[name][1]
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) <= most):
            raise invalid(f"{name} must be a whole number up to {most}.", field=name)
        values[name] = int(text)
    return values


async def collect(
    caller: Caller, method: Callable[..., Awaitable[Answer]], request: Any, items: str
) -> list[Any]:
    """All items of a list that comes in pages, up to MAX_LISTED."""
    request.page_size = PAGE_SIZE
    found: list[Any] = []
    while True:
        page: Any = await caller.call(method, request)
        found += getattr(page, items)
        if not page.next_page_token or len(found) >= MAX_LISTED:
            return found[:MAX_LISTED]
        request.page_token = page.next_page_token


# ---- kinds


def _of_type(kind: type, words: str) -> Reader:
    def read(name: str, value: Any) -> Any:
        if type(value) is not kind:
            raise invalid(f"{name} must be {words}.", field=name)
        return value

    return read


def _texts(name: str, value: Any) -> Any:
    if type(value) is not list or not all(type(each) is str for each in value):
        raise invalid(f"{name} must be a list of texts.", field=name)
    return value


def _priority(name: str, value: Any) -> int:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise invalid(f"{name} must be a whole number.", field=name)
    return value


def _usd(name: str, value: Any) -> int:
    """Nano-dollars; a number's shortest decimal form is what was meant."""
    if type(value) not in (str, int, float):
        raise invalid(f"{name} must be an amount in US dollars.", field=name)
    try:
        return parse_usd(value if type(value) is str else repr(value))
    except ValueError as error:
        raise invalid(f"{name}: {error}.", field=name) from None


def one_of(*names: str) -> Kind:
    """One of a few texts."""

    def read(name: str, value: Any) -> Any:
        if value not in names:
            raise invalid(f"{name} must be one of {', '.join(names)}.", field=name)
        return value

    return Kind({"type": "string", "enum": list(names)}, read)


TEXT = Kind({"type": "string"}, _of_type(str, "a text"))
FLAG = Kind({"type": "boolean"}, _of_type(bool, "true or false"))
TEXTS = Kind({"type": "array", "items": {"type": "string"}}, _texts)
WHOLE = Kind({"type": "integer", "format": "int32"}, _priority)
USD_NUMBER = Kind({"type": "number", "minimum": 0}, _usd)
USD_TEXT = Kind({"type": "string", "pattern": r"^\d{1,9}(\.\d{1,9})?$"}, _usd)


# ---- schemas of answers


def object_of(**properties: Schema) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def list_of(items: Schema) -> Schema:
    """An array."""
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    """May be null."""
    return {**schema, "type": [schema["type"], "null"]}


STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
DONE = object_of(message=STRING)
MADE = object_of(id=STRING, message=STRING)
