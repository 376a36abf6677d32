"""From the vendor's answer to the client's, and to the ledger: what it cost is said exactly once, whoever
hangs up.

A whole body goes on untouched, a stream event by event as it comes. An attempt that ended without usage is an
estimate, from what came of it or of the full hold (`edge.estimate`).
"""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Any

import orjson
import structlog

from edge import metrics
from edge.admission import Ledger, Open, UsageState
from edge.answer import Answer
from edge.call import Call
from edge.errors import JSON, broken_off
from edge.estimate import RECEIVED, Estimates, Relayed
from edge.formats import Reading, StreamReader, Unbilled
from edge.hangup import Client
from edge.outlet import Outlet, unstreamed
from edge.upstream.failures import TransportError
from edge.upstream.policy import judge_failure
from edge.upstream.received import Upstream
from edge.upstream.refusal import presentable
from tollkeeper.cost import UsageCounts
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.money import format_usd

log = structlog.get_logger()

# Looked up once: an enumeration of protobuf's takes a microsecond each time.
_REPORTED = UsageState.USAGE_STATE_REPORTED
_ESTIMATED = UsageState.USAGE_STATE_ESTIMATED
_VOIDED = UsageState.USAGE_STATE_VOIDED

CLIENT_GONE_STATUS = 499
# After [DONE] a stream has nothing more to say; its connection is worth this much waiting to be used again.
AFTER_DONE_S = 1.0


