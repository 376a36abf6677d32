"""Which attempts a request gets: the one place that decides it, for the edge and for the control plane's dry
run.

Pure: rules go in as the contract's `Rule` or as what the edge made of it, and come out in the order in which
they are tried. Prices are asked for afterwards (`with_prices`), since they change with time.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from tollkeeper.conditions import rank, waits
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.expressions import Expression, ExpressionError, Facts, compile_expression
from tollkeeper.model_match import ModelList
from tollkeeper.provider_types import find_type


class RoutingRule(Protocol):
    """What planning reads of a rule; fields as in edge.proto."""

    @property
    def priority(self) -> int: ...
    @property
    def condition(self) -> str: ...
    @property
    def statuses(self) -> Collection[int]: ...
    @property
    def when(self) -> str: ...
    @property
    def weight(self) -> int: ...
    @property
    def allowed_models(self) -> Sequence[str]: ...
    @property
    def model_rewrite(self) -> str: ...
    @property
    def provider_id(self) -> str: ...
    @property
    def provider_name(self) -> str: ...
    @property
    def provider_type(self) -> str: ...
    @property
    def provider_enabled(self) -> bool: ...


R = TypeVar("R", bound=RoutingRule)
T = TypeVar("T")
P = TypeVar("P")


class Skip(StrEnum):
    """Why a rule isn't tried."""

    OTHER_PROVIDER = "other_provider"
    """The request names another provider."""
    MODEL = "model"
    """The rule's list doesn't have the model."""
    DISABLED = "disabled"
    """Its provider is switched off."""
    OPERATION = "operation"
    """Its provider doesn't serve this kind of request."""
    UNREACHABLE = "unreachable"
    """Its provider's settings lead nowhere."""
    NOT_PRICED = "not_priced"
    """Nobody could bill the model at this provider."""
    WHEN = "when"
    """Its expression isn't true of the request."""
    NEVER_FIRST = "never_first"
    """It waits for a failure, and no rule is tried before it."""


@dataclass(frozen=True, slots=True)
class Prepared(Generic[R]):
    """A rule with its list of models and its expression made ready for asking."""

    rule: R
    models: ModelList
    reachable: bool
    when: Expression | None


@dataclass(frozen=True, slots=True)
class Plan(Generic[R]):
    """The rules a request may be tried at, and the others with the reason.

    `groups` are tried one after the other. In a group of several rules one is drawn by weight to be the
    first, then one of those left, and so on.
    """

    groups: tuple[tuple[R, ...], ...]
    skipped: tuple[tuple[R, Skip], ...]
    refusal: TollkeeperError | None = field(default=None)
    """Set when no rule is left; `groups` is empty then."""


def prepare(rules: Iterable[R], reachable: Callable[[R], bool]) -> list[Prepared[R]]:
    """Rules in the order in which they are tried: by priority, in one priority by condition, and then those
    with a weight before those without; else as they were given."""
    prepared = [
        Prepared(rule, ModelList(rule.allowed_models), reachable(rule), _when(rule)) for rule in rules
    ]
    return sorted(prepared, key=lambda each: _rank(each.rule))


def plan(
    prepared: Sequence[Prepared[R]],
    key_models: ModelList,
    customer_models: ModelList,
    model: str,
    provider: str | None,
    serves: Callable[[R], bool],
    facts: Facts | None = None,
) -> Plan[R]:
    """What becomes of a request for `model`; `provider` keeps rules whose provider has this type, slug, name
    or id. `serves` says of a reachable rule whether its provider serves such requests. Without `facts` no
    expression is asked."""
    if not prepared:
        return _refused((), Reason.ROUTER_WITHOUT_RULES, "The router of this key has no rules yet.")
    if not key_models.allows(model):
        return _refused((), Reason.MODEL_NOT_ALLOWED, f"This key may not use the model {model!r}.", _MODEL)
    if not customer_models.allows(model):
        message = f"This key's customer may not use the model {model!r}."
        return _refused((), Reason.MODEL_NOT_ALLOWED, message, _MODEL)
    taken: list[R] = []
    skipped: list[tuple[R, Skip]] = []
    for each in prepared:
        skip = _skip(each, model, provider, serves, facts)
        if skip is None and not taken and waits(each.rule):
            skip = Skip.NEVER_FIRST
        if skip is None:
            taken.append(each.rule)
        else:
            skipped.append((each.rule, skip))
    if not taken:
        return _none_left(tuple(skipped), model, provider)
    return Plan(_grouped(taken), tuple(skipped))


def drawn(groups: Sequence[Sequence[T]], weight: Callable[[T], int], random: Callable[[], float]) -> list[T]:
    """The order in which one request tries its rules; `random` gives numbers from 0 up to 1."""
    order: list[T] = []
    for group in groups:
        left = list(group)
        while len(left) > 1:
            order.append(left.pop(_draw([weight(each) for each in left], random())))
        order += left
    return order


