"""Parts of a tenants file as messages of the contract, and back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from clients.tenants import schema
from tollkeeper.money import format_usd, parse_usd
from tollkeeper.v1 import (
    budgets_pb2,
    customers_pb2,
    keys_pb2,
    providers_pb2,
    routers_pb2,
    teams_pb2,
    users_pb2,
)

# Fields of the file whose field in the contract is called otherwise.
FIELDS = {
    "default_router": "default_router_id",
    "price_plan": "price_plan_id",
    "user": "user_id",
    "team": "team_id",
    "router": "router_id",
    "teams": "team_ids",
    "max_cost_usd": "max_cost_nanousd",
}
_PERIODS: dict[schema.Period, budgets_pb2.Period] = {
    "none": budgets_pb2.PERIOD_NONE,
    "daily": budgets_pb2.PERIOD_DAILY,
    "weekly": budgets_pb2.PERIOD_WEEKLY,
    "monthly": budgets_pb2.PERIOD_MONTHLY,
}
_ROLES: dict[schema.Role, users_pb2.Role] = {
    "member": users_pb2.ROLE_MEMBER,
    "manager": users_pb2.ROLE_MANAGER,
    "admin": users_pb2.ROLE_ADMIN,
    "owner": users_pb2.ROLE_OWNER,
}


@dataclass(slots=True)
class Ids:
    """Ids of what the parts of one customer name."""

    customer_id: str = ""
    teams: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    routers: dict[str, str] = field(default_factory=dict)
    # Of the platform; known where it is needed only.
    price_plans: dict[str, str] = field(default_factory=dict)


class UnknownName(Exception):
    """A part names something that isn't there."""


def id_of(names: dict[str, str], kind: str, name: str | None) -> str:
    """The id behind a name; empty for none. Raises UnknownName."""
    if name is None:
        return ""
    if name not in names:
        raise UnknownName(f"there is no {kind} {name!r}")
    return names[name]


def name_of(names: dict[str, str], wanted: str) -> str | None:
    """The name behind an id, if there is one."""
    return next((name for name, each in names.items() if each == wanted), None)


# ---- budgets and limits


def budget_part(message: budgets_pb2.Budget) -> schema.Budget:
    """What a file says of a budget."""
    return schema.Budget(
        limit_usd=format_usd(message.limit_nanousd),
        period=_period_name(message.period),
        soft=message.soft,
        thresholds=list(message.thresholds),
    )


def budget_message(part: schema.Budget) -> budgets_pb2.Budget:
    """Without customer and scope."""
    return budgets_pb2.Budget(
        limit_nanousd=parse_usd(part.limit_usd),
        period=period(part.period),
        soft=part.soft,
        thresholds=part.thresholds,
    )


def initial_budget(budgets: Sequence[schema.Budget]) -> budgets_pb2.InitialBudget:
    """The budget that a resource is made with, so that it is never there without; no limit for none."""
    if not budgets:
        return budgets_pb2.InitialBudget()
    first = budgets[0]
    return budgets_pb2.InitialBudget(limit_nanousd=parse_usd(first.limit_usd), period=period(first.period))


def period(name: schema.Period) -> budgets_pb2.Period:
    """The contract's value."""
    return _PERIODS[name]


def _period_name(value: budgets_pb2.Period) -> schema.Period:
    return next(name for name, each in _PERIODS.items() if each == value)


def _limit_part(message: keys_pb2.ModelLimit) -> schema.ModelLimit:
    return schema.ModelLimit(
        model=message.model,
        requests_per_minute=message.requests_per_minute,
        tokens_per_minute=message.tokens_per_minute,
        max_cost_usd=format_usd(message.max_cost_nanousd),
    )


def _limit_message(part: schema.ModelLimit) -> keys_pb2.ModelLimit:
    return keys_pb2.ModelLimit(
        model=part.model,
        requests_per_minute=part.requests_per_minute,
        tokens_per_minute=part.tokens_per_minute,
        max_cost_nanousd=parse_usd(part.max_cost_usd),
    )


# ---- resources


def customer_part(
    message: customers_pb2.Customer, default_router: str | None, price_plan: str | None, **owned: Any
) -> schema.Customer:
    """`owned`: budgets, teams, users, providers, routers, keys."""
    defaults = message.key_defaults
    return schema.Customer(
        slug=message.slug,
        name=message.name,
        email=message.email or None,
        plan=message.plan,
        price_plan=price_plan,
        time_zone=message.time_zone,
        suspended=message.suspended,
        allowed_models=list(message.allowed_models),
        requests_per_minute=message.requests_per_minute,
        tokens_per_minute=message.tokens_per_minute,
        max_concurrent_requests=message.max_concurrent_requests,
        default_output_limit=message.default_output_limit,
        default_router=default_router,
        key_defaults=_defaults_part(defaults) if message.HasField("key_defaults") else None,
        **owned,
    )


