"""One chat completion from parsed request to settled record (DESIGN §5). One `Chat` per worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

import structlog
from sanic.request import Request

from edge import metrics
from edge.admission import AttemptPlan, Ledger, Open, UsageState
from edge.answer import Answer, error_answer
from edge.chat_request import ChatRequest, parse
from edge.client_address import ClientAddresses
from edge.config import EdgeSettings
from edge.errors import render
from edge.grants import GrantView
from edge.hangup import Client, EdgeProtocol, HangupPolicy
from edge.labels import TAGS_HEADER, tags_of
from edge.prices import PriceView
from edge.relay import CLIENT_GONE_STATUS, Relay
from edge.routing import Candidate, Route, RouteTable, candidates
from edge.upstream.cloudflare import Gateway
from edge.upstream.failover import Attempts, Forwarder
from edge.upstream.transport import InvalidRequest, encode_headers
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.money import MAX_NANOUSD, format_usd

log = structlog.get_logger()

ROUTE = "chat"
# Keys whose route tables are kept; the oldest goes when more are in use.
MAX_ROUTE_TABLES = 4096
_METADATA_HEADER = "x-tollkeeper-metadata"


@dataclass(slots=True)
class _Plan:
    """What may be tried, with the worst case of each try."""

    candidates: list[Candidate]
    attempts: list[AttemptPlan]
    dearest_nanousd: int
    sent_limit: int | None
    """Written into the body; None: the client's own limit, or none, stands."""
    clamped: bool


