"""Tries the candidates of one request in order until one answers (requirement A17).

Nothing has reached the client yet while this runs, so every end that the policy allows leads to the next
provider. Each attempt's end is told to the ledger as it happens; the one that answers is left open for the
relay.
"""

from asyncio import get_running_loop, sleep
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic, time

from edge import metrics
from edge.admission import AttemptPlan, Ledger, Open, UsageState
from edge.call import Call
from edge.candidates import Candidate, next_place
from edge.formats import Changes
from edge.hangup import Client
from edge.upstream.faults import forbids_retry, hidden_fault, retry_after_s
from edge.upstream.forwarder import Forwarder
from edge.upstream.policy import Verdict, failure_word, judge_failure, judge_fault, judge_status
from edge.upstream.received import Upstream, answer_of, refusal
from edge.upstream.request_head import request_headers
from edge.upstream.transport import Response, TotalTimeout, TransportError
from edge.upstream.tried import Failed, all_failed
from edge.upstream.upload import Upload
from tollkeeper.conditions import FIRST, Ending
from tollkeeper.errors import TollkeeperError

# Of one request, whatever its router says: each is held for and recorded.
MAX_ATTEMPTS = 20
MAX_ERROR_BODY_BYTES = 1_048_576
# Why an attempt is void: the client hung up, or the upstream did, before the end of an upload.
UPLOAD_CUT = "upload_cut"


