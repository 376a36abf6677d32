"""Grants as the request path reads them: all a worker needs to serve a key, parsed once."""

from math import inf

from edge.prices import PriceSchedule, schedules_by_provider
from edge.rates.limits import GrantLimits
from edge.upstream.retries import (
    DEFAULT_BACKOFF_S,
    DEFAULT_MAX_BACKOFF_S,
    NO_RETRIES,
    RetryPolicy,
)
from tollkeeper.model_match import ModelList
from tollkeeper.networks import network
from tollkeeper.routing import is_provider
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.routers_pb2 import Retries


class RuleView:
    """One routing rule with its provider. The vendor credential never shows in a repr."""

    __slots__ = (
        "allowed_models",
        "base_url",
        "condition",
        "credential",
        "direct",
        "model_rewrite",
        "passthrough_paths",
        "priority",
        "provider_enabled",
        "provider_id",
        "provider_name",
        "provider_type",
        "rule_id",
        "shared",
        "statuses",
        "stored_key_alias",
        "weight",
        "when",
    )

    def __init__(self, rule: edge_pb2.Rule) -> None:
        self.rule_id = rule.rule_id
        self.priority = rule.priority
        self.condition = rule.condition
        self.provider_id = rule.provider_id
        self.provider_name = rule.provider_name
        self.provider_type = rule.provider_type
        self.provider_enabled = rule.provider_enabled
        self.base_url = rule.base_url
        self.credential = rule.credential
        self.stored_key_alias = rule.stored_key_alias
        self.allowed_models = tuple(rule.allowed_models)
        self.model_rewrite = rule.model_rewrite
        self.passthrough_paths = tuple(rule.passthrough_paths)
        self.direct = rule.direct
        self.weight = rule.weight
        self.shared = rule.shared
        self.statuses = frozenset(rule.statuses)
        self.when = rule.when

    def __repr__(self) -> str:
        return f"RuleView({self.rule_id}, {self.provider_type}, {self.provider_name!r})"


class GrantView:
    """A grant; field meanings as in edge.proto. Never changed after it is made."""

    __slots__ = (
        "_markup_ppm",
        "_model_markups",
        "allowed_models",
        "allowed_networks",
        "cache_ttl_s",
        "cf_gateway_id",
        "chain_version",
        "clamp_output",
        "cost_limits",
        "customer_allowed_models",
        "customer_id",
        "deadlines",
        "default_output_limit",
        "expires_at_s",
        "key_hash",
        "key_id",
        "marked_up",
        "own_prices",
        "rate_limits",
        "read_at_s",
        "retries",
        "router_id",
        "rules",
        "team_id",
        "unlimited",
        "user_id",
        "version",
    )

    def __init__(self, key_hash: bytes, grant: edge_pb2.Grant, now_s: float, wall_s: float) -> None:
        self.key_hash = key_hash
        self.read_at_s = now_s
        self.customer_id = grant.customer_id
        self.key_id = grant.key_id
        self.team_id = grant.team_id
        self.router_id = grant.router_id
        self.user_id = grant.user_id
        self.version = grant.version
        self.chain_version = grant.chain_version
        self.unlimited = grant.unlimited
        self.allowed_models = tuple(grant.allowed_models)
        self.customer_allowed_models = tuple(grant.customer_allowed_models)
        self.allowed_networks = tuple(network(text) for text in grant.allowed_ips)
        self.cost_limits = _cost_limits(grant)
        limits = GrantLimits(grant.customer_id, grant.rate_limits)
        # None where there are none: the request path asks each time.
        self.rate_limits = limits or None
        self.default_output_limit = grant.default_output_limit
        self.clamp_output = grant.clamp_output
        self.rules = tuple(RuleView(rule) for rule in grant.rules)
        self.own_prices: dict[tuple[str, str], PriceSchedule] = schedules_by_provider(grant.own_prices, now_s)
        # None, as for most: the edge's own.
        self.deadlines = grant.deadlines if grant.HasField("deadlines") else None
        self.retries = _retries(grant.retries) if grant.HasField("retries") else NO_RETRIES
        self.cf_gateway_id = grant.cf_gateway_id
        self.cache_ttl_s = grant.cache_ttl_s
        self._markup_ppm = grant.markup_ppm
        self._model_markups = tuple(
            (ModelList([markup.pattern]), markup.markup_ppm) for markup in grant.model_markups
        )
        # Whether prices are not just as they stand.
        self.marked_up = bool(self._markup_ppm or self._model_markups)
        # On the clock of `Clock.now_s`, so that the request path reads one clock only.
        self.expires_at_s = inf
        if grant.HasField("expire_time"):
            self.expires_at_s = now_s + grant.expire_time.seconds + grant.expire_time.nanos / 1e9 - wall_s

    def names(self, provider: str) -> bool:
        """Whether some rule's provider has this type, slug, name or id."""
        return any(is_provider(rule, provider) for rule in self.rules)

    def max_cost_nanousd(self, model: str) -> int | None:
        """The most one attempt at a request for this model may cost; None: as much as budgets allow."""
        return min((limit for models, limit in self.cost_limits if models.allows(model)), default=None)

    def markup_ppm(self, model: str) -> int:
        """What the customer pays on top of the global price of a vendor's model, in parts per million."""
        for models, markup_ppm in self._model_markups:
            if models.allows(model):
                return markup_ppm
        return self._markup_ppm

    def __repr__(self) -> str:
        return f"GrantView(key {self.key_id}, customer {self.customer_id}, version {self.version})"


def _retries(sent: Retries) -> RetryPolicy:
    return RetryPolicy(
        sent.count,
        sent.backoff_ms / 1000 or DEFAULT_BACKOFF_S,
        sent.max_backoff_ms / 1000 or max(DEFAULT_MAX_BACKOFF_S, sent.backoff_ms / 1000),
    )


def _cost_limits(grant: edge_pb2.Grant) -> tuple[tuple[ModelList, int], ...]:
    """Largest costs with the models they are for; the key's own is for all."""
    limits = [(ModelList((limit.model,)), limit.max_cost_nanousd) for limit in grant.model_limits]
    return tuple(limit for limit in [(ModelList(()), grant.max_cost_nanousd), *limits] if limit[1])
