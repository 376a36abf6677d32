"""One request of any family, from its parsing to its settled record (DESIGN §5)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import structlog
from sanic.request import Request

from edge import metrics
from edge.admission import Ledger, Open, UsageState
from edge.answer import Answer, error_answer
from edge.caching import CACHE_HEADER, ttl_s_of
from edge.call import Call
from edge.client_address import ClientAddresses
from edge.client_connection import EdgeProtocol
from edge.client_headers import passed_lines
from edge.config import EdgeSettings
from edge.estimate import Estimates
from edge.families import Family
from edge.grants import GrantView
from edge.hangup import Client, HangupPolicy
from edge.labels import TAGS_HEADER, labels_of, tags_of
from edge.outlet import Outlet, told_late
from edge.planning import Plan, Planner
from edge.relay import CLIENT_GONE_STATUS, Relay
from edge.uploads.receive import Uploads
from edge.uploads.spool import Spools
from edge.upstream.failover import UPLOAD_CUT, Attempts
from edge.upstream.forwarder import Forwarder
from tollkeeper.errors import Reason, TollkeeperError

log = structlog.get_logger()

UPLOADS_DIRECTORY = "uploads"
# Google's clients may show their key in the query. It is never logged, nor sent on.
_GOOGLE_PATHS = ("/v1beta/", "/v1/models/")
_METADATA_HEADER = "x-tollkeeper-metadata"


class Pipeline:
    """Serves requests with what the worker's requests share."""

    def __init__(
        self,
        settings: EdgeSettings,
        ledger: Ledger,
        planner: Planner,
        forwarder: Forwarder,
        hangups: HangupPolicy,
    ) -> None:
        self._ledger = ledger
        self._planner = planner
        self.forwarder = forwarder
        self._hangups = hangups
        self._addresses = ClientAddresses(settings.trusted_proxies)
        self._max_in_flight = settings.max_in_flight
        self._forward_headers = settings.forward_headers
        self._with_metadata = settings.gateway_metadata
        spools = Spools(settings.data_dir / UPLOADS_DIRECTORY, settings.upload_disk_bytes)
        self.uploads = Uploads(spools, settings.max_upload_bytes)
        self._heartbeat_s = settings.heartbeat_s
        self._estimates = Estimates(settings.estimate)
        self._max_streams = settings.max_streams
        self.in_flight = 0
        # Hears of each finished request that made something its vendor keeps.
        self.on_kept: Callable[[Open], None] = lambda opened: None
        self.stream_count = 0

    async def handle(self, request: Request, family: Family, with_provider: bool) -> Answer | None:
        """The answer, or None when it was streamed. Every refusal is an answer too.

        `with_provider`: a `provider` in the body chooses among rules.
        """
        started = monotonic()
        if self.in_flight >= self._max_in_flight:
            return self._refusal(_busy(), family, started)
        self.in_flight += 1
        grant: GrantView | None = None
        call: Call | None = None
        tags: tuple[str, ...] = ()
        stream_count = 0
        try:
            grant = await self._ledger.authorize(secret_of(request))
            self._addresses.check(request, grant)
            header = request.headers.get(TAGS_HEADER)
            if header is not None:
                tags = tags_of(header)
            if family.read_form is None:
                call = family.parse(request, with_provider)
            else:
                call = await self.uploads.receive(request, family.read_form, with_provider)
            if call.stream:
                if self.stream_count >= self._max_streams:
                    message = "This gateway serves as many streams as it can. Try again in a moment."
                    raise TollkeeperError(Reason.UNAVAILABLE, message, retry_after_s=1)
                stream_count = 1
                self.stream_count += 1
            if family.passes:
                call.passed = await self.uploads.raw(request)
            if call.references:
                await self._ledger.kept_objects.bind(grant, call)
            call.infers_provider = with_provider
            if tags or call.end_user:
                call.labels = labels_of(call.end_user, tags)
            cache = request.headers.get(CACHE_HEADER)
            if cache is not None or grant.cache_ttl_s:
                call.cache_ttl_s = ttl_s_of(cache, call, grant.cache_ttl_s)
            plan, opened = await self._planner.admit(grant, call, tags)
            if plan.clamped:
                metrics.clamped()
        except TollkeeperError as error:
            return self._refusal(error, family, started, grant, call, tags)
        else:
            return await self._serve(request, call, plan, opened, started)
        finally:
            self.in_flight -= 1
            if call is not None and call.form is not None:
                call.form.close()
            self.stream_count -= stream_count

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """One of the requests that are served at a time. Raises UNAVAILABLE when there are too many."""
        if self.in_flight >= self._max_in_flight:
            raise _busy()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def grant_of(self, request: Request) -> GrantView:
        """The grant of the key that a request shows. Raises like `Ledger.authorize`, and
        ADDRESS_NOT_ALLOWED."""
        grant = await self._ledger.authorize(secret_of(request))
        self._addresses.check(request, grant)
        return grant

    # From the first byte on

    async def _serve(
        self, request: Request, call: Call, plan: Plan, opened: Open, started: float
    ) -> Answer | None:
        """`opened` is finished when this returns or raises, whatever happens."""
        client = Client(self._hangups)
        protocol: EdgeProtocol = request.stream.protocol  # type: ignore[union-attr, assignment]
        protocol.client = client
        outlet: Outlet | None = None
        attempts: Attempts | None = None
        provider = ""
        try:
            if call.stream:
                outlet = Outlet(request, protocol, client)
                heartbeat = call.family.dialect.heartbeat
                if self._heartbeat_s and heartbeat:
                    outlet.keep_alive(self._heartbeat_s, heartbeat, _early_lines(opened))
            attempts = Attempts(
                self.forwarder,
                self._ledger,
                opened,
                call,
                client,
                plan.candidates,
                plan.attempts,
                plan.sent_limit,
                self._forwarded(request, call.family),
            )
            upstream = await attempts.first_answer()
            provider = upstream.candidate.route.rule.provider_type
            relay = Relay(
                self._ledger, opened, call, upstream, client, started, _clamp_line(plan), self._estimates
            )
            attempts.ended = True
            if not upstream.complete or (call.stream and upstream.head.is_event_stream):
                outlet = outlet or Outlet(request, protocol, client)
                await relay.stream(outlet)
                attempts.streamed(upstream)
                return None
            answer = relay.whole(self._with_metadata or request.headers.get(_METADATA_HEADER) == "body")
            if outlet is None or not outlet.begun:
                return answer
            late = told_late(answer)
            await outlet.break_off(late if isinstance(late, bytes) else call.family.dialect.event(late))
            return None
        except TollkeeperError as error:
            return await self._failed(error, call, opened, client, outlet)
        except Exception:
            log.exception("request failed", request_id=opened.usage_id)
            unexpected = TollkeeperError(Reason.INTERNAL, "")
            return await self._failed(unexpected, call, opened, client, outlet)
        finally:
            if attempts is not None:
                attempts.close()
            if attempts is None or not attempts.ended:
                self._abandon(opened, client, attempts)
            elif client.gone and not opened.status:  # between two attempts
                opened.status = CLIENT_GONE_STATUS
            self._ledger.finish(opened)
            if opened.keeps:
                self.on_kept(opened)
            client.release()
            protocol.client = None
            if outlet is not None:
                outlet.stop_heartbeats()
            metrics.request_ended(
                call.family.name, provider, opened.status, call.stream, monotonic() - started
            )

    async def _failed(
        self, error: TollkeeperError, call: Call, opened: Open, client: Client, outlet: Outlet | None
    ) -> Answer | None:
        rendered = call.family.dialect.render(error)
        opened.status = CLIENT_GONE_STATUS if client.gone else rendered.status
        if outlet is None or not outlet.begun:
            return error_answer(rendered, opened.usage_id)
        await outlet.break_off(call.family.dialect.event(error))
        return None

    def _abandon(self, opened: Open, client: Client, attempts: Attempts | None) -> None:
        """The attempt under way was cut off before it answered: cancelled, or by a fault of ours."""
        why = "client_hangup" if client.gone else "cancelled"
        if attempts is None or not attempts.sent:
            opened.end_attempt(UsageState.USAGE_STATE_VOIDED, why="not_sent")
        elif attempts.is_cut:
            opened.end_attempt(UsageState.USAGE_STATE_VOIDED, why=UPLOAD_CUT)
        else:
            opened.end_attempt(UsageState.USAGE_STATE_ESTIMATED, why=why)
            metrics.estimated(why)
        if client.gone:
            opened.status = CLIENT_GONE_STATUS

    def _forwarded(self, request: Request, family: Family) -> bytes:
        """Client headers that the family or a setting sends on."""
        if not family.passed_headers and not self._forward_headers:
            return b""
        return passed_lines(request.headers, family.passed_headers + self._forward_headers)

    def _refusal(
        self,
        error: TollkeeperError,
        family: Family,
        started: float,
        grant: GrantView | None = None,
        call: Call | None = None,
        tags: tuple[str, ...] = (),
    ) -> Answer:
        rendered = family.dialect.render(error)
        elapsed_s = monotonic() - started
        metrics.refused(error.reason_name)
        metrics.request_ended(family.name, "", rendered.status, False, elapsed_s)
        if grant is None:
            return error_answer(rendered)
        refusal_id = self._ledger.refusals.note(
            grant,
            error,
            requested_model=call.model if call is not None else "",
            stream=call is not None and call.stream,
            end_user=call.end_user if call is not None else "",
            tags=tags,
            latency_s=elapsed_s,
        )
        return error_answer(rendered, refusal_id)


def _busy() -> TollkeeperError:
    return TollkeeperError(
        Reason.UNAVAILABLE, "This gateway is busy. Try again in a moment.", retry_after_s=1
    )


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
    secret = headers.get("x-api-key") or headers.get("api-key") or headers.get("x-goog-api-key")
    if not secret and request.path.startswith(_GOOGLE_PATHS):
        secret = request.args.get("key")
    if not secret:
        raise _no_key("You didn't provide an API key. Send it as 'Authorization: Bearer <key>'.")
    return str(secret).strip()


def _no_key(message: str) -> TollkeeperError:
    return TollkeeperError(Reason.INVALID_API_KEY, message)


def _early_lines(opened: Open) -> bytes:
    """The headers of an answer that a heartbeat begins: who will serve it isn't known yet."""
    return b"x-tollkeeper-request-id: %b\r\n" % opened.usage_id.encode()


def _clamp_line(plan: Plan) -> bytes:
    """The header that owns up to a lowered limit."""
    if not plan.clamped or plan.sent_limit is None:
        return b""
    return b"x-tollkeeper-clamped-max-tokens: %d\r\n" % plan.sent_limit