class Chat:
    """Serves chat completions with what the worker's requests share."""

    def __init__(
        self,
        settings: EdgeSettings,
        ledger: Ledger,
        forwarder: Forwarder,
        gateway: Gateway | None,
        hangups: HangupPolicy,
    ) -> None:
        self._ledger = ledger
        self._forwarder = forwarder
        self._gateway = gateway
        self._hangups = hangups
        self._tables: dict[bytes, RouteTable] = {}
        self._addresses = ClientAddresses(settings.trusted_proxies)
        self._max_in_flight = settings.max_in_flight
        self._fallback_output = settings.fallback_output_tokens
        self._forward_headers = settings.forward_headers
        self._with_metadata = settings.gateway_metadata
        self.in_flight = 0

    async def handle(self, request: Request, with_provider: bool) -> Answer | None:
        """The answer, or None when it was streamed. Every refusal is an answer too."""
        started = monotonic()
        if self.in_flight >= self._max_in_flight:
            busy = TollkeeperError(
                Reason.UNAVAILABLE, "This gateway is busy. Try again in a moment.", retry_after_s=1
            )
            return self._refusal(busy, started)
        self.in_flight += 1
        grant: GrantView | None = None
        chat: ChatRequest | None = None
        tags: tuple[str, ...] = ()
        try:
            grant = await self._ledger.authorize(secret_of(request))
            self._addresses.check(request, grant)
            header = request.headers.get(TAGS_HEADER)
            if header is not None:
                tags = tags_of(header)
            chat = parse(request.body, with_provider)
            plan, opened = await self._admit(grant, chat, tags)
            if plan.clamped:
                metrics.clamped()
        except TollkeeperError as error:
            return self._refusal(error, started, grant, chat, tags)
        else:
            return await self._serve(request, chat, plan, opened, started)
        finally:
            self.in_flight -= 1

    async def grant_of(self, request: Request) -> GrantView:
        """The grant of the key that a request shows. Raises like `Ledger.authorize`, and
        ADDRESS_NOT_ALLOWED."""
        grant = await self._ledger.authorize(secret_of(request))
        self._addresses.check(request, grant)
        return grant

    def table(self, grant: GrantView) -> RouteTable:
        """The routes of a grant, worked out on its first request."""
        table = self._tables.get(grant.key_hash)
        if table is None or table.grant is not grant:
            if table is None and len(self._tables) >= MAX_ROUTE_TABLES:
                del self._tables[next(iter(self._tables))]
            table = self._tables[grant.key_hash] = RouteTable(grant, self._gateway)
        return table

    # Before anything is sent

    async def _admit(self, grant: GrantView, chat: ChatRequest, tags: tuple[str, ...]) -> tuple[_Plan, Open]:
        routes = self.table(grant).routes(chat.model, chat.provider)
        options = self._priced(grant, routes, chat.model)
        plan = self._plan(grant, chat, options, None)
        if grant.cost_limits:
            plan = self._within_cost_limit(grant, chat, plan)
        try:
            return plan, await self._begin(grant, chat, plan, tags)
        except TollkeeperError as error:
            largest = _explain(error, chat, plan)
            if not grant.clamp_output or not largest or error.reason != Reason.INSUFFICIENT_QUOTA:
                raise
            if largest >= self._limit(grant, chat, options[0].price):
                raise
        plan = self._plan(grant, chat, options, largest)
        try:
            opened = await self._begin(grant, chat, plan, tags)
        except TollkeeperError as error:
            _explain(error, chat, plan)
            raise
        return plan, opened

    def _priced(self, grant: GrantView, routes: Sequence[Route], model: str) -> list[Candidate]:
        try:
            return candidates(routes, partial(self._ledger.price, grant), model)
        except TollkeeperError as error:
            if error.reason == Reason.MODEL_NOT_PRICED:
                self._ledger.missing_models.count(grant.customer_id, model)
            raise

    async def _begin(self, grant: GrantView, chat: ChatRequest, plan: _Plan, tags: tuple[str, ...]) -> Open:
        return await self._ledger.begin(
            grant,
            plan.attempts[0],
            requested_model=chat.model,
            stream=chat.stream,
            end_user=chat.end_user,
            tags=tags,
            hold_nanousd=plan.dearest_nanousd,
        )

    def _plan(
        self, grant: GrantView, chat: ChatRequest, options: list[Candidate], clamped_to: int | None
    ) -> _Plan:
        attempts = []
        dearest = 0
        for option in options:
            price = option.price
            limit = clamped_to if clamped_to is not None else self._limit(grant, chat, price)
            hold = min(chat.demand.hold_nanousd(price.worst, price.context_tokens, limit), MAX_NANOUSD)
            dearest = max(dearest, hold)
            attempts.append(AttemptPlan(option.route.rule, option.route.model, price, hold))
        sent_limit = clamped_to
        if sent_limit is None and chat.demand.asked_output is None and grant.default_output_limit:
            sent_limit = grant.default_output_limit
        return _Plan(options, attempts, dearest, sent_limit, clamped_to is not None)

    def _within_cost_limit(self, grant: GrantView, chat: ChatRequest, plan: _Plan) -> _Plan:
        """The plan, with a lowered output limit where the key clamps. Raises COST_LIMIT_EXCEEDED."""
        limit_nanousd = grant.max_cost_nanousd(chat.model)
        if limit_nanousd is None or plan.dearest_nanousd <= limit_nanousd:
            return plan
        largest = _largest_output(chat, plan.candidates, limit_nanousd)
        if grant.clamp_output and largest:
            return self._plan(grant, chat, plan.candidates, largest)
        raise _too_dear(limit_nanousd, plan.dearest_nanousd, largest)

    def _limit(self, grant: GrantView, chat: ChatRequest, price: PriceView) -> int:
        """The output limit in force for each choice (L12)."""
        return (
            chat.demand.asked_output
            or grant.default_output_limit
            or price.max_output_tokens
            or price.context_tokens
            or self._fallback_output
        )

    # From the first byte on

    async def _serve(
        self, request: Request, chat: ChatRequest, plan: _Plan, opened: Open, started: float
    ) -> Answer | None:
        """`opened` is finished when this returns or raises, whatever happens."""
        client = Client(self._hangups)
        protocol = request.stream.protocol if request.stream is not None else None
        attempts: Attempts | None = None
        provider = ""
        try:
            if isinstance(protocol, EdgeProtocol):
                protocol.client = client
            attempts = Attempts(
                self._forwarder,
                self._ledger,
                opened,
                chat,
                plan.candidates,
                plan.attempts,
                plan.sent_limit,
                self._forwarded(request),
            )
            upstream = await attempts.first_answer()
            provider = upstream.candidate.route.rule.provider_type
            relay = Relay(self._ledger, opened, chat, upstream, client, started, _clamp_line(plan))
            if upstream.complete and not (chat.stream and upstream.head.is_event_stream):
                attempts.ended = True
                return relay.whole(self._with_metadata or request.headers.get(_METADATA_HEADER) == "body")
            attempts.ended = True
            await relay.stream(request)
            return None
        except TollkeeperError as error:
            return self._failed(error, opened, client)
        except Exception:
            log.exception("request failed", request_id=opened.usage_id)
            return self._failed(TollkeeperError(Reason.INTERNAL, ""), opened, client)
        finally:
            if attempts is not None:
                attempts.close()
            if attempts is None or not attempts.ended:
                self._abandon(opened, client, attempts)
            self._ledger.finish(opened)
            client.release()
            if isinstance(protocol, EdgeProtocol):
                protocol.client = None
            metrics.request_ended(ROUTE, provider, opened.status, chat.stream, monotonic() - started)

    def _failed(self, error: TollkeeperError, opened: Open, client: Client) -> Answer:
        rendered = render(error)
        opened.status = CLIENT_GONE_STATUS if client.gone else rendered.status
        return error_answer(rendered, opened.usage_id)

    def _abandon(self, opened: Open, client: Client, attempts: Attempts | None) -> None:
        """The attempt under way was cut off before it answered: cancelled, or by a fault of ours."""
        why = "client_hangup" if client.gone else "cancelled"
        if attempts is None or not attempts.sent:
            opened.end_attempt(UsageState.USAGE_STATE_VOIDED, why="not_sent")
        else:
            opened.end_attempt(UsageState.USAGE_STATE_ESTIMATED, why=why)
            metrics.estimated(why)
        if client.gone:
            opened.status = CLIENT_GONE_STATUS

    def _forwarded(self, request: Request) -> bytes:
        """Client headers that a setting sends on. One that can't be a header line is left out."""
        if not self._forward_headers:
            return b""
        lines = b""
        for name in self._forward_headers:
            for value in request.headers.getall(name, ()):
                try:
                    lines += encode_headers([(name.encode(), value.encode("utf-8", "surrogateescape"))])
                except InvalidRequest:
                    log.warning("header not forwarded", header=name)
        return lines

    def _refusal(
        self,
        error: TollkeeperError,
        started: float,
        grant: GrantView | None = None,
        chat: ChatRequest | None = None,
        tags: tuple[str, ...] = (),
    ) -> Answer:
        rendered = render(error)
        elapsed_s = monotonic() - started
        metrics.refused(error.reason_name)
        metrics.request_ended(ROUTE, "", rendered.status, False, elapsed_s)
        if grant is None:
            return error_answer(rendered)
        refusal_id = self._ledger.refusals.note(
            grant,
            error,
            requested_model=chat.model if chat is not None else "",
            stream=chat is not None and chat.stream,
            end_user=chat.end_user if chat is not None else "",
            tags=tags,
            latency_s=elapsed_s,
        )
        return error_answer(rendered, refusal_id)


