"""What a request would get: the edges' own planning (`tollkeeper.routing`), over what an edge would be
granted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from control.domain.models import check_model
from control.domain.prices import Prices
from control.services.convert import resource_id
from control.store.customers import load_customer
from control.store.database import Connection
from control.store.grants import Routing, load_routing, price_message
from control.store.keys import load_key
from control.store.prices import global_prices
from control.store.resources import transaction_time
from control.store.routers import load_router
from tollkeeper.conditions import waits
from tollkeeper.errors import Reason, TollkeeperError, invalid, not_found
from tollkeeper.expressions import Facts
from tollkeeper.model_match import ModelList
from tollkeeper.operations import FAMILIES
from tollkeeper.provider_types import goes_direct, leads_somewhere, operations_of
from tollkeeper.routing import Plan, Skip, asked_model, plan, prepare, with_prices
from tollkeeper.v1 import edge_pb2, prices_pb2, routers_pb2

MAX_PROVIDER_CHARS = 200
DEFAULT_FAMILY = "chat"

_Rule = edge_pb2.Rule


@dataclass(frozen=True, slots=True)
class _Asked:
    """The router it is about, and the lists that must have the model."""

    router_id: str | None
    key_models: ModelList
    customer_models: ModelList
    refusal: TollkeeperError | None = None
    key_id: str = ""
    team_id: str = ""
    user_id: str = ""


async def dry_run(
    connection: Connection, customer_id: str, request: routers_pb2.DryRunRouterRequest
) -> routers_pb2.DryRunRouterResponse:
    """The attempts in order, and what stands in the way of the others. Raises NOT_FOUND, INVALID_ARGUMENT."""
    model = check_model(request.model)
    if len(request.provider) > MAX_PROVIDER_CHARS:
        raise invalid(f"provider is longer than {MAX_PROVIDER_CHARS} characters.", field="provider")
    family = request.family or DEFAULT_FAMILY
    if family not in FAMILIES:
        raise invalid(f"family is one of {', '.join(FAMILIES)}.", field="family")
    asked = await _asked(connection, customer_id, request)
    now = await transaction_time(connection)
    routing = Routing()
    if asked.router_id:
        routing = await load_routing(connection, customer_id, asked.router_id, now, lambda *_: "")
    models = {asked_model(rule, model) for rule in routing.rules}
    rows = await global_prices(connection, sorted(models), now)
    prices = Prices([price_message(row, now) for row in rows], routing.own_prices)
    served = FAMILIES[family]
    prepared = prepare(
        routing.rules, lambda rule: leads_somewhere(rule.provider_type, rule.base_url, rule.direct)
    )
    planned = plan(
        prepared,
        asked.key_models,
        asked.customer_models,
        model,
        request.provider or None,
        lambda rule: not served.isdisjoint(operations_of(rule.provider_type, rule.base_url, rule.direct)),
        _facts(request, asked, now),
    )
    if asked.refusal is not None:
        planned = Plan((), (), asked.refusal)
    answer = _answer(planned, prices, model)
    if routing.retries is not None:
        answer.retries.CopyFrom(routing.retries)
    if routing.deadlines is not None:
        answer.deadlines.CopyFrom(routing.deadlines)
    return answer


def _facts(request: routers_pb2.DryRunRouterRequest, asked: _Asked, now: datetime) -> Facts:
    """What expressions are told: as an edge would, at this moment."""
    now = now.astimezone(UTC)
    return Facts(
        model=request.model,
        family=request.family or DEFAULT_FAMILY,
        stream=request.stream,
        prompt_bytes=request.prompt_bytes,
        output_limit=request.output_limit,
        end_user=request.end_user,
        tags=tuple(request.tags),
        key_id=asked.key_id,
        team_id=asked.team_id,
        user_id=asked.user_id,
        hour=now.hour,
        weekday=now.isoweekday(),
    )


async def _asked(
    connection: Connection, customer_id: str, request: routers_pb2.DryRunRouterRequest
) -> _Asked:
    if request.WhichOneof("subject") is None:
        raise invalid("Name a router or a key.", field="router_id")
    customer = await load_customer(connection, customer_id)
    customer_models = ModelList(customer["allowed_models"])
    if request.HasField("router_id"):
        router = await load_router(connection, customer_id, resource_id("router", request.router_id))
        if router["delete_time"] is not None:
            raise not_found("router", request.router_id)
        return _Asked(router["router_id"], ModelList(()), customer_models)
    key = await load_key(connection, customer_id, resource_id("key", request.key_id))
    refusal = None
    if key["disabled"] or key["revoke_time"] is not None:
        refusal = TollkeeperError(Reason.INVALID_API_KEY, "The API key is not valid.")
    router_id = key["router_id"] or customer["default_router_id"]
    owners = key["key_id"], key["team_id"] or "", key["user_id"] or ""
    return _Asked(router_id, ModelList(key["allowed_models"]), customer_models, refusal, *owners)


def _answer(planned: Plan[_Rule], prices: Prices, model: str) -> routers_pb2.DryRunRouterResponse:
    shares = {id(rule): share for group in planned.groups for rule, share in _shares(group)}
    likeliest = [rule for group in planned.groups for rule, _ in _shares(group)]
    refusal = planned.refusal
    priced: Iterable[tuple[_Rule, prices_pb2.Price]] = ()
    unpriced: Sequence[tuple[_Rule, Skip]] = ()
    if refusal is None:
        priced, unpriced, refusal = with_prices(
            likeliest,
            lambda rule: prices.of(rule.provider_type, rule.provider_id, asked_model(rule, model)),
            waits,
            model,
        )
    skipped = [*planned.skipped, *unpriced]
    return routers_pb2.DryRunRouterResponse(
        attempts=[_attempt(rule, price, model, shares[id(rule)]) for rule, price in priced],
        skipped=[
            routers_pb2.SkippedRule(
                rule_id=rule.rule_id,
                provider_id=rule.provider_id,
                provider_name=rule.provider_name,
                provider_type=rule.provider_type,
                reason=reason.value,
            )
            for rule, reason in skipped
        ],
        refusal=refusal.reason if refusal is not None else Reason.ERROR_REASON_UNSPECIFIED,
        refusal_message=refusal.message if refusal is not None else "",
    )


def _shares(group: Sequence[_Rule]) -> list[tuple[_Rule, float]]:
    """The rules of a group, the likeliest to be first before the others, with how often each is."""
    if len(group) == 1:
        return [(group[0], 1.0)]
    total = sum(rule.weight for rule in group)
    ordered = sorted(group, key=lambda rule: -rule.weight)
    return [(rule, rule.weight / total) for rule in ordered]


def _attempt(rule: _Rule, price: prices_pb2.Price, model: str, share: float) -> routers_pb2.PlannedAttempt:
    attempt = routers_pb2.PlannedAttempt(
        rule_id=rule.rule_id,
        provider_id=rule.provider_id,
        provider_name=rule.provider_name,
        provider_type=rule.provider_type,
        upstream_model=asked_model(rule, model),
        direct=goes_direct(rule.provider_type, rule.base_url, rule.direct),
        priority=rule.priority,
        condition=rule.condition,
        statuses=rule.statuses,
        when=rule.when,
        weight=rule.weight,
        first_share=share,
        price=price,
    )
    # These two are for edges, which have no clock in common with us.
    attempt.price.ClearField("starts_in")
    attempt.price.ClearField("ends_in")
    return attempt
