"""Which attempts a request gets, what each may cost at most, and what is held for them."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from time import gmtime

from edge import metrics
from edge.admission import AttemptPlan, Ledger, Open
from edge.call import Call
from edge.candidates import Candidate, candidates, next_place, startable
from edge.grants import GrantView
from edge.prices import PriceView
from edge.rates.estimate import likely_tokens
from edge.routing import RouteTable
from edge.upstream.breakers import Breakers
from edge.upstream.cloudflare import Gateway
from edge.worst_case import ONE_REQUEST, Demand
from tollkeeper.conditions import FIRST
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.expressions import Facts
from tollkeeper.money import MAX_NANOUSD, format_usd
from tollkeeper.v1 import prices_pb2

# Of what the vendor takes no money for: such attempts are void.
FREE = PriceView(prices_pb2.Price(rates=prices_pb2.Rates(input=0, output=0)))
# Keys whose route tables are kept; the oldest goes when more are in use.
MAX_ROUTE_TABLES = 4096
# Nobody takes the model as it is named: `provider/model` may be meant.
_NAMELESS = frozenset({Reason.MODEL_NOT_PRICED, Reason.MODEL_NOT_ALLOWED})


@dataclass(slots=True)
class Plan:
    """What may be tried, with the worst case of each try."""

    candidates: list[Candidate]
    attempts: list[AttemptPlan]
    dearest_nanousd: int
    sent_limit: int | None
    """Written into the body; None: the client's own limit, or none, stands."""
    clamped: bool


Hold = Callable[[GrantView, Call, tuple[str, ...], list[Candidate]], Coroutine[None, None, tuple[Plan, Open]]]


