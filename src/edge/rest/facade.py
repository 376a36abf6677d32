"""Everything of the edge that isn't inference or operations: finds the route, calls it, and answers whatever
happens."""

from time import monotonic

import grpc.aio
import structlog
from sanic.request import Request

from edge import metrics
from edge.answer import Answer, header_lines
from edge.client_address import ClientAddresses
from edge.config import EdgeSettings
from edge.errors import JSON, render_plain
from edge.rest import pages, system_a, system_b
from edge.rest.calls import Caller, Control
from edge.rest.cors import Cors
from edge.rest.exchange import Exchange, Handler, answer
from edge.rest.paths import Routes
from edge.rest.transcoder import contract_routes
from tollkeeper.errors import Reason, TollkeeperError

log = structlog.get_logger()

ROUTE = "rest"
# Of each worker: management must not take the memory or the channel that inference needs.
MAX_IN_FLIGHT = 256


class Facade:
    """Management over HTTP, for one worker."""

    def __init__(self, settings: EdgeSettings, channel: grpc.aio.Channel) -> None:
        """Must be made inside the running loop; the channel stays the caller's."""
        control = Control(channel)
        self.cors = Cors(settings.cors_origins)
        self._addresses = ClientAddresses(settings.trusted_proxies)
        self.in_flight = 0
        self._routes: Routes[Handler] = Routes()
        for binding, handler in contract_routes(control):
            self._routes.add(binding.method, binding.template, handler)
        for endpoint in (*system_a.endpoints(control), *system_b.endpoints(control)):
            self._routes.add(endpoint.method, endpoint.path, endpoint.handler)
        for path, page in pages.all_pages(control).items():
            self._routes.add("GET", path, page)

    async def handle(self, request: Request) -> Answer | None:
        """The answer, or None when it was streamed. Every refusal is an answer too."""
        started = monotonic()
        self.in_flight += 1
        status = 499
        try:
            response = await self._answer(request)
            status = 200 if response is None else response.status
            return response
        finally:
            self.in_flight -= 1
            metrics.request_ended(ROUTE, "", status, False, monotonic() - started)

    async def _answer(self, request: Request) -> Answer | None:
        lines = self.cors.lines(request)
        try:
            if self.in_flight > MAX_IN_FLIGHT:
                raise TollkeeperError(Reason.UNAVAILABLE, "Management is busy here. Try again in a moment.")
            if request.method == "OPTIONS":
                return self._options(request)
            found = self._routes.find("GET" if request.method == "HEAD" else request.method, request.path)
            caller = Caller(_authorization(request), self._addresses.of(request))
            exchange = Exchange(request, caller, found.variables, lines)
            return await found.target(exchange)
        except TollkeeperError as error:
            return _refusal(error, lines)
        except Exception as error:
            log.error("unexpected", method=request.method, path=request.path, exc_info=error)
            return _refusal(TollkeeperError(Reason.INTERNAL, ""), lines)

    def _options(self, request: Request) -> Answer:
        allowed = self._routes.allowed(request.path)
        if not allowed:
            raise TollkeeperError(Reason.NOT_FOUND, "")
        methods = [*allowed, *(["HEAD"] if "GET" in allowed else []), "OPTIONS"]
        return answer(204, JSON, self.cors.preflight_lines(request, methods), b"")


def _refusal(error: TollkeeperError, lines: bytes) -> Answer:
    rendered = render_plain(error)
    lines += header_lines(rendered.headers)
    if error.reason == Reason.METHOD_NOT_ALLOWED and "allow" in error.metadata:
        lines += header_lines(((b"allow", error.metadata["allow"].encode()),))
    return answer(rendered.status, JSON, lines, rendered.body)


def _authorization(request: Request) -> str | None:
    """The credential as it came. Raises UNAUTHENTICATED for what can't be one."""
    values = request.headers.getall("authorization", ())
    if not values:
        return None
    value = str(values[0])
    if len(values) > 1 or not (value.isascii() and value.isprintable()):
        raise TollkeeperError(Reason.UNAUTHENTICATED, "The authorization must be `Bearer <secret>`.")
    return value
