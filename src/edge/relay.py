"""From the vendor's answer to the client's, and to the ledger: what it cost is said exactly once, whoever
hangs up.

A whole body goes on untouched, a stream event by event as it comes. An attempt that ended without usage is an
estimate of the full hold: a vendor that reported nothing may have produced everything it was allowed to (rule
L22).
"""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Any

import orjson
import structlog
from sanic.exceptions import RequestCancelled
from sanic.request import Request

from edge import metrics
from edge.admission import Ledger, Open, UsageState
from edge.answer import Answer
from edge.chat_request import ChatRequest
from edge.errors import event
from edge.hangup import Client
from edge.sse import Watcher
from edge.upstream.failover import Upstream
from edge.upstream.failures import IdleTimeout, TransportError
from edge.upstream.refusal import presentable
from edge.usage import counts
from tollkeeper.cost import UsageCounts
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.money import format_usd

log = structlog.get_logger()

CLIENT_GONE_STATUS = 499
# After [DONE] a stream has nothing more to say; its connection is worth this much waiting to be used again.
AFTER_DONE_S = 1.0


class Relay:
    """The answer of one request on its way to the client."""

    __slots__ = (
        "_chat",
        "_client",
        "_extra_lines",
        "_ledger",
        "_opened",
        "_settled",
        "_started",
        "_upstream",
    )

    def __init__(
        self,
        ledger: Ledger,
        opened: Open,
        chat: ChatRequest,
        upstream: Upstream,
        client: Client,
        started: float,
        extra_lines: bytes,
    ) -> None:
        """`started` is on `time.monotonic`. `extra_lines` are header lines that the request's course
        added."""
        self._ledger = ledger
        self._opened = opened
        self._chat = chat
        self._upstream = upstream
        self._client = client
        self._started = started
        self._extra_lines = extra_lines
        self._settled = upstream.final

    # Whole bodies

    def whole(self, with_metadata: bool) -> Answer:
        """A complete body, success or final refusal. Finishes the request, so that its cost can be told.

        `with_metadata` adds `_gateway_metadata` to a body that can carry it.
        """
        upstream, opened = self._upstream, self._opened
        parsed = None
        if not upstream.final:
            parsed = _parsed(upstream)
            self._settle_whole(parsed)
        opened.status = CLIENT_GONE_STATUS if self._client.gone else upstream.status
        cost = format_usd(self._ledger.finish(opened))
        lines = b"%bx-tollkeeper-cost-usd: %b\r\n" % (self._lines(upstream.head.lines), cost.encode())
        media_type, body = upstream.head.media_type, upstream.data
        if upstream.final:
            through_gateway = not upstream.candidate.route.endpoint.direct
            media_type, body = presentable(upstream.status, media_type, body, through_gateway)
        elif with_metadata and parsed is not None and upstream.decoder is None:
            provider = upstream.candidate.route.provider_name.decode()
            metadata = {"cost": cost, "provider": provider, "latency_ms": self._latency_ms()}
            body = orjson.dumps(parsed | {"_gateway_metadata": metadata})
        return Answer(upstream.status, media_type, lines, body)

    def _settle_whole(self, parsed: dict[str, Any] | None) -> None:
        usage: UsageCounts | None = None
        if parsed is not None:
            model = parsed.get("model")
            if type(model) is str:
                self._opened.response_model = model
            self._opened.finish_reason = _finish_of(parsed)
            usage = self._counts(parsed.get("usage"), parsed.get("service_tier"))
        self._settle(usage, "usage_missing")

    # Streams

    async def stream(self, request: Request) -> None:
        """Events as they come, or a body too large to be held. The caller finishes the request."""
        upstream = self._upstream
        is_events = upstream.head.is_event_stream and self._chat.stream
        watcher = Watcher(withhold_usage=not self._chat.wants_usage)
        head = upstream.head
        lines = self._lines(head.decoded_lines() if upstream.decoder is not None else head.lines)
        answer = Answer(upstream.status, head.media_type, lines, b"")
        why = "in_doubt"
        try:
            await request.respond(answer)
            await self._pass(answer, watcher if is_events else None)
            why = "usage_missing" if watcher.error is None else "upstream_error"
        except (TransportError, ValueError) as failure:
            why = "upstream_timeout" if isinstance(failure, IdleTimeout) else "upstream_cut"
            await self._break_off(request, answer, _broken(why) if is_events else b"")
        except asyncio.CancelledError:
            why = "client_hangup" if self._client.gone else "cancelled"
            raise
        except Exception:
            log.exception("stream failed", request_id=self._opened.usage_id)
            last = event(TollkeeperError(Reason.INTERNAL, "")) if is_events else b""
            await self._break_off(request, answer, last)
        finally:
            self._settle_stream(watcher, why)
        if watcher.done and not upstream.response.ended:
            await self._linger()

    async def _pass(self, answer: Answer, watcher: Watcher | None) -> None:
        """Raises TransportError when the upstream breaks off, ValueError when its encoding is broken."""
        upstream = self._upstream
        data: bytes | None = upstream.data
        while data is not None:
            if upstream.decoder is not None:
                data = upstream.decoder.decode(data)
            out = data if watcher is None else watcher.feed(data)
            if out:
                await self._send(answer, out)
            if watcher is not None and watcher.done and not upstream.response.chunks:
                break
            data = await upstream.response.next_chunk()
        rest = b"" if watcher is None else watcher.flush()
        if rest:
            await self._send(answer, rest)
        await self._end(answer)

    async def _send(self, answer: Answer, data: bytes) -> None:
        """To the client, if it is still there: the vendor's answer may be read on for its usage either
        way."""
        if self._client.gone:
            return
        try:
            await answer.send(data)
        except RequestCancelled:
            # The connection is closing, and Sanic hasn't told us yet.
            task = asyncio.current_task()
            if task is None or not self._client.lost(task):
                raise

    async def _end(self, answer: Answer) -> None:
        if not self._client.gone:
            with suppress(RequestCancelled):
                await answer.send(end_stream=True)

    async def _break_off(self, request: Request, answer: Answer, last: bytes) -> None:
        """Events end with an error; any other body must not look complete, so its connection is cut."""
        if last:
            await self._send(answer, last)
            await self._end(answer)
        elif not self._client.gone and request.stream is not None:
            request.stream.protocol.abort()  # type: ignore[no-untyped-call]

    async def _linger(self) -> None:
        """Reads the little that may follow [DONE], so that the connection can serve another request."""
        with suppress(TransportError, TimeoutError):
            async with asyncio.timeout(AFTER_DONE_S):
                while await self._upstream.response.next_chunk() is not None:
                    continue

    def _settle_stream(self, watcher: Watcher, why: str) -> None:
        opened = self._opened
        if watcher.model is not None:
            opened.response_model = watcher.model
        opened.finish_reason = watcher.finish
        if watcher.withheld_count:
            metrics.withheld(watcher.withheld_count)
        usage = None
        if watcher.usage is not None and (why == "usage_missing" or watcher.usage_is_final):
            usage = self._counts(watcher.usage, watcher.service_tier)
        self._settle(usage, why)
        opened.status = CLIENT_GONE_STATUS if self._client.gone else self._upstream.status

    # Both

    def _counts(self, usage: object, service_tier: object) -> UsageCounts | None:
        # Vendors don't say how often they searched; a request that may search is billed for one.
        return counts(usage, 1 if self._chat.demand.web_searches else 0, service_tier)

    def _settle(self, usage: UsageCounts | None, why: str) -> None:
        """Tells the ledger how the attempt ended, once."""
        if self._settled:
            return
        self._settled = True
        upstream, opened = self._upstream, self._opened
        status, candidate = upstream.status, upstream.candidate
        opened.cf_log_id = upstream.head.cf_log_id.decode("latin-1")
        outcome = "ok"
        if upstream.head.cache == b"hit":
            opened.cached, usage, outcome = True, None, "cache_hit"
            cost = opened.end_attempt(UsageState.USAGE_STATE_VOIDED, status=status, why=outcome)
        elif usage is not None:
            cost = opened.end_attempt(UsageState.USAGE_STATE_REPORTED, status=status, usage=usage)
        else:
            outcome = why
            cost = opened.end_attempt(UsageState.USAGE_STATE_ESTIMATED, status=status, why=why)
            metrics.estimated(why)
        provider_type = candidate.route.rule.provider_type
        metrics.attempt_ended(provider_type, outcome)
        metrics.billed(provider_type, candidate.price.model, usage, cost)

    def _latency_ms(self) -> int:
        return int((monotonic() - self._started) * 1000)

    def _lines(self, passed: bytes) -> bytes:
        upstream, opened = self._upstream, self._opened
        lines = (
            b"%bx-tollkeeper-request-id: %b\r\nx-tollkeeper-provider: %b\r\nx-tollkeeper-latency-ms: %d\r\n"
            b"x-tollkeeper-cache: %b\r\n%b"
            % (
                passed,
                opened.usage_id.encode(),
                upstream.candidate.route.provider_name,
                self._latency_ms(),
                upstream.head.cache,
                self._extra_lines,
            )
        )
        remaining = opened.remaining_nanousd
        if remaining is None:
            return lines
        return b"%bx-tollkeeper-budget-remaining-usd: %b\r\n" % (lines, format_usd(remaining).encode())


def _parsed(upstream: Upstream) -> dict[str, Any] | None:
    try:
        data = upstream.data if upstream.decoder is None else upstream.decoder.decode(upstream.data)
        parsed = orjson.loads(data)
    except ValueError:  # orjson's error is one
        return None
    return parsed if type(parsed) is dict else None


def _finish_of(parsed: dict[str, Any]) -> str:
    choices = parsed.get("choices")
    if type(choices) is not list or not choices or type(choices[0]) is not dict:
        return ""
    finish = choices[0].get("finish_reason")
    return finish if type(finish) is str else ""


def _broken(why: str) -> bytes:
    if why == "upstream_timeout":
        message = "The provider stopped sending in the middle of its answer."
        return event(TollkeeperError(Reason.UPSTREAM_TIMEOUT, message))
    message = "The provider broke off in the middle of its answer."
    return event(TollkeeperError(Reason.UPSTREAM_DISCONNECTED, message))
