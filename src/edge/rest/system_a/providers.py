"""A11: vendor credentials."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from edge.answer import Answer
from edge.rest.calls import Control
from edge.rest.endpoint import (
    BOOLEAN,
    DONE,
    FLAG,
    MADE,
    STRING,
    TEXT,
    Endpoint,
    collect,
    list_of,
    object_of,
    optional,
    or_null,
    read_fields,
    required,
)
from edge.rest.exchange import Exchange
from edge.rest.system_a.shapes import live
from tollkeeper.errors import invalid
from tollkeeper.v1.providers_pb2 import (
    CreateProviderRequest,
    DeleteProviderRequest,
    GetProviderRequest,
    ListProvidersRequest,
    Provider,
    UpdateProviderRequest,
)

_PATH = "/api/providers"
_PROVIDER = object_of(
    id=STRING,
    user_id=STRING,
    name=STRING,
    provider_type=STRING,
    base_url=or_null(STRING),
    is_enabled=BOOLEAN,
)
_NEW = {
    "name": required(TEXT),
    "provider_type": required(TEXT),
    "api_key": required(TEXT),
    "base_url": optional(TEXT),
}
_CHANGES = {
    "name": optional(TEXT),
    "base_url": optional(TEXT),
    "api_key": optional(TEXT),
    "is_enabled": optional(FLAG),
}


def endpoints(control: Control) -> list[Endpoint]:
    """/api/providers."""
    service = control.providers

    async def listing(exchange: Exchange) -> Answer:
        found = await collect(exchange.caller, service.ListProviders, ListProvidersRequest(), "providers")
        return exchange.plain({"providers": [_plain(each) for each in found]})

    async def show(exchange: Exchange) -> Answer:
        request = GetProviderRequest(provider_id=exchange.variables["id"])
        found = live("provider", await exchange.caller.call(service.GetProvider, request))
        return exchange.plain({"provider": _plain(found)})

    async def create(exchange: Exchange) -> Answer:
        sent = read_fields(exchange, _NEW)
        provider = Provider(
            name=sent["name"],
            provider_type=sent["provider_type"],
            credential=sent["api_key"],
            base_url=sent.get("base_url", ""),
        )
        # Names are unique among providers, which this surface never said.
        request = CreateProviderRequest(provider=provider, number_taken_name=True)
        made = await exchange.caller.call(service.CreateProvider, request)
        return exchange.plain({"id": made.provider_id, "message": "Provider created"}, 201)

    async def update(exchange: Exchange) -> Answer:
        sent = read_fields(exchange, _CHANGES)
        if not sent:
            raise invalid("There is nothing to update.")
        changed: dict[str, Any] = {name: sent[name] for name in ("name", "base_url") if name in sent}
        if "api_key" in sent:
            changed["credential"] = sent["api_key"]
        if "is_enabled" in sent:
            changed["disabled"] = not sent["is_enabled"]
        provider = Provider(provider_id=exchange.variables["id"], **changed)
        request = UpdateProviderRequest(provider=provider, update_mask=FieldMask(paths=list(changed)))
        await exchange.caller.call(service.UpdateProvider, request)
        return exchange.plain({"message": "Provider updated"})

    async def delete(exchange: Exchange) -> Answer:
        request = DeleteProviderRequest(provider_id=exchange.variables["id"], force=True)
        removed = (await exchange.caller.call(service.DeleteProvider, request)).removed
        rules, prices = removed.routing_rule_count, removed.price_count
        message = f"Provider deleted, with {rules} routing rules and {prices} own prices"
        return exchange.plain({"message": message})

    one = f"{_PATH}/{{id}}"
    return [
        Endpoint("GET", _PATH, listing, "Providers", object_of(providers=list_of(_PROVIDER))),
        Endpoint("GET", one, show, "One provider", object_of(provider=_PROVIDER)),
        Endpoint("POST", _PATH, create, "Add a provider", MADE, 201, _NEW),
        Endpoint("PUT", one, update, "Change a provider", DONE, fields=_CHANGES),
        Endpoint("DELETE", one, delete, "Delete a provider, its routing rules and own prices", DONE),
    ]


def _plain(provider: Provider) -> dict[str, Any]:
    return {
        "id": provider.provider_id,
        "user_id": provider.customer_id,
        "name": provider.name,
        "provider_type": provider.provider_type,
        "base_url": provider.base_url or None,
        "is_enabled": not provider.disabled,
    }