class Planner:
    """Plans and admits for one worker."""

    def __init__(
        self, ledger: Ledger, gateway: Gateway | None, breakers: Breakers, fallback_output_tokens: int
    ) -> None:
        """`fallback_output_tokens` counts where neither client, key nor price names an output limit."""
        self._ledger = ledger
        self._breakers = breakers
        self._gateway = gateway
        self._fallback_output = fallback_output_tokens
        self._tables: dict[bytes, RouteTable] = {}

    def table(self, grant: GrantView) -> RouteTable:
        """The routes of a grant, worked out on its first request."""
        table = self._tables.get(grant.key_hash)
        if table is None or table.grant is not grant:
            if table is None and len(self._tables) >= MAX_ROUTE_TABLES:
                del self._tables[next(iter(self._tables))]
            table = self._tables[grant.key_hash] = RouteTable(grant, self._gateway)
        return table

    def admit(
        self, grant: GrantView, call: Call, tags: tuple[str, ...]
    ) -> Coroutine[None, None, tuple[Plan, Open]]:
        """Takes from rates and holds the worst case, when awaited. Raises what routing, prices, limits and
        budgets say against the request."""
        options = self._options(grant, call, tags)
        hold = self._within_rates if grant.rate_limits else self._hold
        # Not one more coroutine between the request and its hold than it takes.
        if not self._breakers.tripped:
            return hold(grant, call, tags, options)
        return self._admit_healthy(hold, grant, call, tags, self._healthy(options))

    async def _admit_healthy(
        self, hold: Hold, grant: GrantView, call: Call, tags: tuple[str, ...], options: list[Candidate]
    ) -> tuple[Plan, Open]:
        try:
            return await hold(grant, call, tags, options)
        except BaseException:
            self._breakers.release(options[0].route.breaker)
            raise

    def _healthy(self, options: list[Candidate]) -> list[Candidate]:
        """The options from the first on that may be tried now. Raises CIRCUIT_OPEN when there is none."""
        place, resting = next_place(options, 0, FIRST, self._breakers)
        if place is None and not resting:
            return options  # all wait for a failure, and what names no model goes to the first all the same
        for option in resting:
            metrics.passed_over(option.route.rule.provider_type)
        if place is not None:
            return options[place:]
        wait_s = min(self._breakers.wait_s(option.route.breaker) for option in resting)
        names = ", ".join(option.route.provider_name.decode() for option in resting)
        message = f"Not sent: requests to {names} have kept failing. It is tried again in a moment."
        raise TollkeeperError(Reason.CIRCUIT_OPEN, message, retry_after_s=wait_s)

    async def _within_rates(
        self, grant: GrantView, call: Call, tags: tuple[str, ...], options: list[Candidate]
    ) -> tuple[Plan, Open]:
        limits = grant.rate_limits
        assert limits is not None
        tokens = likely_tokens(call, grant.default_output_limit)
        ticket = await self._ledger.rates.admit(limits, call.behind or call.model, tokens)
        try:
            plan, opened = await self._hold(grant, call, tags, options)
        except BaseException:
            ticket.void()
            raise
        opened.ticket = ticket
        return plan, opened

    async def _hold(
        self, grant: GrantView, call: Call, tags: tuple[str, ...], options: list[Candidate]
    ) -> tuple[Plan, Open]:
        plan = self._plan(grant, call, options, None)
        if grant.cost_limits:
            plan = self._within_cost_limit(grant, call, plan)
        try:
            return plan, await self._begin(grant, call, plan, tags)
        except TollkeeperError as error:
            largest = _explain(error, call, plan)
            if not grant.clamp_output or not largest or error.reason != Reason.INSUFFICIENT_QUOTA:
                raise
            if not call.demand.limitable:
                raise
            if largest >= self._limit(grant, call, options[0].price):
                raise
        plan = self._plan(grant, call, options, largest)
        try:
            opened = await self._begin(grant, call, plan, tags)
        except TollkeeperError as error:
            _explain(error, call, plan)
            raise
        return plan, opened

    def _options(self, grant: GrantView, call: Call, tags: tuple[str, ...]) -> list[Candidate]:
        """The candidates for the model as it is named, else for what stands behind a provider's name."""
        table = self.table(grant)
        if call.family.passes:
            return self._passed(grant, call)
        if call.family.free:
            return [Candidate(route, FREE) for route in table.unmodelled(call.family, call.provider)]
        facts = _facts(grant, call, tags) if table.asks_facts else None
        try:
            options = self._priced(table, call, call.model, call.provider, facts)
        except TollkeeperError as error:
            provider, _, model = call.model.partition("/")
            if call.provider is not None or error.reason not in _NAMELESS or not grant.names(provider):
                raise self._counted(error, grant, call) from None
            call.behind = model
            try:
                return self._priced(table, call, model, provider, facts)
            except TollkeeperError as behind:
                raise self._counted(behind, grant, call) from None
        if call.infers_provider and call.provider is None:
            return startable(option for option in options if self._sells(grant, option)) or options
        return options

    def _counted(self, error: TollkeeperError, grant: GrantView, call: Call) -> TollkeeperError:
        if error.reason == Reason.MODEL_NOT_PRICED:
            self._ledger.missing_models.count(grant.customer_id, call.model)
        return error

    def _priced(
        self, table: RouteTable, call: Call, model: str, provider: str | None, facts: Facts | None
    ) -> list[Candidate]:
        routes = table.routes(call.family, call.stream, model, provider, facts)
        if call.only_providers is not None:
            routes = tuple(route for route in routes if route.rule.provider_id in call.only_providers)
            if not routes:
                message = "No provider that serves this model keeps what the request refers to."
                raise TollkeeperError(Reason.NOT_FOUND, message)
        options = candidates(routes, partial(self._ledger.price, table.grant), model)
        if call.demand.web_searches or call.demand.tier:
            return _billable(options, call.demand, model)
        return options

    def _passed(self, grant: GrantView, call: Call) -> list[Candidate]:
        """The candidates that let a path through for a price by the request. Raises MODEL_NOT_PRICED."""
        routes = self.table(grant).passing(call)
        call.model = routes[0].model
        priced = [(route, self._ledger.price(grant, route.rule, route.model)) for route in routes]
        options = [Candidate(route, price) for route, price in priced if price is not None and price.by_units]
        if options:
            call.demand = ONE_REQUEST
            return options
        message = f"The path {call.model!r} has no price by the request, so it can't be passed through."
        metadata = {"param": "path", "model": call.model}
        raise self._counted(TollkeeperError(Reason.MODEL_NOT_PRICED, message, metadata), grant, call)

    def _sells(self, grant: GrantView, option: Candidate) -> bool:
        """Whether the price is the provider's own for this model, not that of another vendor's namesake."""
        rule, model = option.route.rule, option.route.model
        return (rule.provider_id, model) in grant.own_prices or self._ledger.prices.has(
            rule.provider_type, model
        )

    def _begin(
        self, grant: GrantView, call: Call, plan: Plan, tags: tuple[str, ...]
    ) -> Coroutine[None, None, Open]:
        return self._ledger.begin(
            grant,
            plan.attempts[0],
            requested_model=call.model,
            stream=call.stream,
            end_user=call.end_user,
            tags=tags,
            hold_nanousd=plan.dearest_nanousd,
        )

    def _plan(self, grant: GrantView, call: Call, options: list[Candidate], clamped_to: int | None) -> Plan:
        attempts = []
        dearest = 0
        demand = call.demand
        for option in options:
            price = option.price
            limit = clamped_to if clamped_to is not None else self._limit(grant, call, price)
            hold = min(demand.hold_nanousd(price.worst, price.context_tokens, limit), MAX_NANOUSD)
            dearest = max(dearest, hold)
            attempts.append(AttemptPlan(option.route.rule, option.route.model, price, hold, limit))
        sent_limit = clamped_to
        if sent_limit is None and demand.asked_output is None and demand.choice_count and demand.limitable:
            sent_limit = grant.default_output_limit or None
        return Plan(options, attempts, dearest, sent_limit, clamped_to is not None)

    def _within_cost_limit(self, grant: GrantView, call: Call, plan: Plan) -> Plan:
        """The plan, with a lowered output limit where the key clamps. Raises COST_LIMIT_EXCEEDED."""
        limit_nanousd = grant.max_cost_nanousd(call.behind or call.model)
        if limit_nanousd is None or plan.dearest_nanousd <= limit_nanousd:
            return plan
        largest = _largest_output(call, plan.candidates, limit_nanousd)
        if grant.clamp_output and largest and call.demand.limitable:
            return self._plan(grant, call, plan.candidates, largest)
        raise _too_dear(limit_nanousd, plan.dearest_nanousd, largest)

    def _limit(self, grant: GrantView, call: Call, price: PriceView) -> int:
        """The output limit in force for each choice (L12)."""
        return (
            call.demand.asked_output
            or (grant.default_output_limit if call.demand.limitable else 0)
            or price.max_output_tokens
            or price.context_tokens
            or self._fallback_output
        )


