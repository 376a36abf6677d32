"""From a grant's rules to the ordered attempts of one request. No I/O: endpoints are worked out once per
grant."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from edge.grants import GrantView, RuleView
from edge.prices import PriceView
from edge.upstream.cloudflare import Credential, Endpoint, Gateway, direct_endpoint, gateway_endpoint
from edge.upstream.failures import InvalidRequest
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.model_match import WILDCARD, ModelList

log = structlog.get_logger()

# Of one grant; a key that asks for more different models than this is looked up anew each time.
MAX_CACHED_MODELS = 256
_PROVIDER_ALIASES = {
    "gemini": "google",
    "google-ai-studio": "google",
    "xai": "grok",
    "perplexity-ai": "perplexity",
}


@dataclass(frozen=True, slots=True)
class Route:
    """A rule that takes the model: which model is asked of the vendor, where, and who is named to the
    client."""

    rule: RuleView
    model: str
    endpoint: Endpoint
    provider_name: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route with the price in force: an attempt that may be made."""

    route: Route
    price: PriceView


@dataclass(frozen=True, slots=True)
class _Entry:
    rule: RuleView
    models: ModelList
    endpoint: Endpoint | None


class RouteTable:
    """All routes of one grant."""

    __slots__ = ("_cache", "_customer_models", "_entries", "_models", "grant")

    def __init__(self, grant: GrantView, gateway: Gateway | None) -> None:
        """`gateway` None: no Cloudflare account is configured, only rules with a base URL can be served."""
        self.grant = grant
        self._models = ModelList(grant.allowed_models)
        self._customer_models = ModelList(grant.customer_allowed_models)
        rules = sorted(grant.rules, key=lambda rule: rule.priority)
        self._entries = [
            _Entry(rule, ModelList(rule.allowed_models), endpoint_of(rule, grant, gateway)) for rule in rules
        ]
        self._cache: dict[tuple[str, str | None], tuple[Route, ...]] = {}

    def routes(self, model: str, provider: str | None = None) -> tuple[Route, ...]:
        """Routes by priority, at least one. `provider` keeps those whose provider has this type, slug or
        name.

        Raises ROUTER_WITHOUT_RULES, MODEL_NOT_ALLOWED, INVALID_ARGUMENT (no such provider),
        ALL_PROVIDERS_FAILED (those that take the model are switched off).
        """
        cached = self._cache.get((model, provider))
        if cached is not None:
            return cached
        routes = self._find(model, provider)
        if len(self._cache) >= MAX_CACHED_MODELS:
            self._cache.clear()
        self._cache[model, provider] = routes
        return routes

    def offered(self, priced: Iterable[tuple[str, str]], own: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Models that can be asked for, with the provider type of the rule that takes each.

        `priced` holds (provider type, model) of global prices, `own` (provider id, model) of the customer's.
        """
        offered: dict[str, str] = {}
        by_type, by_id = _grouped(priced), _grouped(own)
        for entry in reversed(self._entries):  # so that the first rule has the last word
            rule = entry.rule
            if not rule.provider_enabled or entry.endpoint is None:
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

    def _allows(self, model: str) -> bool:
        return self._models.allows(model) and self._customer_models.allows(model)

    def _find(self, model: str, provider: str | None) -> tuple[Route, ...]:
        if not self._entries:
            raise TollkeeperError(Reason.ROUTER_WITHOUT_RULES, "The router of this key has no rules yet.")
        if not self._models.allows(model):
            raise _not_allowed(f"This key may not use the model {model!r}.")
        if not self._customer_models.allows(model):
            raise _not_allowed(f"This key's customer may not use the model {model!r}.")
        entries: Sequence[_Entry] = self._entries
        if provider is not None:
            entries = [entry for entry in entries if _is_provider(entry.rule, provider)]
            if not entries:
                message = f"No rule of this key's router leads to a provider {provider!r}."
                raise TollkeeperError(Reason.INVALID_ARGUMENT, message, {"param": "provider"})
        entries = [entry for entry in entries if entry.models.allows(model)]
        if not entries:
            raise _not_allowed(f"No rule of this key's router takes the model {model!r}.")
        enabled = [entry for entry in entries if entry.rule.provider_enabled]
        if not enabled:
            message = f"Every provider for the model {model!r} is switched off."
            raise TollkeeperError(Reason.ALL_PROVIDERS_FAILED, message, {"attempts": "[]"})
        routes = tuple(
            Route(entry.rule, entry.rule.model_rewrite or model, entry.endpoint, _header_text(entry.rule))
            for entry in enabled
            if entry.endpoint is not None
        )
        if not routes:
            message = (
                f"No provider for the model {model!r} can be reached: base URL or credential can't be used, "
                "or this gateway has no Cloudflare account."
            )
            raise TollkeeperError(Reason.ALL_PROVIDERS_FAILED, message, {"attempts": "[]"})
        return routes


def candidates(
    routes: Sequence[Route], price_of: Callable[[RuleView, str], PriceView | None], model: str
) -> list[Candidate]:
    """Routes whose model has a price, in order. Raises MODEL_NOT_PRICED when there is none: nobody could bill
    it."""
    priced = [
        Candidate(route, price)
        for route in routes
        if (price := price_of(route.rule, route.model)) is not None
    ]
    if not priced:
        message = f"The model {model!r} has no price, so it can't be served. Ask for a price to be added."
        raise TollkeeperError(Reason.MODEL_NOT_PRICED, message, {"param": "model", "model": model})
    return priced


def endpoint_of(rule: RuleView, grant: GrantView, gateway: Gateway | None) -> Endpoint | None:
    """Where a rule leads: its base URL if it has one, else through Cloudflare. None where neither works
    out."""
    try:
        return _endpoint(rule, grant, gateway)
    except (ValueError, InvalidRequest) as error:
        log.warning("rule leads nowhere", rule_id=rule.rule_id, why=type(error).__name__)
        return None


def _endpoint(rule: RuleView, grant: GrantView, gateway: Gateway | None) -> Endpoint | None:
    credential = Credential(rule.credential, rule.stored_key_alias)
    if rule.base_url:
        return direct_endpoint(rule.base_url, credential)
    if gateway is None or rule.provider_type == "custom":
        return None
    metadata = {
        "customer": grant.customer_id,
        "key": grant.key_id,
        "team": grant.team_id,
        "user": grant.user_id,
    }
    return gateway_endpoint(gateway, rule.provider_type, grant.cf_gateway_id, credential, metadata)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    grouped: dict[str, set[str]] = {}
    for owner, model in pairs:
        grouped.setdefault(owner, set()).add(model)
    return grouped


def _is_provider(rule: RuleView, name: str) -> bool:
    return (
        rule.provider_type == name
        or rule.provider_type == _PROVIDER_ALIASES.get(name)
        or rule.provider_name == name
        or rule.provider_id == name
    )


def _not_allowed(message: str) -> TollkeeperError:
    return TollkeeperError(Reason.MODEL_NOT_ALLOWED, message, {"param": "model"})


def _header_text(rule: RuleView) -> bytes:
    """The provider's name as a header can carry it."""
    name = rule.provider_name or rule.provider_type
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in name).encode()