def with_prices(
    routes: Iterable[T], price_of: Callable[[T], P | None], waits_for: Callable[[T], bool], model: str
) -> tuple[list[tuple[T, P]], list[tuple[T, Skip]], TollkeeperError | None]:
    """Routes that can be billed with their prices, the others, and the refusal when none is left.

    `waits_for` tells the routes that can't be the first (`waits`).
    """
    priced: list[tuple[T, P]] = []
    skipped: list[tuple[T, Skip]] = []
    for route in routes:
        price = price_of(route)
        if price is None:
            skipped.append((route, Skip.NOT_PRICED))
        elif not priced and waits_for(route):
            skipped.append((route, Skip.NEVER_FIRST))
        else:
            priced.append((route, price))
    if priced:
        return priced, skipped, None
    message = f"The model {model!r} has no price, so it can't be served. Ask for a price to be added."
    metadata = {"param": "model", "model": model}
    return priced, skipped, TollkeeperError(Reason.MODEL_NOT_PRICED, message, metadata)


def asked_model(rule: RoutingRule, model: str) -> str:
    """The model that is asked of the vendor."""
    return rule.model_rewrite or model


_MODEL = {"param": "model"}


def _rank(rule: RoutingRule) -> tuple[int, int, bool]:
    return rule.priority, rank(rule), rule.weight == 0


def _when(rule: RoutingRule) -> Expression | None:
    if not rule.when:
        return None
    try:
        return compile_expression(rule.when)
    except ExpressionError:
        # Of a newer control plane: what can't be understood isn't taken for true.
        return lambda facts: False


def _skip(
    each: Prepared[R],
    model: str,
    provider: str | None,
    serves: Callable[[R], bool],
    facts: Facts | None,
) -> Skip | None:
    if provider is not None and not is_provider(each.rule, provider):
        return Skip.OTHER_PROVIDER
    if not each.models.allows(model):
        return Skip.MODEL
    if not each.rule.provider_enabled:
        return Skip.DISABLED
    if not each.reachable:
        return Skip.UNREACHABLE
    if not serves(each.rule):
        return Skip.OPERATION
    return None if facts is None or each.when is None or each.when(facts) else Skip.WHEN


def _grouped(rules: Sequence[R]) -> tuple[tuple[R, ...], ...]:
    """Neighbours of one rank that have weights share a group; each of the others is one by itself."""
    groups: list[list[R]] = []
    for rule in rules:
        if rule.weight and groups and _rank(groups[-1][0]) == _rank(rule):
            groups[-1].append(rule)
        else:
            groups.append([rule])
    return tuple(tuple(group) for group in groups)


def _draw(weights: Sequence[int], random: float) -> int:
    """The place that a number from 0 up to 1 falls on."""
    point = random * sum(weights)
    for place, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return place
    return len(weights) - 1


def _none_left(skipped: tuple[tuple[R, Skip], ...], model: str, provider: str | None) -> Plan[R]:
    """The refusal says what went furthest: a rule that only lacks a working provider is nearer than one that
    doesn't take the model."""
    reasons = {skip for _, skip in skipped}
    if reasons == {Skip.OTHER_PROVIDER}:
        message = f"No rule of this key's router leads to a provider {provider!r}."
        return _refused(skipped, Reason.INVALID_ARGUMENT, message, {"param": "provider"})
    if Skip.UNREACHABLE in reasons:
        message = (
            f"No provider for the model {model!r} can be reached: base URL or credential can't be used, "
            "or this gateway has no Cloudflare account."
        )
        return _refused(skipped, Reason.ALL_PROVIDERS_FAILED, message, {"attempts": "[]"})
    if Skip.DISABLED in reasons:
        message = f"Every provider for the model {model!r} is switched off."
        return _refused(skipped, Reason.ALL_PROVIDERS_FAILED, message, {"attempts": "[]"})
    if Skip.OPERATION in reasons:
        message = f"No provider for the model {model!r} serves this kind of request."
        return _refused(skipped, Reason.ENDPOINT_NOT_SUPPORTED, message)
    if Skip.WHEN in reasons:
        message = f"No rule of this key's router for the model {model!r} takes this request."
        return _refused(skipped, Reason.MODEL_NOT_ALLOWED, message, _MODEL)
    message = f"No rule of this key's router takes the model {model!r}."
    return _refused(skipped, Reason.MODEL_NOT_ALLOWED, message, _MODEL)


def _refused(
    skipped: tuple[tuple[R, Skip], ...],
    reason: Reason,
    message: str,
    metadata: dict[str, str] | None = None,
) -> Plan[R]:
    return Plan((), skipped, TollkeeperError(reason, message, metadata))


def is_provider(rule: RoutingRule, name: str) -> bool:
    """Whether a rule's provider has this type, slug, name or id."""
    if name in (rule.provider_type, rule.provider_name, rule.provider_id):
        return True
    known = find_type(name)
    return known is not None and known.name == rule.provider_type