class Attempts:
    """The attempts of one request."""

    __slots__ = (
        "_call",
        "_candidates",
        "_client",
        "_end_by_s",
        "_ending",
        "_extra_headers",
        "_failures",
        "_forwarder",
        "_held_output",
        "_ledger",
        "_opened",
        "_plans",
        "_response",
        "_sent_limit",
        "_timeouts",
        "_unsayable",
        "_upload",
        "_verdict",
        "ended",
        "sent",
    )

    def __init__(
        self,
        forwarder: Forwarder,
        ledger: Ledger,
        opened: Open,
        call: Call,
        client: Client,
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
        self._client = client
        self._candidates = candidates
        self._plans = plans
        self._sent_limit = sent_limit
        self._held_output = 0
        self._extra_headers = extra_headers
        self._failures: list[Failed] = []
        self._response: Response | None = None
        self._unsayable: TollkeeperError | None = None
        self._verdict: Verdict | None = None
        """Of the last attempt; None: it answered."""
        self._upload: Upload | None = None
        self._ending = FIRST
        self._timeouts, total_s = forwarder.timeouts, forwarder.total_s
        if opened.grant.deadlines is not None:
            self._timeouts, total_s = forwarder.waits_of(opened.grant)
        self._end_by_s = get_running_loop().time() + total_s
        self.sent = False
        """A byte of the attempt under way may have left."""
        self.ended = False
        """The attempt under way has been told to the ledger."""

    @property
    def is_cut(self) -> bool:
        """The attempt under way is an upload whose end was never sent, so that nobody can have served it."""
        return self._upload is not None and not self._upload.complete

    async def first_answer(self) -> Upstream:
        """A success, or a refusal that is final. Raises ALL_PROVIDERS_FAILED, UPSTREAM_TIMEOUT where the time
        for the request is over, and INVALID_ARGUMENT where the last candidate's format can't carry the
        request."""
        place: int | None = 0
        retry = 0
        while place is not None:
            self._held_output = self._plans[place].output_limit
            upstream = await self._try(self._candidates[place], retry)
            verdict = self._verdict
            if upstream is not None and verdict is None:
                return upstream
            assert verdict is not None
            if await self._waits_for_retry(place, verdict, retry + 1):
                retry += 1
            else:
                place, retry = self._following(place), 0
            if place is None or not await self._hold(place):
                if upstream is not None and not verdict.failover:
                    return upstream
                break
        late = get_running_loop().time() >= self._end_by_s
        raise self._unsayable or all_failed(self._failures, late)

    def streamed(self, upstream: Upstream) -> None:
        """The answer has been relayed: whether it came to its end says something of its provider, too."""
        if upstream.broken_by is not None:
            verdict = judge_failure(upstream.broken_by)
            if verdict.sick:
                ending = Ending(0, verdict.failure)
                self._forwarder.breakers.failed(upstream.candidate.route.breaker, ending)

    def close(self) -> None:
        """Lets go of the answer: an upstream connection isn't kept busy for nothing. Idempotent."""
        self._unsayable = None  # raised, it refers to us
        if self._response is not None:
            self._response.close()

    # Between attempts

    async def _waits_for_retry(self, place: int, verdict: Verdict, retry: int) -> bool:
        """Whether the same candidate is tried again, once it is time."""
        policy = self._opened.grant.retries
        route = self._candidates[place].route
        resting = route.breaker in self._forwarder.breakers.tripped
        if not verdict.again or retry > policy.most or resting or not self._may_go_on():
            return False
        wait_s = policy.wait_s(retry, verdict.retry_after_s)
        if wait_s is None or get_running_loop().time() + wait_s >= self._end_by_s:
            outcome = "too_long"
        elif not self._forwarder.budgets.take(route.rule.provider_id):
            outcome = "no_budget"
        else:
            outcome = "made"
            await sleep(wait_s)
        metrics.retried(route.rule.provider_type, outcome)
        return outcome == "made" and self._may_go_on()

    def _following(self, place: int) -> int | None:
        """The next candidate that answers to how the last attempt ended."""
        if not self._may_go_on():
            return None
        found, resting = next_place(self._candidates, place + 1, self._ending, self._forwarder.breakers)
        for candidate in resting:
            metrics.passed_over(candidate.route.rule.provider_type)
            self._failures.append(Failed(candidate, 0, "circuit_open"))
        return found

    def _may_go_on(self) -> bool:
        """Nobody waits for more after a hang-up, and nobody waits for ever; an upload that was sent on as it
        came is gone."""
        return (
            not self._client.gone
            and not self._call.is_spent
            and self._opened.attempt_number < MAX_ATTEMPTS
            and get_running_loop().time() < self._end_by_s
        )

    async def _hold(self, place: int) -> bool:
        """Holds and journals one more attempt (L13)."""
        try:
            await self._ledger.next_attempt(self._opened, self._plans[place])
        except TollkeeperError as error:
            self._forwarder.breakers.release(self._candidates[place].route.breaker)
            self._failures.append(Failed(self._candidates[place], 0, error.reason_name.lower()))
            return False
        return True

    # One attempt

    async def _try(self, candidate: Candidate, retry: int) -> Upstream | None:
        """The answer; None where there was none. `_verdict` tells a failure."""
        self.sent = self.ended = False
        self._unsayable = self._verdict = self._upload = None
        if not retry and self._opened.grant.retries.most:
            self._forwarder.budgets.tried(candidate.route.rule.provider_id)
        response: Response | None = None
        try:
            response = self._response = await self._send(candidate)
            if 200 <= response.status < 300:
                most = self._forwarder.max_response_bytes
                upstream = await answer_of(candidate, response, self._call, most)
                return upstream if self._is_answer(upstream) else None
            body = await response.read(MAX_ERROR_BODY_BYTES)
        except TollkeeperError as error:
            self._unsayable = error
            self._forwarder.breakers.release(candidate.route.breaker)
            self._end(candidate, Verdict(failover=True, void=True, why="not_sent"), 0)
            self._failures.append(Failed(candidate, 0, error.reason_name.lower()))
            return None
        except TransportError as failure:
            if response is not None:
                response.close()
            status = response.status if response is not None else 0
            self._end(candidate, self._judged(failure), status)
            self._failures.append(Failed(candidate, status, failure_word(failure)))
            return None
        return self._refused(candidate, response, body)

    async def _send(self, candidate: Candidate) -> Response:
        endpoint = candidate.route.endpoint
        forwarder = self._forwarder
        spoken = candidate.route.format
        by_units = candidate.price.by_units
        changes = Changes(candidate.route.model, self._sent_limit, self._held_output, by_units)
        body = spoken.body(self._call, endpoint, changes)
        if not isinstance(body, bytes):
            self._upload = body
        secret = forwarder.cache_secret
        headers = request_headers(candidate, self._call, self._opened, body, secret, self._extra_headers)
        began = monotonic()
        transport = forwarder.direct if endpoint.through is None else forwarder.gateway
        response = await transport.send(
            endpoint.origin,
            self._call.method,
            endpoint.target,
            headers,
            body,
            self._timeouts,
            self._mark_sent,
            self._end_by_s,
        )
        seconds = monotonic() - began
        self._opened.first_byte_ms = int(seconds * 1000)
        metrics.first_byte(candidate.route.rule.provider_type, seconds)
        return response

    def _mark_sent(self) -> None:
        self.sent = True

    def _judged(self, failure: TransportError) -> Verdict:
        verdict = judge_failure(failure)
        if self.sent and self.is_cut:
            return replace(verdict, void=True, why=UPLOAD_CUT)
        # What a first attempt can't do in all of the request's time says something of its provider.
        first = self._opened.attempt_number == 1
        return replace(verdict, sick=True) if isinstance(failure, TotalTimeout) and first else verdict

    def _is_answer(self, upstream: Upstream) -> bool:
        """Whether a success is one. One that begins with an error is a failure, unless that is final: then
        the client reads it as the vendor said it."""
        breakers, breaker = self._forwarder.breakers, upstream.candidate.route.breaker
        if upstream.decoder is None:
            fault = hidden_fault(upstream.data)
            if fault.is_error:
                verdict = judge_fault(fault.status or 500, fault)
                if verdict.failover:
                    upstream.response.close()
                    self._end(upstream.candidate, verdict, upstream.status, fault.status)
                    self._failures.append(
                        Failed(upstream.candidate, fault.status or upstream.status, verdict.why)
                    )
                    return False
        if breakers.watched:
            breakers.succeeded(breaker)
        return True

    def _refused(self, candidate: Candidate, response: Response, body: bytes) -> Upstream:
        upstream, plain = refusal(candidate, response, body)
        verdict = judge_status(response.status, plain, retry_after_s(response.headers, time()))
        if self.is_cut:
            verdict = replace(verdict, void=True)
        if forbids_retry(response.headers):
            verdict = replace(verdict, again=False)
        self._end(candidate, verdict, response.status)
        self._failures.append(Failed(candidate, response.status, verdict.why))
        return upstream

    def _end(self, candidate: Candidate, verdict: Verdict, status: int, meant: int = 0) -> None:
        """Tells ledger, metrics and the provider's breaker how an attempt failed; `meant` is the status that
        a success stood for."""
        self._verdict = verdict
        state = UsageState.USAGE_STATE_VOIDED if verdict.void else UsageState.USAGE_STATE_ESTIMATED
        self._opened.end_attempt(state, status=status, why=verdict.why)
        self.ended = True
        provider_type = candidate.route.rule.provider_type
        metrics.attempt_ended(provider_type, verdict.why)
        if not verdict.void:
            metrics.estimated(verdict.why)
        self._ending = Ending(meant or status, verdict.failure)
        breakers = self._forwarder.breakers
        if verdict.sick:
            breakers.failed(candidate.route.breaker, self._ending)
        elif status and breakers.watched:
            breakers.succeeded(candidate.route.breaker)
