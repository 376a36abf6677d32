"""A12: routers and their rules. A rule is written by replacing all rules of the version that was read."""

from collections.abc import Callable
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from edge.answer import Answer
from edge.rest.calls import Caller, Control
from edge.rest.endpoint import (
    DONE,
    INTEGER,
    MADE,
    STRING,
    TEXT,
    TEXTS,
    WHOLE,
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
from tollkeeper.errors import Reason, TollkeeperError, not_found
from tollkeeper.v1.routers_pb2 import (
    CreateRouterRequest,
    DeleteRouterRequest,
    GetRouterRequest,
    ListRoutersRequest,
    Router,
    RoutingRule,
    UpdateRouterRequest,
)

_PATH = "/api/routers"
# Others may write rules of the same router at the same time.
_TRIES = 8
_ROUTER = object_of(id=STRING, user_id=STRING, name=STRING)
_RULE = object_of(
    id=STRING,
    router_id=STRING,
    priority=INTEGER,
    condition=STRING,
    provider_id=STRING,
    allowed_models=or_null(list_of(STRING)),
)
_NEW = {"name": required(TEXT)}
_NEW_RULE = {
    "provider_id": required(TEXT),
    "priority": optional(WHOLE),
    "condition": optional(TEXT),
    "allowed_models": optional(TEXTS),
}


def endpoints(control: Control) -> list[Endpoint]:
    """/api/routers."""
    service = control.routers

    async def listing(exchange: Exchange) -> Answer:
        found = await collect(exchange.caller, service.ListRouters, ListRoutersRequest(), "routers")
        return exchange.plain({"routers": [_plain(each) for each in found]})

    async def show(exchange: Exchange) -> Answer:
        router = await _load(control, exchange.caller, exchange.variables["id"])
        rules = [_plain_rule(router, rule) for rule in router.rules]
        return exchange.plain({"router": _plain(router), "rules": rules})

    async def create(exchange: Exchange) -> Answer:
        router = Router(name=read_fields(exchange, _NEW)["name"])
        # Names are unique among routers, which this surface never said.
        request = CreateRouterRequest(router=router, number_taken_name=True)
        made = await exchange.caller.call(service.CreateRouter, request)
        return exchange.plain({"id": made.router_id, "message": "Router created"}, 201)

    async def add_rule(exchange: Exchange) -> Answer:
        sent = read_fields(exchange, _NEW_RULE)
        rule = RoutingRule(
            provider_id=sent["provider_id"],
            priority=sent.get("priority", 1),
            condition=sent.get("condition", "primary"),
            allowed_models=sent.get("allowed_models", ()),
        )
        before: set[str] = set()

        def added(router: Router) -> list[RoutingRule]:
            before.update(each.rule_id for each in router.rules)
            return [*router.rules, rule]

        router = await _rewrite(control, exchange.caller, exchange.variables["id"], added)
        rule_id = next(each.rule_id for each in router.rules if each.rule_id not in before)
        return exchange.plain({"id": rule_id, "message": "Rule added"}, 201)

    async def delete_rule(exchange: Exchange) -> Answer:
        rule_id = exchange.variables["rule"]

        def without(router: Router) -> list[RoutingRule]:
            kept = [each for each in router.rules if each.rule_id != rule_id.lower()]
            if len(kept) == len(router.rules):
                raise not_found("rule", rule_id)
            return kept

        await _rewrite(control, exchange.caller, exchange.variables["id"], without)
        return exchange.plain({"message": "Rule deleted"})

    async def delete(exchange: Exchange) -> Answer:
        request = DeleteRouterRequest(router_id=exchange.variables["id"], force=True)
        removed = (await exchange.caller.call(service.DeleteRouter, request)).removed
        rules, keys = removed.routing_rule_count, removed.key_count
        return exchange.plain({"message": f"Router deleted, with {rules} rules and {keys} keys"})

    one = f"{_PATH}/{{id}}"
    with_rules = object_of(router=_ROUTER, rules=list_of(_RULE))
    return [
        Endpoint("GET", _PATH, listing, "Routers", object_of(routers=list_of(_ROUTER))),
        Endpoint("GET", one, show, "One router with its rules, by priority", with_rules),
        Endpoint("POST", _PATH, create, "Add a router", MADE, 201, _NEW),
        Endpoint("POST", f"{one}/rules", add_rule, "Add a rule", MADE, 201, _NEW_RULE),
        Endpoint("DELETE", f"{one}/rules/{{rule}}", delete_rule, "Delete a rule", DONE),
        Endpoint("DELETE", one, delete, "Delete a router, its rules and keys", DONE),
    ]


async def _load(control: Control, caller: Caller, router_id: str) -> Router:
    router: Router = live(
        "router", await caller.call(control.routers.GetRouter, GetRouterRequest(router_id=router_id))
    )
    return router


async def _rewrite(
    control: Control, caller: Caller, router_id: str, change: Callable[[Router], list[RoutingRule]]
) -> Router:
    """Replaces a router's rules; somebody else's change in between is read again, never overwritten."""
    for _ in range(_TRIES - 1):
        try:
            return await _replace(control, caller, router_id, change)
        except TollkeeperError as error:
            if error.reason != Reason.ETAG_MISMATCH:
                raise
    return await _replace(control, caller, router_id, change)


async def _replace(
    control: Control, caller: Caller, router_id: str, change: Callable[[Router], list[RoutingRule]]
) -> Router:
    router = await _load(control, caller, router_id)
    changed = Router(router_id=router.router_id, rules=change(router), etag=router.etag)
    request = UpdateRouterRequest(router=changed, update_mask=FieldMask(paths=["rules"]))
    return await caller.call(control.routers.UpdateRouter, request)


def _plain(router: Router) -> dict[str, Any]:
    return {"id": router.router_id, "user_id": router.customer_id, "name": router.name}


def _plain_rule(router: Router, rule: RoutingRule) -> dict[str, Any]:
    return {
        "id": rule.rule_id,
        "router_id": router.router_id,
        "priority": rule.priority,
        "condition": rule.condition,
        "provider_id": rule.provider_id,
        "allowed_models": list(rule.allowed_models) or None,
    }
