"""Routes that can be paid for, and which of them is tried next."""

from collections.abc import Callable, Iterable, Sequence
from itertools import dropwhile
from typing import NamedTuple

from edge.grants import RuleView
from edge.prices import PriceView
from edge.routing import Route
from edge.upstream.breakers import Breakers
from tollkeeper.conditions import FOLLOWING, Ending, answers_to
from tollkeeper.routing import with_prices


class Candidate(NamedTuple):
    """A route with the price in force: an attempt that may be made."""

    route: Route
    price: PriceView


def candidates(
    routes: Sequence[Route], price_of: Callable[[RuleView, str], PriceView | None], model: str
) -> list[Candidate]:
    """Routes whose model has a price, in order. Raises MODEL_NOT_PRICED when there is none: nobody could bill
    it."""
    if len(routes) == 1 and not _waits(routes[0]):
        price = price_of(routes[0].rule, routes[0].model)
        if price is not None:
            return [Candidate(routes[0], price)]
    priced, _, refusal = with_prices(routes, lambda route: price_of(route.rule, route.model), _waits, model)
    if refusal is not None:
        raise refusal
    return [Candidate(route, price) for route, price in priced]


def startable(options: Iterable[Candidate]) -> list[Candidate]:
    """Options without those at their front that wait for a failure: nothing is left that could fail before
    them."""
    return list(dropwhile(lambda option: _waits(option.route), options))


def next_place(
    options: Sequence[Candidate], place: int, ending: Ending, breakers: Breakers
) -> tuple[int | None, list[Candidate]]:
    """The first of `options` from `place` on that is tried after an attempt that ended like this, and those
    before it that only their breakers keep from it: they count as tried, and as having ended as they last
    did."""
    resting: list[Candidate] = []
    for at in range(place, len(options)):
        route = options[at].route
        if not answers_to(route.rule, ending):
            continue
        last = breakers.resting(route.breaker) if breakers.tripped else None
        if last is None:
            return at, resting
        ending = last
        resting.append(options[at])
    return None, resting


def _waits(route: Route) -> bool:
    return route.rule.condition in FOLLOWING
