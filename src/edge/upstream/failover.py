"""Tries the candidates of one request in order until one answers (requirement A17).

Nothing has reached the client yet while this runs, so every end that the policy allows leads to the next
provider. Each attempt's end is told to the ledger as it happens; the one that answers is left open for the
relay.
"""

from collections.abc import Sequence
from time import monotonic

import orjson

from edge import metrics
from edge.admission import AttemptPlan, Ledger, Open, UsageState
from edge.call import Call
from edge.formats import Changes
from edge.routing import Candidate
from edge.upstream.encoding import Decoder, decoder_for
from edge.upstream.gateway_lines import cache_key
from edge.upstream.head import Head
from edge.upstream.policy import Verdict, failure_word, judge_failure, judge_status
from edge.upstream.transport import EncodedHeaders, Response, Timeouts, Transport, TransportError
from tollkeeper.errors import Reason, TollkeeperError

MAX_ERROR_BODY_BYTES = 1_048_576


class Forwarder:
    """What all requests of a worker share on their way out."""

    __slots__ = ("cache_secret", "direct", "gateway", "max_response_bytes", "timeouts")

    def __init__(
        self,
        gateway: Transport,
        direct: Transport,
        timeouts: Timeouts,
        max_response_bytes: int,
        cache_secret: bytes,
    ) -> None:
        """`direct` may check addresses that customers name; `gateway` goes where the operator says. What keys
        of cached answers are made with is `cache_secret`: edges that share it share their answers."""
        self.gateway = gateway
        self.direct = direct
        self.timeouts = timeouts
        self.max_response_bytes = max_response_bytes
        self.cache_secret = cache_secret


class Upstream:
    """The vendor's answer. Either `complete`, with the whole body in `data`, or `data` is its beginning."""

    __slots__ = ("candidate", "complete", "data", "decoder", "final", "head", "response", "status")

    def __init__(self, candidate: Candidate, response: Response, head: Head) -> None:
        self.candidate = candidate
        self.response = response
        self.status = response.status
        self.head = head
        self.decoder: Decoder | None = decoder_for(head.encoding) if head.encoding else None
        self.data = b""
        self.complete = False
        self.final = False
        """A refusal that is passed on: its attempt has been told to the ledger already."""


