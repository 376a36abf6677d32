"""Cloudflare's management API: gateways and the model catalogue of one account, under /client/v4/.

Facts: Cloudflare's API reference and its published rate limits (1,200 calls in five minutes), 2026. The order
of checks (credential, account, throttle, route, body) is our guess.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import parse_qs

import orjson

from simulator.catalogue import search
from simulator.cloudflare import is_account
from simulator.errors import ApiError
from simulator.faults import Fault, Faults
from simulator.gateways import Gateways
from simulator.http import Connection, Request
from simulator.settings import Settings

PREFIX = b"/client/v4/"
WINDOW_S = 300.0
CALLS_KEPT = 64
_PAGE_SIZE = 20
_MAX_PAGE_SIZE = 100
_GARBAGE = b"<!DOCTYPE html><html><body>error code: 502</body></html>"


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, its target taken apart."""

    method: str
    path: str
    query: str
    request: Request


@dataclass(slots=True)
class ManagementApi:
    """Answers what tools ask of the account. Nothing here is billed or captured."""

    settings: Settings
    gateways: Gateways
    faults: Faults = field(default_factory=Faults)
    _calls: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    _window_began_s: float = 0.0
    _calls_in_window: int = 0

    def handle(self, request: Request, connection: Connection) -> None:
        """Answer one request, unless a fault says otherwise."""
        path, _, query = request.target.decode("latin-1").partition("?")
        call = _Call(request.method.decode("latin-1"), path, query, request)
        fault = self.faults.next(call.method, path)
        if fault is None:
            self._answer(call, connection)
        elif fault.delay_ms:
            connection.start(self._misbehave_late(fault, call, connection))
        else:
            self._misbehave(fault, call, connection)

    def state(self) -> dict[str, Any]:
        """What the checker may know: gateways, the last calls, limits, faults to come."""
        return {
            "gateways": self.gateways.ids(),
            "quota": self.gateways.quota,
            "calls": list(self._calls),
            "faults": self.faults.waiting(),
        }

    def reset(self) -> None:
        """Forgets faults and calls, and restores the quota. Gateways stay: they are at Cloudflare."""
        self.faults.clear()
        self._calls.clear()
        self._calls_in_window = 0
        self.gateways.quota = self.gateways.default_quota

    async def _misbehave_late(self, fault: Fault, call: _Call, connection: Connection) -> None:
        await asyncio.sleep(fault.delay_ms / 1000)
        self._misbehave(fault, call, connection)

    def _misbehave(self, fault: Fault, call: _Call, connection: Connection) -> None:
        if fault.lost:
            # It is done, and nobody is told.
            self._outcome(call)
        if fault.lost or fault.cut:
            self._note(call, 0)
            connection.cut()
        elif fault.garbage:
            self._note(call, 502)
            connection.respond(502, _GARBAGE, b"", b"text/html")
        elif fault.status:
            self._note(call, fault.status)
            extra = b"retry-after: %b\r\n" % fault.retry_after.encode() if fault.retry_after else b""
            connection.respond(fault.status, fault.error().body, extra)
        else:
            self._answer(call, connection)

    def _answer(self, call: _Call, connection: Connection) -> None:
        status, body, extra = self._outcome(call)
        self._note(call, status)
        connection.respond(status, body, extra)

    def _note(self, call: _Call, status: int) -> None:
        self._calls.append({"method": call.method, "path": call.path, "status": status})

    def _outcome(self, call: _Call) -> tuple[int, bytes, bytes]:
        """Status, body and extra header lines of an answer."""
        extra = b""
        try:
            parts = self._admitted(call)
            extra = self._throttle()
            result, info = self._result(call, parts)
        except ApiError as error:
            if error.status == 429:
                extra += b"retry-after: %d\r\n" % max(1, round(self._window_left_s()))
            return error.status, error.body, extra
        body = {"success": True, "result": result, "errors": [], "messages": []}
        if info is not None:
            body["result_info"] = info
        return 200, orjson.dumps(body), extra

    def _admitted(self, call: _Call) -> list[str]:
        """The path below the account. Raises ApiError."""
        path = call.path
        sent = call.request.header(b"authorization") or b""
        expected = self.settings.require_token
        if not sent.startswith(b"Bearer ") or (expected and sent != f"Bearer {expected}".encode()):
            raise ApiError(401, 10000, "Authentication error")
        parts = path.removeprefix(PREFIX.decode()).strip("/").split("/")
        if len(parts) < 3 or parts[0] != "accounts" or not is_account(parts[1], None):
            raise _no_route(path)
        if not is_account(parts[1], self.settings.account_id):
            raise ApiError(403, 10000, "Authentication error")
        return parts[2:]

    def _throttle(self) -> bytes:
        """Counts the call; the header lines that tell how many are left. Raises ApiError 429."""
        if self._window_left_s() <= 0:
            self._window_began_s, self._calls_in_window = monotonic(), 0
        self._calls_in_window += 1
        limit = self.settings.api_requests
        if self._calls_in_window > limit:
            raise ApiError(429, 971, "Please wait and consider throttling your request speed")
        return b'ratelimit: "default";r=%d;t=%d\r\nratelimit-policy: "default";q=%d;w=%d\r\n' % (
            limit - self._calls_in_window,
            round(self._window_left_s()),
            limit,
            round(WINDOW_S),
        )

    def _window_left_s(self) -> float:
        return self._window_began_s + WINDOW_S - monotonic() if self._window_began_s else 0.0

    def _result(self, call: _Call, parts: list[str]) -> tuple[object, dict[str, int] | None]:
        """`result` and, for lists, `result_info`. Raises ApiError."""
        query, body = call.query, call.request.body
        match call.method, parts:
            case "GET", ["ai", "models", "search"]:
                found = search(_text(query, "search"), _text(query, "task"), _text(query, "author"))
                number, size = _page(query)
                rows = found[(number - 1) * size : number * size]
                return rows, _info(number, size, len(rows), len(found))
            case "GET", ["ai-gateway", "gateways"]:
                number, size = _page(query)
                shown, total = self.gateways.page(number, size, _text(query, "search"))
                return shown, _info(number, size, len(shown), total)
            case "POST", ["ai-gateway", "gateways"]:
                return self.gateways.create(_json(body)), None
            case "GET", ["ai-gateway", "gateways", gateway_id]:
                return self.gateways.get(gateway_id), None
            case "PUT", ["ai-gateway", "gateways", gateway_id]:
                return self.gateways.replace(gateway_id, _json(body)), None
            case "DELETE", ["ai-gateway", "gateways", gateway_id]:
                return self.gateways.delete(gateway_id), None
        raise _no_route("/".join(parts))


def _no_route(path: str) -> ApiError:
    return ApiError(404, 7003, f"Could not route to {path}, perhaps your object identifier is invalid?")


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ApiError(400, 7001, "Input Validation Error", ["body"]) from None


def _text(query: str, name: str) -> str:
    return parse_qs(query).get(name, [""])[-1]


def _page(query: str) -> tuple[int, int]:
    """Number from 1 and size of a page. Raises ApiError."""
    values = []
    for name, default in (("page", 1), ("per_page", _PAGE_SIZE)):
        given = _text(query, name) or str(default)
        number = int(given[:9]) if given.isascii() and given.isdigit() else 0
        if number < 1 or (name == "per_page" and number > _MAX_PAGE_SIZE):
            raise ApiError(400, 7001, "Input Validation Error", ["query", name])
        values.append(number)
    return values[0], values[1]


def _info(number: int, size: int, count: int, total: int) -> dict[str, int]:
    return {"page": number, "per_page": size, "count": count, "total_count": total}
