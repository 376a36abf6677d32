"""A13: gateway keys."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from edge.answer import Answer
from edge.rest.calls import Control
from edge.rest.endpoint import (
    BOOLEAN,
    DONE,
    FLAG,
    STRING,
    TEXT,
    Endpoint,
    collect,
    list_of,
    object_of,
    or_null,
    read_fields,
    required,
)
from edge.rest.exchange import Exchange
from tollkeeper.errors import not_found
from tollkeeper.v1.keys_pb2 import (
    CreateKeyRequest,
    GetKeyRequest,
    Key,
    ListKeysRequest,
    RevokeKeyRequest,
    UpdateKeyRequest,
)

_PATH = "/api/keys"
_KEY = object_of(id=STRING, user_id=STRING, router_id=or_null(STRING), name=STRING, is_active=BOOLEAN)
_NEW = {"name": required(TEXT), "router_id": required(TEXT)}
_CHANGES = {"is_active": required(FLAG)}


def endpoints(control: Control) -> list[Endpoint]:
    """/api/keys."""
    service = control.keys

    async def listing(exchange: Exchange) -> Answer:
        found = await collect(exchange.caller, service.ListKeys, ListKeysRequest(), "keys")
        return exchange.plain({"keys": [_plain(each) for each in found]})

    async def create(exchange: Exchange) -> Answer:
        sent = read_fields(exchange, _NEW)
        key = Key(name=sent["name"], router_id=sent["router_id"])
        made = await exchange.caller.call(service.CreateKey, CreateKeyRequest(key=key))
        body = {"id": made.key.key_id, "key": made.raw_key, "message": "Key created; it is shown this once"}
        return exchange.plain(body, 201)

    async def update(exchange: Exchange) -> Answer:
        active = read_fields(exchange, _CHANGES)["is_active"]
        key = Key(key_id=exchange.variables["id"], disabled=not active)
        request = UpdateKeyRequest(key=key, update_mask=FieldMask(paths=["disabled"]))
        await exchange.caller.call(service.UpdateKey, request)
        return exchange.plain({"message": "Key activated" if active else "Key deactivated"})

    async def delete(exchange: Exchange) -> Answer:
        key_id = exchange.variables["id"]
        key = await exchange.caller.call(service.GetKey, GetKeyRequest(key_id=key_id))
        if key.HasField("revoke_time"):
            raise not_found("key", key_id)
        await exchange.caller.call(service.RevokeKey, RevokeKeyRequest(key_id=key_id))
        return exchange.plain({"message": "Key deleted"})

    one = f"{_PATH}/{{id}}"
    made = object_of(id=STRING, key=STRING, message=STRING)
    return [
        Endpoint("GET", _PATH, listing, "Keys", object_of(keys=list_of(_KEY))),
        Endpoint("POST", _PATH, create, "Add a key; its secret is in this answer only", made, 201, _NEW),
        Endpoint("PUT", one, update, "Switch a key on or off", DONE, fields=_CHANGES),
        Endpoint("DELETE", one, delete, "Revoke a key", DONE),
    ]


def _plain(key: Key) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "user_id": key.customer_id,
        "router_id": key.router_id or None,
        "name": key.name,
        "is_active": not key.disabled,
    }
