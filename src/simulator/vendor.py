"""From a request to its answer: the gateway's checks in Cloudflare's order, then the vendor's."""

import asyncio
from dataclasses import dataclass, field

import orjson

from simulator import cloudflare
from simulator.anthropic.read import read_messages
from simulator.bill import Bill
from simulator.cache import Cache
from simulator.chat import Answer, Call, decide, read_call
from simulator.cloudflare import Route
from simulator.errors import GatewayError, VendorError
from simulator.gates import Gates
from simulator.gateways import Gateways
from simulator.gemini import api as gemini
from simulator.http import Connection, Request
from simulator.media.api import Media
from simulator.openai.api import OpenaiApi
from simulator.player import Exchange
from simulator.settings import Settings
from simulator.shapes import ANTHROPIC, OPENAI, Shape

ROUTES_LIMIT = 1024
EVENT_ID_LIMIT = 256
_REFUSED_CALLERS = frozenset({2001, 2009})
_MESSAGES = frozenset({"messages", "count_tokens"})
_MODELS = (
    "openai/gpt-4o-mini",
    "openai/gpt-4o",
    "groq/llama-3.3-70b-versatile",
    "mistral/mistral-small-latest",
    "anthropic/claude-opus-4-6",
)


@dataclass(slots=True)
class Vendor:
    """Every vendor at once, behind Cloudflare's gateway and directly."""

    settings: Settings
    bill: Bill
    gates: Gates
    gateways: Gateways
    media: Media
    openai: OpenaiApi
    cache: Cache = field(default_factory=Cache)
    _routes: dict[bytes, Route] = field(default_factory=dict)

    def forget_routes(self) -> None:
        """Gateways came or went."""
        self._routes.clear()

    def handle(self, request: Request, connection: Connection) -> None:
        """Answer one request, at once or in a task of its connection."""
        route = self._route(request.target)
        event_id = _event_id(request, route)
        connection.keep_answer = None
        try:
            if not route.direct:
                self._admit(request, route)
                if (kept := self.cache.find(request)) is not None:
                    lines = cloudflare.headers(event_id, cached=True)
                    connection.respond(200, kept.body, lines, kept.content_type)
                    return
                connection.keep_answer = self.cache.keeper(request)
            if route.kind in ("chat", "compat_chat", "messages"):
                self._chat(request, connection, route, event_id)
            elif route.kind == "count_tokens":
                counted = orjson.dumps({"input_tokens": self._call(request, route)[0].prompt_tokens})
                connection.respond(200, counted, _headers(route, event_id))
            elif route.kind == "gemini":
                self._gemini(request, connection, route, event_id)
            elif route.kind == "media":
                _check_credential(request)
                headers = _headers(route, event_id)
                self.media.handle(request, connection, route.path, route.provider, event_id, headers)
            elif route.kind == "openai":
                _check_credential(request)
                self._openai(request, connection, route, event_id)
            elif route.kind == "gemini_models":
                gemini.check_key(request)
                connection.respond(200, gemini.models(), _headers(route, event_id))
            elif route.kind == "models":
                _check_credential(request)
                connection.respond(200, _models(route), _headers(route, event_id))
            else:
                raise _unroutable(request, route)
        except GatewayError as error:
            logged = error.code not in _REFUSED_CALLERS
            connection.respond(error.status, error.body, cloudflare.headers(event_id, logged=logged))
        except VendorError as error:
            connection.respond(error.status, _shape(request, route).error(error), _headers(route, event_id))

    def _route(self, target: bytes) -> Route:
        path = target.partition(b"?")[0]
        route = self._routes.get(path)
        if route is None:
            if len(self._routes) >= ROUTES_LIMIT:
                self._routes.clear()
            route = cloudflare.resolve(path.decode("latin-1"), self.settings.account_id, self.gateways.serves)
            self._routes[path] = route
        return route

    def _admit(self, request: Request, route: Route) -> None:
        """Authentication, then the gateway's existence. Raises GatewayError."""
        expected = self.settings.require_token
        if expected is not None and request.header(b"cf-aig-authorization") != f"Bearer {expected}".encode():
            raise GatewayError(2009)
        if not route.gateway_exists:
            raise GatewayError(2001)

    def _chat(self, request: Request, connection: Connection, route: Route, event_id: str) -> None:
        call, provider = self._call(request, route)
        self._answer(decide(call), request, connection, route, provider, event_id)

    def _gemini(self, request: Request, connection: Connection, route: Route, event_id: str) -> None:
        if request.method != b"POST" or route.method not in gemini.METHODS:
            raise VendorError(404, f"{route.method} is not found for API version v1beta.")
        gemini.check_key(request)
        steering = self.settings.steering
        if route.method == "countTokens":
            counted = gemini.counted(request, route.deployment, steering)
            connection.respond(200, counted, _headers(route, event_id))
            return
        answer, shape = gemini.answer(request, route.deployment, route.method, steering)
        self._answer(answer, request, connection, route, route.provider, event_id, shape)

    def _openai(self, request: Request, connection: Connection, route: Route, event_id: str) -> None:
        asked = self.openai.answer(request, route.path, route.provider, event_id)
        if isinstance(asked, bytes):
            connection.respond(200, asked, _headers(route, event_id))
        else:
            answer, shape = asked
            self._answer(answer, request, connection, route, route.provider, event_id, shape)

    def _answer(
        self,
        answer: Answer,
        request: Request,
        connection: Connection,
        route: Route,
        provider: str,
        event_id: str,
        shape: Shape | None = None,
    ) -> None:
        """Send what was decided, or the error that the request asked for."""
        steering = answer.call.steering
        if steering.close:
            connection.close_after_answer()
        exchange = Exchange(
            connection=connection,
            bill=self.bill,
            gates=self.gates,
            answer=answer,
            event_id=event_id,
            provider=provider,
            headers=_headers(route, event_id),
            chunks_understood=request.chunks_understood,
            wait_limit_s=self.settings.wait_limit_s,
            shape=shape or _shape(request, route),
        )
        if steering.code is None and steering.status is None:
            exchange.play()
        elif steering.first_byte_ms:
            connection.start(_fail_later(exchange))
        else:
            _fail(exchange)

    def _call(self, request: Request, route: Route) -> tuple[Call, str]:
        """The call and the provider it is for. Raises GatewayError, VendorError."""
        compat = route.kind == "compat_chat"
        if request.method != b"POST":
            raise _wrong_method(request, route)
        _check_credential(request)
        header = request.header(b"x-sim")
        if route.kind in _MESSAGES:
            version = request.header(b"anthropic-version")
            counting = route.kind == "count_tokens"
            call = read_messages(request.body, header, self.settings.steering, version, counting)
            return call, route.provider
        try:
            call = read_call(request.body, header, self.settings.steering, route.deployment)
        except VendorError as error:
            if compat and not error.steering:
                raise GatewayError(2019) from error
            raise
        if not compat:
            return call, route.provider
        named = cloudflare.compat_model(call.model)
        if named is None:
            raise (
                GatewayError(2008, f"Model not found: {call.model}")
                if "/" in call.model
                else GatewayError(2019)
            )
        call.model = named[1]
        return call, named[0]