def customer_message(part: schema.Customer, ids: Ids) -> customers_pb2.Customer:
    """Without default router: it may not be there yet. Raises UnknownName."""
    return customers_pb2.Customer(
        customer_id=ids.customer_id,
        slug=part.slug,
        name=part.name,
        email=part.email or "",
        plan=part.plan,
        price_plan_id=id_of(ids.price_plans, "price plan", part.price_plan),
        time_zone=part.time_zone,
        suspended=part.suspended,
        allowed_models=part.allowed_models,
        requests_per_minute=part.requests_per_minute,
        tokens_per_minute=part.tokens_per_minute,
        max_concurrent_requests=part.max_concurrent_requests,
        default_output_limit=part.default_output_limit,
        key_defaults=_defaults_message(part.key_defaults) if part.key_defaults is not None else None,
    )


def _defaults_part(message: keys_pb2.KeyDefaults) -> schema.KeyDefaults:
    budget = None
    if message.budget.HasField("limit_nanousd"):
        budget = schema.KeyBudget(
            limit_usd=format_usd(message.budget.limit_nanousd), period=_period_name(message.budget.period)
        )
    return schema.KeyDefaults(
        allowed_models=list(message.allowed_models),
        requests_per_minute=message.requests_per_minute,
        tokens_per_minute=message.tokens_per_minute,
        max_concurrent_requests=message.max_concurrent_requests,
        model_limits=[_limit_part(each) for each in message.model_limits],
        max_cost_usd=format_usd(message.max_cost_nanousd),
        clamp_output=message.clamp_output,
        budget=budget,
    )


def _defaults_message(part: schema.KeyDefaults) -> keys_pb2.KeyDefaults:
    message = keys_pb2.KeyDefaults(
        allowed_models=part.allowed_models,
        requests_per_minute=part.requests_per_minute,
        tokens_per_minute=part.tokens_per_minute,
        max_concurrent_requests=part.max_concurrent_requests,
        model_limits=[_limit_message(each) for each in part.model_limits],
        max_cost_nanousd=parse_usd(part.max_cost_usd),
        clamp_output=part.clamp_output,
    )
    if part.budget is not None:
        message.budget.limit_nanousd = parse_usd(part.budget.limit_usd)
        message.budget.period = period(part.budget.period)
    return message


def team_part(message: teams_pb2.Team, budgets: list[schema.Budget]) -> schema.Team:
    """What a file says of a team."""
    return schema.Team(
        name=message.name,
        suspended=message.suspended,
        requests_per_minute=message.requests_per_minute,
        tokens_per_minute=message.tokens_per_minute,
        max_concurrent_requests=message.max_concurrent_requests,
        budgets=budgets,
    )


def team_message(part: schema.Team, ids: Ids) -> teams_pb2.Team:
    """A team to be made or changed."""
    return teams_pb2.Team(
        customer_id=ids.customer_id,
        name=part.name,
        suspended=part.suspended,
        requests_per_minute=part.requests_per_minute,
        tokens_per_minute=part.tokens_per_minute,
        max_concurrent_requests=part.max_concurrent_requests,
    )


def user_part(message: users_pb2.User, teams: dict[str, str], budgets: list[schema.Budget]) -> schema.User:
    """What a file says of a user."""
    return schema.User(
        email=message.email,
        name=message.name,
        role=next(name for name, each in _ROLES.items() if each == message.role),
        suspended=message.suspended,
        requests_per_minute=message.requests_per_minute,
        tokens_per_minute=message.tokens_per_minute,
        max_concurrent_requests=message.max_concurrent_requests,
        teams=[name for name, team_id in teams.items() if team_id in message.team_ids],
        budgets=budgets,
    )


def user_message(part: schema.User, ids: Ids) -> users_pb2.User:
    """A user to be made or changed. Raises UnknownName."""
    return users_pb2.User(
        customer_id=ids.customer_id,
        email=part.email,
        name=part.name,
        role=_ROLES[part.role],
        suspended=part.suspended,
        requests_per_minute=part.requests_per_minute,
        tokens_per_minute=part.tokens_per_minute,
        max_concurrent_requests=part.max_concurrent_requests,
        team_ids=[id_of(ids.teams, "team", name) for name in part.teams],
    )


def provider_part(message: providers_pb2.Provider, credential: str | None) -> schema.Provider:
    """What a file says of a provider; `credential` names where it comes from."""
    return schema.Provider(
        name=message.name,
        type=message.provider_type,
        base_url=message.base_url,
        credential=credential,
        stored_key_alias=message.stored_key_alias,
        disabled=message.disabled,
        direct=message.direct,
        passthrough_paths=list(message.passthrough_paths),
    )


