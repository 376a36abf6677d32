"""Messages of the contract as HTTP requests: what the transcoder undoes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from edge.rest.contract import Binding, bindings


@dataclass(frozen=True)
class Call:
    """One request."""

    method: str
    path: str
    query: list[tuple[str, str]]
    body: Any

    async def send(self, http: httpx.AsyncClient) -> httpx.Response:
        """Its answer."""
        return await http.request(
            self.method, self.path, params=self.query, json=self.body if self.body is not None else None
        )


def bindings_of(method: str) -> list[Binding]:
    """All ways to call a method by its gRPC name."""
    return [binding for binding in bindings() if binding.rpc_path == method]


def as_call(binding: Binding, message: Message) -> Call | None:
    """None when the path has a variable that the message doesn't set."""
    plain: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    path = binding.template
    for name in binding.path_fields:
        value = _take(plain, name.split("."))
        if value in (None, ""):
            return None
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    body: Any = None
    if binding.body == "*":
        body, plain = plain, {}
    elif binding.body:
        body = plain.pop(binding.body, {})
    return Call(binding.method, path, list(_flat(plain)), body)


def _take(plain: dict[str, Any], path: list[str]) -> Any:
    *parents, leaf = path
    for part in parents:
        plain = plain.setdefault(part, {})
    return plain.pop(leaf, None)


def _flat(plain: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in plain.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
            continue
        for each in value if isinstance(value, list) else [value]:
            yield f"{prefix}{name}", each if isinstance(each, str) else json.dumps(each)
