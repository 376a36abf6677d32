"""From a grant's rules to the ordered routes of one request. No I/O: destinations are worked out once per
grant; which rules are tried, and in which order, says `tollkeeper.routing`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import random

from edge.call import Call
from edge.destinations import destination_of
from edge.families import Family
from edge.formats import Format
from edge.grants import GrantView, RuleView
from edge.inference import may_name_kept, names_what_is_served
from edge.upstream.breakers import BreakerKey
from edge.upstream.cloudflare import Endpoint, Gateway
from edge.upstream.transport import EncodedHeaders
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.expressions import Facts
from tollkeeper.model_match import WILDCARD, ModelList
from tollkeeper.operations import Operation
from tollkeeper.routing import asked_model, drawn, is_provider, plan, prepare

# Of one grant; a key that asks for more different models than this is looked up anew each time.
MAX_CACHED_MODELS = 256


@dataclass(frozen=True, slots=True)
class Route:
    """A rule that takes the model: which model is asked of the vendor, where and in which format, and who is
    named to the client."""

    rule: RuleView
    model: str
    endpoint: Endpoint
    format: Format
    provider_name: bytes
    breaker: BreakerKey


@dataclass(frozen=True, slots=True)
class _Routes:
    """What requests for one model get; drawn anew for each where rules have weights."""

    groups: tuple[tuple[Route, ...], ...]
    fixed: tuple[Route, ...]
    """The order without a draw; empty where there is one."""

    def order(self) -> tuple[Route, ...]:
        """Routes in the order in which this request tries them."""
        return self.fixed or tuple(drawn(self.groups, lambda route: route.rule.weight, random))


class RouteTable:
    """All routes of one grant."""

    __slots__ = (
        "_cache",
        "_customer_models",
        "_destinations",
        "_found",
        "_models",
        "_rules",
        "asks_facts",
        "grant",
    )

    def __init__(self, grant: GrantView, gateway: Gateway | None) -> None:
        """`gateway` None: no Cloudflare account is configured, only direct providers can be served."""
        self.grant = grant
        self._models = ModelList(grant.allowed_models)
        self._customer_models = ModelList(grant.customer_allowed_models)
        self._destinations = {rule: destination_of(rule, grant, gateway) for rule in grant.rules}
        self._rules = prepare(grant.rules, lambda rule: self._destinations[rule] is not None)
        self.asks_facts = any(each.when is not None for each in self._rules)
        """A rule has an expression, so that the order depends on more than the model."""
        self._cache: dict[tuple[str, bool, str, str | None], _Routes] = {}
        self._found: dict[tuple[str, bool, str], dict[RuleView, Route | None]] = {}

    def routes(
        self,
        family: Family,
        stream: bool,
        model: str,
        provider: str | None,
        facts: Facts | None = None,
    ) -> tuple[Route, ...]:
        """Routes in the order in which they are tried, at least one. `provider` keeps those whose provider
        has this type, slug or name; `facts` are needed where the table `asks_facts`.

        Raises ROUTER_WITHOUT_RULES, MODEL_NOT_ALLOWED, INVALID_ARGUMENT (no such provider),
        ALL_PROVIDERS_FAILED (those that take the model are switched off or can't be reached),
        ENDPOINT_NOT_SUPPORTED (none of them serves the family).
        """
        if self.asks_facts:
            return self._planned(family, stream, model, provider, facts).order()
        asked = family.name, stream, model, provider
        cached = self._cache.get(asked)
        if cached is None:
            cached = self._planned(family, stream, model, provider, None)
            if len(self._cache) >= MAX_CACHED_MODELS:
                self._cache.clear()
            self._cache[asked] = cached
        return cached.order()

    def offered(self, priced: Iterable[tuple[str, str]], own: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Models that can be asked for, with the provider type of the rule that takes each.

        `priced` holds (provider type, model) of global prices, `own` (provider id, model) of the customer's.
        """
        offered: dict[str, str] = {}
        by_type, by_id = _grouped(priced), _grouped(own)
        for entry in reversed(self._rules):  # so that the first rule has the last word
            rule = entry.rule
            if not rule.provider_enabled or not entry.reachable:
                continue
            served = by_type.get(rule.provider_type, set()) | by_id.get(rule.provider_id, set())
            if rule.model_rewrite:
                # Whatever is asked for becomes one model: only names that the rule spells out are known.
                exact = {name for name in rule.allowed_models if WILDCARD not in name}
                served = exact if rule.model_rewrite in served else set()
            for model in served:
                if entry.models.allows(model) and self._allows(model):
                    offered[model] = rule.provider_type
        return offered

    def at_provider(self, provider_id: str, operation: Operation) -> tuple[RuleView, Endpoint] | None:
        """The first rule that leads to a provider, and where it serves an operation that names no model; None
        where the router has no such rule."""
        for rule, destination in self._destinations.items():
            if rule.provider_id == provider_id and rule.provider_enabled and destination is not None:
                endpoint = destination.endpoint(operation, "")
                if endpoint is not None:
                    return rule, endpoint
        return None

    def unmodelled(self, family: Family, provider: str | None) -> list[Route]:
        """Routes for what names no model, in order, one for each provider that serves it. Raises
        ROUTER_WITHOUT_RULES, INVALID_ARGUMENT (no such provider), ENDPOINT_NOT_SUPPORTED."""
        found: dict[str, Route] = {}
        named = [each for each in self._rules if provider is None or is_provider(each.rule, provider)]
        for each in named:
            rule = each.rule
            if rule.provider_enabled and each.reachable and rule.provider_id not in found:
                route = self._route(rule, family, False, "")
                if route is not None:
                    found[rule.provider_id] = route
        if found:
            return list(found.values())
        if not self._rules:
            raise TollkeeperError(Reason.ROUTER_WITHOUT_RULES, "The router of this key has no rules yet.")
        if not named:
            message = f"No rule of this key's router leads to a provider {provider!r}."
            raise TollkeeperError(Reason.INVALID_ARGUMENT, message, {"param": "provider"})
        message = "No provider of this key's router serves this kind of request."
        raise TollkeeperError(Reason.ENDPOINT_NOT_SUPPORTED, message)

    def passing(self, call: Call) -> list[Route]:
        """Routes of the rules whose provider lets a path through, in order, one for each provider; the model
        of each is what its list calls the path.

        What the edge serves itself never goes through, nor, at a provider that others share, what belongs to
        a vendor's kept objects. Raises ENDPOINT_NOT_SUPPORTED, MODEL_NOT_ALLOWED.
        """
        if names_what_is_served(call.path):
            message = f"{call.path!r} is served by this gateway itself, and isn't passed through."
            raise TollkeeperError(Reason.ENDPOINT_NOT_SUPPORTED, message)
        kept = may_name_kept(call.path)
        found: dict[str, Route] = {}
        for each in self._rules:
            rule = each.rule
            if call.provider is None or not is_provider(rule, call.provider) or (kept and rule.shared):
                continue
            entry = _entry_of(rule, call.path)
            if entry is not None and rule.provider_enabled and rule.provider_id not in found:
                route = self._passing(rule, call, entry)
                if route is not None:
                    found[rule.provider_id] = route
        if not found:
            message = f"No provider {call.provider!r} of this key's router lets {call.path!r} through."
            raise TollkeeperError(Reason.ENDPOINT_NOT_SUPPORTED, message)
        allowed = [route for route in found.values() if self._allows(route.model)]
        if not allowed:
            model = next(iter(found.values())).model
            message = f"This key may not use {model!r}."
            raise TollkeeperError(Reason.MODEL_NOT_ALLOWED, message, {"param": "path"})
        return allowed

    def _passing(self, rule: RuleView, call: Call, entry: str) -> Route | None:
        destination = self._destinations[rule]
        if destination is None:
            return None
        spoken = call.family.formats[destination.wire]
        endpoint = destination.passing(call.path, call.query)
        if endpoint is None:
            return None
        breaker = BreakerKey(self.grant.customer_id, rule.provider_id, entry)
        return Route(rule, entry, endpoint, spoken, _header_text(rule), breaker)

    def _allows(self, model: str) -> bool:
        return self._models.allows(model) and self._customer_models.allows(model)

    def _planned(
        self, family: Family, stream: bool, model: str, provider: str | None, facts: Facts | None
    ) -> _Routes:
        found = self._routes_of(family, stream, model)
        planned = plan(
            self._rules,
            self._models,
            self._customer_models,
            model,
            provider,
            lambda rule: found[rule] is not None,
            facts,
        )
        if planned.refusal is not None:
            raise planned.refusal
        groups = tuple(tuple(route for rule in group if (route := found[rule])) for group in planned.groups)
        drawn_anew = any(len(group) > 1 for group in groups)
        return _Routes(groups, () if drawn_anew else tuple(group[0] for group in groups))

    def _routes_of(self, family: Family, stream: bool, model: str) -> dict[RuleView, Route | None]:
        """What each rule comes to for a model."""
        asked = family.name, stream, model
        found = self._found.get(asked)
        if found is None:
            found = {rule: self._route(rule, family, stream, model) for rule in self.grant.rules}
            if len(self._found) >= MAX_CACHED_MODELS:
                self._found.clear()
            if self.asks_facts:  # else what was planned from it is kept
                self._found[asked] = found
        return found

    def _route(self, rule: RuleView, family: Family, stream: bool, model: str) -> Route | None:
        """None where the rule's provider doesn't serve the family."""
        destination = self._destinations[rule]
        spoken = family.formats.get(destination.wire) if destination is not None else None
        if destination is None or spoken is None:
            return None
        upstream_model = asked_model(rule, model)
        endpoint = destination.endpoint(spoken.operation(stream), upstream_model)
        if endpoint is None:
            return None
        lines = family.wire_headers.get(destination.wire)
        if lines is not None:
            endpoint = replace(endpoint, headers=EncodedHeaders(endpoint.headers + lines))
        breaker = BreakerKey(self.grant.customer_id, rule.provider_id, upstream_model)
        return Route(rule, upstream_model, endpoint, spoken, _header_text(rule), breaker)


def _entry_of(rule: RuleView, path: str) -> str | None:
    """The entry of a provider's list that lets a path through."""
    return next((entry for entry in rule.passthrough_paths if ModelList((entry,)).allows(path)), None)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    grouped: dict[str, set[str]] = {}
    for owner, model in pairs:
        grouped.setdefault(owner, set()).add(model)
    return grouped


def _header_text(rule: RuleView) -> bytes:
    """The provider's name as a header can carry it."""
    name = rule.provider_name or rule.provider_type
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in name).encode()