def provider_message(part: schema.Provider, ids: Ids, credential: str) -> providers_pb2.Provider:
    """A provider to be made or changed."""
    return providers_pb2.Provider(
        customer_id=ids.customer_id,
        name=part.name,
        provider_type=part.type,
        base_url=part.base_url,
        credential=credential,
        stored_key_alias=part.stored_key_alias,
        disabled=part.disabled,
        direct=part.direct,
        passthrough_paths=part.passthrough_paths,
    )


def router_part(message: routers_pb2.Router, providers: dict[str, str]) -> schema.Router:
    """What a file says of a router."""
    return schema.Router(
        name=message.name,
        rules=[
            schema.Rule(
                provider=name_of(providers, rule.provider_id) or rule.provider_id,
                priority=rule.priority,
                condition=rule.condition,
                statuses=list(rule.statuses),
                when=rule.when,
                allowed_models=list(rule.allowed_models),
                model_rewrite=rule.model_rewrite,
                weight=rule.weight,
            )
            for rule in message.rules
        ],
        retries=schema.Retries(
            count=message.retries.count,
            backoff_ms=message.retries.backoff_ms,
            max_backoff_ms=message.retries.max_backoff_ms,
        ),
        deadlines=schema.Deadlines(
            connect_ms=message.deadlines.connect_ms,
            first_byte_ms=message.deadlines.first_byte_ms,
            idle_ms=message.deadlines.idle_ms,
            total_ms=message.deadlines.total_ms,
        ),
        cache_ttl_s=message.cache_ttl_s,
    )


def router_message(part: schema.Router, ids: Ids) -> routers_pb2.Router:
    """A router to be made or changed. Raises UnknownName."""
    return routers_pb2.Router(
        customer_id=ids.customer_id,
        name=part.name,
        rules=[
            routers_pb2.RoutingRule(
                provider_id=id_of(ids.providers, "provider", rule.provider),
                priority=rule.priority,
                condition=rule.condition,
                statuses=rule.statuses,
                when=rule.when,
                allowed_models=rule.allowed_models,
                model_rewrite=rule.model_rewrite,
                weight=rule.weight,
            )
            for rule in part.rules
        ],
        retries=routers_pb2.Retries(**part.retries.model_dump()),
        deadlines=routers_pb2.Deadlines(**part.deadlines.model_dump()),
        cache_ttl_s=part.cache_ttl_s,
    )


def key_part(
    message: keys_pb2.Key, ids: Ids, default_router: str | None, budgets: list[schema.Budget]
) -> schema.Key:
    """What a file says of a key."""
    return schema.Key(
        name=message.name,
        user=name_of(ids.users, message.user_id),
        team=name_of(ids.teams, message.team_id),
        router=name_of(ids.routers, message.router_id) or default_router,
        disabled=message.disabled,
        expire_time=message.expire_time.ToJsonString() if message.HasField("expire_time") else None,
        allowed_models=list(message.allowed_models),
        default_output_limit=message.default_output_limit,
        clamp_output=message.clamp_output,
        requests_per_minute=message.requests_per_minute,
        tokens_per_minute=message.tokens_per_minute,
        max_concurrent_requests=message.max_concurrent_requests,
        model_limits=[_limit_part(each) for each in message.model_limits],
        max_cost_usd=format_usd(message.max_cost_nanousd),
        allowed_ips=list(message.allowed_ips),
        budgets=budgets,
    )


def key_message(part: schema.Key, ids: Ids) -> keys_pb2.Key:
    """A key to be made or changed. Raises UnknownName."""
    expire_time = None
    if part.expire_time is not None:
        expire_time = Timestamp()
        expire_time.FromJsonString(part.expire_time)
    return keys_pb2.Key(
        customer_id=ids.customer_id,
        name=part.name,
        user_id=id_of(ids.users, "user", part.user),
        team_id=id_of(ids.teams, "team", part.team),
        router_id=id_of(ids.routers, "router", part.router),
        disabled=part.disabled,
        expire_time=expire_time,
        allowed_models=part.allowed_models,
        default_output_limit=part.default_output_limit,
        clamp_output=part.clamp_output,
        requests_per_minute=part.requests_per_minute,
        tokens_per_minute=part.tokens_per_minute,
        max_concurrent_requests=part.max_concurrent_requests,
        model_limits=[_limit_message(each) for each in part.model_limits],
        max_cost_nanousd=parse_usd(part.max_cost_usd),
        allowed_ips=part.allowed_ips,
    )
