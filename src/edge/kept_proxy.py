"""Requests about what a vendor keeps: passed on to where it is, with the rule that the key's router has for
that provider. They cost nothing, so they have no record; what they tell about a pending object's cost is
reported."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

import orjson
import structlog
from sanic.request import Request

from edge import metrics
from edge.admission import Ledger
from edge.answer import Answer
from edge.errors import JSON
from edge.formats import Reading
from edge.formats.responses_openai import BACKGROUND
from edge.grants import GrantView, RuleView
from edge.kept_objects import KeptObject
from edge.pipeline import Pipeline
from edge.planning import Planner
from edge.records import set_usage
from edge.upstream.cloudflare import Endpoint
from edge.upstream.encoding import decoder_for
from edge.upstream.failover import MAX_ERROR_BODY_BYTES
from edge.upstream.failures import TransportError
from edge.upstream.head import Head
from edge.upstream.refusal import presentable
from edge.upstream.response import Response
from edge.upstream.transport import EncodedHeaders
from tollkeeper.cost import UsageCounts
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import is_object_id
from tollkeeper.operations import Operation
from tollkeeper.v1 import edge_pb2

log = structlog.get_logger()

ROUTE = "kept"
Fetch = Callable[[str], AsyncIterator[bytes]]
MAX_QUERY_CHARS = 2048


@dataclass(frozen=True, slots=True)
class Place:
    """Where objects of one kind are at their vendors."""

    kind: str
    operation: Operation
    """The path that ids are below."""
    read: Callable[[dict[str, Any], Fetch], Awaitable[Reading]]
    """What an object tells of its cost, once it has come to its end; other files of its vendor's may have to
    be read for it."""


class KeptProxy:
    """Serves one worker."""

    def __init__(self, ledger: Ledger, planner: Planner, pipeline: Pipeline) -> None:
        self._ledger = ledger
        self._planner = planner
        self._pipeline = pipeline
        self._forwarder = pipeline.forwarder

    async def handle(self, request: Request, place: Place, object_id: str, rest: str) -> Answer | None:
        """The vendor's answer, or None when it was streamed. `rest` follows the id in the path.

        Raises like `Pipeline.grant_of`; NOT_FOUND for what isn't the customer's, of another kind, or kept by
        a provider that the key's router has no rule for any more.
        """
        started = monotonic()
        status, rule = 0, None
        with self._pipeline.admitted():
            try:
                grant = await self._pipeline.grant_of(request)
                kept = await self._find(grant, place, unquote(object_id))
                rule, endpoint = self._way(grant, place, kept, rest, request.query_string)
                response = await self._send(request, endpoint)
                try:
                    status = response.status
                    return await self._answer(request, grant, place, kept, rule, response)
                finally:
                    response.close()
            finally:
                provider = rule.provider_type if rule is not None else ""
                metrics.request_ended(ROUTE, provider, status, False, monotonic() - started)

    async def read(self, grant: GrantView, place: Place, kept: KeptObject) -> dict[str, Any] | None:
        """One object as it stands; None where it can't be had."""
        try:
            _, endpoint = self._way(grant, place, kept, "", "")
            response = await self._ask(endpoint, "GET", b"")
            try:
                body = await response.read(self._forwarder.max_response_bytes)
            finally:
                response.close()
            parsed = orjson.loads(_plain(Head(response), body)) if response.status == 200 else None
        except (TollkeeperError, TransportError, orjson.JSONDecodeError) as error:
            log.warning("kept object not read", object_id=kept.object_id, error=str(error))
            return None
        return parsed if type(parsed) is dict else None

    async def look(self, grant: GrantView, place: Place, kept: KeptObject) -> str | None:
        """Reads a pending object for its cost. What came of it in a word: `reported`, or `usage_missing`
        where it has ended without telling any; None: it hasn't ended, or can't be had now. Raises
        TransportError, and what `report` raises."""
        parsed = await self.read(grant, place, kept)
        if parsed is None or parsed.get("id") != kept.object_id:
            return None
        reading = await place.read(parsed, partial(self._file, grant, kept.provider_id))
        if await self.report(grant.customer_id, kept, reading):
            return "reported"
        return None if reading.why == BACKGROUND or not reading.finish else "usage_missing"

    async def _find(self, grant: GrantView, place: Place, object_id: str) -> KeptObject:
        (kept,) = await self._ledger.kept_objects.find(grant, [object_id])
        if kept.kind != place.kind:
            raise _not_found(object_id)
        return kept

    def _way(
        self, grant: GrantView, place: Place, kept: KeptObject, rest: str, query: str
    ) -> tuple[RuleView, Endpoint]:
        found = self._planner.table(grant).at_provider(kept.provider_id, place.operation)
        if found is None:
            raise _not_found(kept.object_id)
        rule, endpoint = found
        if len(query) > MAX_QUERY_CHARS or not query.isascii():
            raise TollkeeperError(Reason.INVALID_ARGUMENT, "The query string is too long.")
        return rule, endpoint.below(f"/{quote(kept.object_id, safe='')}{rest}", query)

    async def _send(self, request: Request, endpoint: Endpoint) -> Response:
        try:
            return await self._ask(endpoint, request.method, request.body)
        except TransportError as failure:
            raise _unreachable(failure) from None

    async def _ask(self, endpoint: Endpoint, method: str, body: bytes) -> Response:
        forwarder = self._forwarder
        headers = b"%b%b%b\r\n" % (endpoint.headers, endpoint.event_id_header, str(uuid4()).encode())
        if body:
            headers += b"content-type: application/json\r\n"
        transport = forwarder.direct if endpoint.direct else forwarder.gateway
        return await transport.send(
            endpoint.origin, method, endpoint.target, EncodedHeaders(headers), body, forwarder.timeouts
        )

    async def _answer(
        self,
        request: Request,
        grant: GrantView,
        place: Place,
        kept: KeptObject,
        rule: RuleView,
        response: Response,
    ) -> Answer | None:
        head = Head(response)
        lines = b"%bx-tollkeeper-provider: %b\r\n" % (head.lines, _name(rule))
        ok = 200 <= response.status < 300
        if ok and not head.media_type.startswith(JSON):
            await self._stream(request, Answer(response.status, head.media_type, lines, b""), response)
            return None
        try:
            body = await response.read(self._forwarder.max_response_bytes if ok else MAX_ERROR_BODY_BYTES)
        except TransportError as failure:
            raise _unreachable(failure) from None
        if ok:
            await self._learn(request, grant, place, kept, _plain(head, body))
        media_type, body = presentable(response.status, head.media_type, body, not rule.direct)
        return Answer(response.status, media_type, lines, body)

    async def _stream(self, request: Request, answer: Answer, response: Response) -> None:
        """A body that is no JSON, as it comes."""
        await request.respond(answer)
        try:
            while (chunk := await response.next_chunk()) is not None:
                if chunk:
                    await answer.send(chunk)
            await answer.send(end_stream=True)
        except TransportError:
            # It must not look complete.
            if request.stream is not None:
                request.stream.protocol.abort()  # type: ignore[no-untyped-call]

    async def _learn(
        self, request: Request, grant: GrantView, place: Place, kept: KeptObject, body: bytes
    ) -> None:
        """Reports what a pending object cost, and forgets one that is gone. The client has its answer either
        way."""
        try:
            if request.method == "DELETE":
                await self._ledger.kept_objects.forget(grant, kept.object_id)
            elif kept.pending:
                parsed = orjson.loads(body)
                if type(parsed) is dict and parsed.get("id") == kept.object_id:
                    reading = await place.read(parsed, partial(self._file, grant, kept.provider_id))
                    await self.report(grant.customer_id, kept, reading)
        except (TollkeeperError, TransportError, orjson.JSONDecodeError) as error:
            log.warning("kept object not updated", object_id=kept.object_id, error=str(error))

    async def _file(self, grant: GrantView, provider_id: str, file_id: str) -> AsyncIterator[bytes]:
        """The bytes of a file that the vendor keeps. Raises TransportError, NOT_FOUND."""
        found = self._planner.table(grant).at_provider(provider_id, Operation.FILES)
        if found is None or not is_object_id(file_id):
            raise _not_found(file_id)
        endpoint = found[1].below(f"/{quote(file_id, safe='')}/content", "")
        response = await self._ask(endpoint, "GET", b"")
        try:
            if response.status != 200:
                raise _not_found(file_id)
            while (piece := await response.next_chunk()) is not None:
                yield piece
        finally:
            response.close()

    async def report(self, customer_id: str, kept: KeptObject, reading: Reading) -> bool:
        """Tells the ledger what an object cost, once it says so itself; whether it did. Raises NOT_FOUND,
        UNAVAILABLE."""
        usage = UsageCounts() if reading.unbilled else reading.usage
        if usage is None:
            return False
        request = edge_pb2.ReportKeptObjectRequest(
            customer_id=customer_id,
            object_id=kept.object_id,
            response_model=reading.model,
            finish=reading.finish,
        )
        set_usage(request.usage, usage)
        for left in reading.kept:
            if is_object_id(left.object_id):
                request.kept_objects.add(
                    object_id=left.object_id, kind=left.kind, provider_id=kept.provider_id
                )
        await self._ledger.kept_objects.report(request)
        return True


def _plain(head: Head, body: bytes) -> bytes:
    decoder = decoder_for(head.encoding) if head.encoding else None
    try:
        return body if decoder is None else decoder.decode(body)
    except ValueError:
        return b""


def _name(rule: RuleView) -> bytes:
    name = rule.provider_name or rule.provider_type
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in name).encode()


def _not_found(object_id: str) -> TollkeeperError:
    return TollkeeperError(Reason.NOT_FOUND, f"No object with id {object_id[:200]!r} was found.")


def _unreachable(failure: TransportError) -> TollkeeperError:
    return TollkeeperError(
        Reason.UPSTREAM_DISCONNECTED, f"The provider didn't answer ({type(failure).__name__})."
    )