class Relay:
    """The answer of one request on its way to the client."""

    __slots__ = (
        "_call",
        "_client",
        "_estimates",
        "_extra_lines",
        "_format",
        "_ledger",
        "_opened",
        "_relayed",
        "_settled",
        "_started",
        "_upstream",
    )

    def __init__(
        self,
        ledger: Ledger,
        opened: Open,
        call: Call,
        upstream: Upstream,
        client: Client,
        started: float,
        extra_lines: bytes,
        estimates: Estimates,
    ) -> None:
        """`started` is on `time.monotonic`. `extra_lines` are header lines that the request's course
        added."""
        self._ledger = ledger
        self._opened = opened
        self._call = call
        self._upstream = upstream
        self._client = client
        self._started = started
        self._extra_lines = extra_lines
        self._estimates = estimates
        self._relayed: Relayed | None = None
        """Made where it may be asked."""
        self._format = upstream.candidate.route.format
        self._settled = upstream.final

    # Whole bodies

    def whole(self, with_metadata: bool) -> Answer:
        """A complete body, success or final refusal. Finishes the request, so that its cost can be told.

        `with_metadata` adds `_gateway_metadata` to a body that can carry it.
        """
        upstream, opened = self._upstream, self._opened
        if upstream.final:
            return self._refused()
        parsed = _parsed(upstream)
        reading = self._format.whole(self._call, parsed)
        opened.response_model, opened.finish_reason = reading.model, reading.finish
        usage = self._known(reading)
        if usage is None or self._estimates.samples:
            self._relayed = Relayed(upstream.candidate.price.model)
            self._relayed.add(upstream.data)
        self._settle(usage, reading.why, reading.unbilled)
        if reading.failure is not None:
            raise reading.failure
        cost = self._finish()
        head, body = upstream.head, upstream.data
        lines, media_type = head.lines, head.media_type
        shown = reading.answer
        if shown is None and with_metadata and upstream.decoder is None:
            shown = parsed
        if reading.plain is not None:
            lines, (media_type, body) = head.decoded_lines(), reading.plain
        elif shown is not None:
            if with_metadata:
                provider = upstream.candidate.route.provider_name.decode()
                metadata = {"cost": cost, "provider": provider, "latency_ms": self._latency_ms()}
                shown = shown | {"_gateway_metadata": metadata}
            lines, media_type, body = head.decoded_lines(), JSON, orjson.dumps(shown)
        return Answer(upstream.status, media_type, self._lines(lines, cost), body)

    def _refused(self) -> Answer:
        """The vendor's final word, in the client's dialect. Its attempt has been told to the ledger."""
        upstream = self._upstream
        cost = self._finish()
        head, body = upstream.head, upstream.data
        lines = head.lines if upstream.decoder is None else head.decoded_lines()
        media_type = head.media_type
        translated = self._format.error(upstream.status, body)
        if translated is not None:
            media_type, body = JSON, translated
        through_gateway = not upstream.candidate.route.endpoint.direct
        media_type, body = presentable(upstream.status, media_type, body, through_gateway)
        return Answer(upstream.status, media_type, self._lines(lines, cost), body)

    def _finish(self) -> str:
        """Finishes the request; returns its cost in dollars."""
        opened = self._opened
        opened.status = CLIENT_GONE_STATUS if self._client.gone else self._upstream.status
        return format_usd(self._ledger.finish(opened))

    # Streams

    async def stream(self, outlet: Outlet) -> None:
        """Events as they come, or a body too large to be held. The caller finishes the request."""
        upstream, head = self._upstream, self._upstream.head
        is_events = head.is_event_stream and self._call.stream
        unwraps = head.is_event_stream and self._call.unwraps
        reader = self._format.stream(self._call) if is_events or unwraps else None
        why = "in_doubt"
        try:
            if not is_events:
                outlet.stop_heartbeats()
                if outlet.begun:
                    raise unstreamed()
            lines = self._lines(head.decoded_lines() if upstream.decoder is not None else head.lines)
            media_type = unwraps or (is_events and self._call.family.stream_type) or head.media_type
            await outlet.begin(Answer(upstream.status, media_type, lines, b""))
            await self._pass(outlet, reader)
            why = "usage_missing" if reader is None or reader.error is None else "upstream_error"
        except (TransportError, ValueError) as failure:
            why = "upstream_cut"
            if isinstance(failure, TransportError):
                upstream.broken_by, why = failure, judge_failure(failure).why
            await outlet.break_off(self._broken(why) if is_events else b"")
        except asyncio.CancelledError:
            why = "client_hangup" if self._client.gone else "cancelled"
            raise
        except TollkeeperError as error:
            await outlet.break_off(self._call.family.dialect.event(error))
        except Exception:
            log.exception("stream failed", request_id=self._opened.usage_id)
            last = self._call.family.dialect.event(TollkeeperError(Reason.INTERNAL, ""))
            await outlet.break_off(last if is_events else b"")
        finally:
            self._settle_stream(reader, why)
        if reader is not None and reader.done and not upstream.response.ended:
            await self._linger()

    async def _pass(self, outlet: Outlet, reader: StreamReader | None) -> None:
        """Raises TransportError when the upstream breaks off, ValueError when its encoding is broken."""
        upstream = self._upstream
        relayed = self._relayed = Relayed(upstream.candidate.price.model)
        data: bytes | None = upstream.data
        upstream.data = b""
        while data is not None:
            if upstream.decoder is not None:
                data = upstream.decoder.decode(data)
            out = data if reader is None else reader.feed(data)
            if out:
                if reader is not None:
                    relayed.add(out)
                await outlet.send(out)
                # A client that stalls must not keep them.
                data = out = b""
                await outlet.until_room()
            if reader is not None and reader.done and not upstream.response.chunks:
                break
            data = await upstream.response.next_chunk()
        rest = b"" if reader is None else reader.flush()
        if rest:
            await outlet.send(rest)
        await outlet.end()

    async def _linger(self) -> None:
        """Reads the little that may follow [DONE], so that the connection can serve another request."""
        with suppress(TransportError, TimeoutError):
            async with asyncio.timeout(AFTER_DONE_S):
                while await self._upstream.response.next_chunk() is not None:
                    continue

    def _settle_stream(self, reader: StreamReader | None, why: str) -> None:
        opened = self._opened
        ended = why == "usage_missing"
        usage: UsageCounts | None = None
        if reader is not None:
            opened.response_model, opened.finish_reason = reader.model, reader.finish
            if reader.withheld_count:
                metrics.withheld(reader.withheld_count)
            if ended or reader.usage_is_final:
                usage = reader.usage
        elif ended:
            usage = self._known(self._format.whole(self._call, None))
        if reader is not None and isinstance(reader.error, Unbilled):
            self._settle(usage, reader.error.why, unbilled=True)
        else:
            self._settle(usage, why, told=reader.usage if reader is not None else None)
        opened.status = CLIENT_GONE_STATUS if self._client.gone else self._upstream.status

    # Both

    def _known(self, reading: Reading) -> UsageCounts | None:
        if reading.usage is None and self._upstream.candidate.price.by_units:
            return reading.units
        return reading.usage

    def _settle(
        self, usage: UsageCounts | None, why: str, unbilled: bool = False, told: UsageCounts | None = None
    ) -> None:
        """Tells the ledger how the attempt ended, once, and what the vendor keeps. `told` is what was
        reported of an answer that was to go on."""
        if self._settled:
            return
        self._settled = True
        upstream, opened = self._upstream, self._opened
        for made in self._call.made:
            opened.keep(made.object_id, made.kind, pending=made.pending, batch_input=made.batch_input)
        status, candidate = upstream.status, upstream.candidate
        rule, model = candidate.route.rule, candidate.price.model
        opened.cf_log_id = upstream.head.cf_log_id.decode("latin-1")
        outcome = "ok"
        if upstream.head.cache == b"hit":
            opened.cached, usage, outcome = True, None, "cache_hit"
            cost = opened.end_attempt(_VOIDED, status=status, why=outcome)
        elif unbilled and usage is None:
            outcome = why
            cost = opened.end_attempt(_VOIDED, status=status, why=why)
        elif usage is not None:
            cost = opened.end_attempt(_REPORTED, status=status, usage=usage)
            self._estimates.reported(self._call, self._relayed, rule, model, usage)
        else:
            outcome = why
            guess = None
            if why in RECEIVED:
                guess = self._estimates.usage(self._call, self._relayed, rule, model, told)
            cost = opened.end_attempt(_ESTIMATED, status=status, usage=guess, why=why)
            metrics.estimated(why)
        metrics.attempt_ended(rule.provider_type, outcome)
        metrics.billed(rule.provider_type, model, usage, cost)

    def _latency_ms(self) -> int:
        return int((monotonic() - self._started) * 1000)

    def _broken(self, why: str) -> bytes:
        if why == "upstream_timeout":
            message = "The provider stopped sending in the middle of its answer."
            error = TollkeeperError(Reason.UPSTREAM_TIMEOUT, message)
        elif why == "deadline":
            message = "The time for this request was over in the middle of the provider's answer."
            error = TollkeeperError(Reason.UPSTREAM_TIMEOUT, message)
        else:
            error = broken_off()
        return self._call.family.dialect.event(error)

    def _lines(self, passed: bytes, cost: str = "") -> bytes:
        """`cost` where it is known already."""
        upstream, opened = self._upstream, self._opened
        if opened.ticket is not None:
            passed = opened.ticket.with_rates(passed)
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
        if cost:
            lines += b"x-tollkeeper-cost-usd: %b\r\n" % cost.encode()
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
