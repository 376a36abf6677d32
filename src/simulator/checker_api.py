"""The simulator's own endpoints under /_sim/: the bill, what was asked last, gates, faults, reset."""

from collections import deque
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

import orjson

from simulator.bill import Bill, BillGoneError
from simulator.faults import FaultError
from simulator.gates import GateLimitError, Gates
from simulator.http import Connection, Request
from simulator.management import ManagementApi

PAGE_DEFAULT = 1000
PAGE_LIMIT = 10_000


class Captures:
    """The last requests with their credentials, for tests to look at; bodies are cut to a size."""

    def __init__(self, requests: int, body_bytes: int) -> None:
        self._body_bytes = body_bytes
        self._last: deque[tuple[Request, int]] = deque(maxlen=requests)

    def add(self, request: Request) -> None:
        size = len(request.body)
        if size > self._body_bytes:
            request = replace(request, body=request.body[: self._body_bytes])
        self._last.append((request, size))

    def last(self, number: int) -> list[dict[str, object]]:
        """Up to `number` requests, oldest first; `body_bytes` is the size before the cut."""
        return [
            {
                "method": request.method.decode("latin-1"),
                "target": request.target.decode("latin-1"),
                "headers": [
                    [name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers
                ],
                "body": request.body.decode(errors="replace"),
                "body_bytes": size,
            }
            for request, size in list(self._last)[-number:]
        ]

    def clear(self) -> None:
        self._last.clear()


@dataclass(slots=True)
class CheckerApi:
    """Answers /_sim/ requests; nothing here is billed or captured."""

    bill: Bill
    gates: Gates
    captures: Captures
    management: ManagementApi

    def handle(self, request: Request, connection: Connection) -> None:
        path, _, query = request.target.decode("latin-1").partition("?")
        try:
            status, body, content_type = self._answer(request, path, query)
        except FaultError as error:
            status, body, content_type = 400, orjson.dumps({"error": str(error)}), b"application/json"
        except ValueError:
            status, body, content_type = (
                400,
                b'{"error":"after, limit and n are whole numbers"}',
                b"application/json",
            )
        except BillGoneError as error:
            status, body, content_type = 410, orjson.dumps({"error": str(error)}), b"application/json"
        except GateLimitError as error:
            status, body, content_type = 429, orjson.dumps({"error": str(error)}), b"application/json"
        connection.respond(status, body, b"", content_type)

    def _answer(self, request: Request, path: str, query: str) -> tuple[int, bytes, bytes]:
        method = request.method
        gate = path.removeprefix("/_sim/gates/").removesuffix("/open")
        if method == b"POST" and path == f"/_sim/gates/{gate}/open" and gate:
            self.gates.open(gate)
            return _json(self.gates.state())
        if method == b"POST" and path == "/_sim/reset":
            self.bill.reset()
            self.gates.reset()
            self.captures.clear()
            self.management.reset()
            return _json({})
        if method == b"POST" and path == "/_sim/management/faults":
            self.management.faults.add(request.body)
            return _json(self.management.state())
        if method == b"POST" and path == "/_sim/management/quota":
            self.management.gateways.quota = _number(query, "n", self.management.gateways.quota)
            return _json(self.management.state())
        if method == b"GET" and path == "/_sim/management":
            return _json(self.management.state())
        if method == b"GET" and path == "/_sim/bill":
            limit = min(_number(query, "limit", PAGE_DEFAULT), PAGE_LIMIT)
            return 200, self.bill.page(_number(query, "after", 0), limit), b"application/x-ndjson"
        if method == b"GET" and path == "/_sim/bill/summary":
            return _json(self.bill.summary())
        if method == b"GET" and path == "/_sim/requests/last":
            return _json(self.captures.last(max(1, _number(query, "n", 1))))
        if method == b"GET" and path == "/_sim/gates":
            return _json(self.gates.state())
        return 404, b'{"error":"no such endpoint; docs/simulator.md lists them"}', b"application/json"


def _json(value: object) -> tuple[int, bytes, bytes]:
    return 200, orjson.dumps(value), b"application/json"


def _number(query: str, name: str, default: int) -> int:
    """A query parameter as a whole number of at least 0. Raises ValueError."""
    values = parse_qs(query).get(name)
    if not values:
        return default
    if not (values[-1].isascii() and values[-1].isdigit()):
        raise ValueError(name)
    return int(values[-1])