def _shape(request: Request, route: Route) -> Shape:
    if route.kind in ("gemini", "gemini_models"):
        return gemini.shape(request)
    return ANTHROPIC if route.kind in _MESSAGES else OPENAI


async def _fail_later(exchange: Exchange) -> None:
    await asyncio.sleep(exchange.steering.first_byte_ms / 1000)
    _fail(exchange)


def _fail(exchange: Exchange) -> None:
    """Answer with the error the request asked for; only `billed` ones cost the prompt."""
    steering = exchange.steering
    error: GatewayError | VendorError
    if steering.code is not None:
        refused = GatewayError(steering.code, status=steering.status)
        status, body = refused.status, refused.body
    else:
        error = VendorError(
            steering.status or 500,
            code=steering.error,
            kind=steering.error if steering.error == "insufficient_quota" else None,
        )
        status, body = error.status, exchange.shape.error(error)
    headers = exchange.headers
    if steering.retry_after is not None:
        headers += b"retry-after: %b\r\n" % steering.retry_after.encode()
    if steering.billed:
        exchange.charge(0, "error", status)
    exchange.connection.respond(status, body, headers)


def _event_id(request: Request, route: Route) -> str:
    sent = request.header(b"x-client-request-id" if route.direct else b"cf-aig-event-id")
    return sent.decode("latin-1")[:EVENT_ID_LIMIT] if sent else cloudflare.fresh_id()


def _headers(route: Route, event_id: str) -> bytes:
    request_id = cloudflare.fresh_id().encode()
    if route.kind in _MESSAGES:
        own = b"request-id: req_%b\r\n" % request_id
    else:
        own = b"x-request-id: req_%b\r\nopenai-version: 2020-10-01\r\n" % request_id
    return own if route.direct else cloudflare.headers(event_id) + own


def _check_credential(request: Request) -> None:
    """Any will do but those that say of themselves that they don't. Raises VendorError."""
    for name in (b"authorization", b"x-api-key", b"api-key"):
        sent = (request.header(name) or b"").removeprefix(b"Bearer ")
        if sent.startswith(b"sk-invalid"):
            masked = sent.decode("latin-1")[:10] + "***"
            raise VendorError(401, f"Incorrect API key provided: {masked}.", code="invalid_api_key")


def _models(route: Route) -> bytes:
    data = []
    bare = route.direct or route.provider != "compat"
    for name in _MODELS:
        provider, _, model = name.partition("/")
        row: dict[str, object] = {
            "id": model if bare else name,
            "object": "model",
            "owned_by": provider,
        }
        data.append(row | ({"created": 1_760_000_000} if bare else {"created_at": 1_760_000_000}))
    return orjson.dumps({"object": "list", "data": data})


def _unroutable(request: Request, route: Route) -> GatewayError | VendorError:
    if route.kind == "no_provider":
        return GatewayError(2008)
    if route.kind == "compat_other":
        return GatewayError(2019, f"Compatibility endpoint: {route.path.strip('/')} is not supported.")
    url = f"{request.method.decode('latin-1')} {route.path}"
    return VendorError(404, f"Invalid URL ({url})", code="unknown_url")


def _wrong_method(request: Request, route: Route) -> GatewayError | VendorError:
    if route.kind == "compat_chat":
        return GatewayError(2019)
    text = f"Not allowed to {request.method.decode('latin-1')} on {route.path}."
    return VendorError(405, text, code="method_not_supported")