class Attempts:
    """The attempts of one request."""

    __slots__ = (
        "_call",
        "_candidates",
        "_extra_headers",
        "_failures",
        "_forwarder",
        "_held_output",
        "_ledger",
        "_opened",
        "_plans",
        "_response",
        "_sent_limit",
        "_unsayable",
        "ended",
        "sent",
    )

    def __init__(
        self,
        forwarder: Forwarder,
        ledger: Ledger,
        opened: Open,
        call: Call,
        candidates: Sequence[Candidate],
        plans: Sequence[AttemptPlan],
        sent_limit: int | None,
        extra_headers: bytes,
    ) -> None:
        """`sent_limit` is the output limit written into the body, None where the client's own stands."""
        self._forwarder = forwarder
        self._ledger = ledger
        self._opened = opened
        self._call = call
        self._candidates = candidates
        self._plans = plans
        self._sent_limit = sent_limit
        self._held_output = 0
        self._extra_headers = extra_headers
        self._failures: list[dict[str, object]] = []
        self._response: Response | None = None
        self._unsayable: TollkeeperError | None = None
        self.sent = False
        """A byte of the attempt under way may have left."""
        self.ended = False
        """The attempt under way has been told to the ledger."""

    async def first_answer(self) -> Upstream:
        """A success, or a refusal that is final. Raises ALL_PROVIDERS_FAILED, and INVALID_ARGUMENT where the
        last candidate's format can't carry the request."""
        for index, candidate in enumerate(self._candidates):
            self._held_output = self._plans[index].output_limit
            if index:
                try:
                    await self._ledger.next_attempt(self._opened, self._plans[index])
                except TollkeeperError as error:
                    self._note(candidate, 0, error.reason_name.lower())
                    break
            answer = await self._try(candidate)
            if answer is not None:
                return answer
        raise self._unsayable or self._all_failed()

    def close(self) -> None:
        """Lets go of the answer: an upstream connection isn't kept busy for nothing. Idempotent."""
        if self._response is not None:
            self._response.close()

    async def _try(self, candidate: Candidate) -> Upstream | None:
        self.sent = self.ended = False
        self._unsayable = None
        response: Response | None = None
        try:
            response = self._response = await self._send(candidate)
            if 200 <= response.status < 300:
                return await self._begin(candidate, response)
            body = await response.read(MAX_ERROR_BODY_BYTES)
        except TollkeeperError as error:
            self._unsayable = error
            self._end(candidate, Verdict(failover=True, void=True, why="not_sent"), 0)
            self._note(candidate, 0, error.reason_name.lower())
            return None
        except TransportError as failure:
            if response is not None:
                response.close()
            verdict = judge_failure(failure)
            self._end(candidate, verdict, response.status if response is not None else 0)
            self._note(candidate, response.status if response is not None else 0, failure_word(failure))
            return None
        return self._refused(candidate, response, body)

    async def _send(self, candidate: Candidate) -> Response:
        endpoint = candidate.route.endpoint
        forwarder = self._forwarder
        spoken = candidate.route.format
        changes = Changes(candidate.route.model, self._sent_limit, self._held_output)
        body = spoken.body(self._call, endpoint, changes)
        headers = b"%b%b%b%b\r\ncontent-type: %b\r\n%b" % (
            endpoint.headers,
            self._gateway_lines(candidate, body),
            endpoint.event_id_header,
            self._opened.event_id.encode(),
            spoken.content_type(self._call),
            self._extra_headers,
        )
        began = monotonic()
        transport = forwarder.direct if endpoint.direct else forwarder.gateway
        response = await transport.send(
            endpoint.origin,
            "POST",
            endpoint.target,
            EncodedHeaders(headers),
            body,
            forwarder.timeouts,
            on_sent=self._mark_sent,
        )
        seconds = monotonic() - began
        self._opened.first_byte_ms = int(seconds * 1000)
        metrics.first_byte(candidate.route.rule.provider_type, seconds)
        return response

    def _gateway_lines(self, candidate: Candidate, body: bytes) -> bytes:
        endpoint, call = candidate.route.endpoint, self._call
        through = endpoint.through
        if through is None:
            return b""
        if not call.labels and not call.cache_ttl_s:
            return through.plain
        key = b""
        if call.cache_ttl_s:
            customer_id, provider_id = self._opened.grant.customer_id, candidate.route.rule.provider_id
            key = cache_key(self._forwarder.cache_secret, customer_id, provider_id, endpoint.target, body)
        return through.special(call.labels, call.cache_ttl_s, key)

    def _mark_sent(self) -> None:
        self.sent = True

    async def _begin(self, candidate: Candidate, response: Response) -> Upstream:
        """The first bytes of a stream, or all of a body that is no stream: until they are there, others may
        be tried."""
        upstream = Upstream(candidate, response, Head(response))
        if (upstream.head.is_event_stream and self._call.stream) or self._call.family.relays_body:
            first = await response.next_chunk()
            upstream.data = first or b""
            upstream.complete = first is None
            return upstream
        most = self._forwarder.max_response_bytes
        if response.ended:  # all of it has come with the head
            upstream.data = await response.next_chunk() or b""
            upstream.complete = True
            return upstream
        pieces: list[bytes] = []
        size = 0
        while size <= most:
            chunk = await response.next_chunk()
            if chunk is None:
                upstream.complete = True
                break
            pieces.append(chunk)
            size += len(chunk)
        upstream.data = b"".join(pieces)
        return upstream

    def _refused(self, candidate: Candidate, response: Response, body: bytes) -> Upstream | None:
        upstream = Upstream(candidate, response, Head(response))
        upstream.data, upstream.complete, upstream.final = body, True, True
        plain = body
        if upstream.decoder is not None:
            try:
                plain = upstream.data = upstream.decoder.decode(body)
            except ValueError:
                plain, upstream.decoder = b"", None
        verdict = judge_status(response.status, plain)
        self._end(candidate, verdict, response.status)
        self._note(candidate, response.status, verdict.why)
        return None if verdict.failover else upstream

    def _end(self, candidate: Candidate, verdict: Verdict, status: int) -> None:
        state = UsageState.USAGE_STATE_VOIDED if verdict.void else UsageState.USAGE_STATE_ESTIMATED
        self._opened.end_attempt(state, status=status, why=verdict.why)
        self.ended = True
        provider_type = candidate.route.rule.provider_type
        metrics.attempt_ended(provider_type, verdict.why)
        if not verdict.void:
            metrics.estimated(verdict.why)

    def _note(self, candidate: Candidate, status: int, why: str) -> None:
        self._failures.append(
            {"provider": candidate.route.provider_name.decode(), "status": status or None, "why": why}
        )

    def _all_failed(self) -> TollkeeperError:
        told = "; ".join(f"{each['provider']}: {each['status'] or each['why']}" for each in self._failures)
        metadata = {"attempts": orjson.dumps(self._failures).decode()}
        return TollkeeperError(Reason.ALL_PROVIDERS_FAILED, f"All providers failed ({told}).", metadata)