def secret_of(request: Request) -> str:
    """The virtual key a client shows: as a bearer, or in the headers other vendors' SDKs use. Raises
    INVALID_API_KEY."""
    headers = request.headers
    shown = headers.get("authorization")
    if shown is not None:
        scheme, _, secret = shown.partition(" ")
        if scheme.lower() != "bearer":
            raise _no_key("The Authorization header must be 'Bearer' and a key.")
        return str(secret).strip()
    secret = headers.get("x-api-key") or headers.get("api-key")
    if not secret:
        raise _no_key("You didn't provide an API key. Send it as 'Authorization: Bearer <key>'.")
    return str(secret).strip()


def _no_key(message: str) -> TollkeeperError:
    return TollkeeperError(Reason.INVALID_API_KEY, message)


def _explain(error: TollkeeperError, chat: ChatRequest, plan: _Plan) -> int | None:
    """Adds to a refusal what would have fitted; returns it as an output limit, None where nobody knows."""
    metadata = error.metadata
    metadata["hold_nanousd"] = str(plan.dearest_nanousd)
    fits = metadata.get("fits_nanousd")
    if fits is None:
        return None
    largest = _largest_output(chat, plan.candidates, int(fits))
    if largest is not None:
        metadata["largest_max_tokens"] = str(largest)
    return largest


def _largest_output(chat: ChatRequest, options: Sequence[Candidate], fits_nanousd: int) -> int | None:
    """The largest limit that fits whichever candidate serves; None when output costs nothing."""
    limits = [
        chat.demand.largest_output(option.price.worst, option.price.context_tokens, fits_nanousd)
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


def _clamp_line(plan: _Plan) -> bytes:
    """The header that owns up to a lowered limit."""
    if not plan.clamped or plan.sent_limit is None:
        return b""
    return b"x-tollkeeper-clamped-max-tokens: %d\r\n" % plan.sent_limit