def _facts(grant: GrantView, call: Call, tags: tuple[str, ...]) -> Facts:
    """What the expressions of rules may ask."""
    now = gmtime()
    return Facts(
        model=call.model,
        family=call.family.name,
        stream=call.stream,
        prompt_bytes=call.demand.prompt_bytes,
        output_limit=call.demand.asked_output or 0,
        end_user=call.end_user,
        tags=tags,
        key_id=grant.key_id,
        team_id=grant.team_id,
        user_id=grant.user_id,
        hour=now.tm_hour,
        weekday=now.tm_wday + 1,
    )


def _billable(options: list[Candidate], demand: Demand, model: str) -> list[Candidate]:
    """Those that have a rate for the searches and the tier that are asked for. Raises MODEL_NOT_PRICED when
    there is none."""
    if demand.web_searches:
        options = [
            option for option in options if option.price.worst.web_search or option.price.worst.request
        ]
        lacks = "rate for web searches, so what may search"
    if demand.tier and options:
        options = [option for option in options if demand.tier in option.price.rates.tiers]
        lacks = f"tier {demand.tier!r}, so what asks for it"
    options = startable(options)
    if options:
        return options
    message = f"The price of {model!r} has no {lacks} can't be served."
    raise TollkeeperError(Reason.MODEL_NOT_PRICED, message, {"param": "model", "model": model})


def _explain(error: TollkeeperError, call: Call, plan: Plan) -> int | None:
    """Adds to a refusal what would have fitted; returns it as an output limit, None where nobody knows."""
    metadata = error.metadata
    metadata["hold_nanousd"] = str(plan.dearest_nanousd)
    fits = metadata.get("fits_nanousd")
    if fits is None:
        return None
    largest = _largest_output(call, plan.candidates, int(fits))
    if largest is not None:
        metadata["largest_max_tokens"] = str(largest)
    return largest


def _largest_output(call: Call, options: Sequence[Candidate], fits_nanousd: int) -> int | None:
    """The largest limit that fits whichever candidate serves; None when output costs nothing."""
    limits = [
        call.demand.largest_output(option.price.worst, option.price.context_tokens, fits_nanousd)
        for option in options
    ]
    return min((limit for limit in limits if limit is not None), default=None)


def _too_dear(limit_nanousd: int, hold_nanousd: int, largest: int | None) -> TollkeeperError:
    message = (
        f"One request of this key may cost at most ${format_usd(limit_nanousd)}, and this one may cost up to "
        f"${format_usd(hold_nanousd)}. "
    )
    message += f"With max_tokens up to {largest} it would fit." if largest else "No output would fit."
    metadata = {"limit_nanousd": str(limit_nanousd), "hold_nanousd": str(hold_nanousd), "param": "max_tokens"}
    if largest is not None:
        metadata["largest_max_tokens"] = str(largest)
    return TollkeeperError(Reason.COST_LIMIT_EXCEEDED, message, metadata)
