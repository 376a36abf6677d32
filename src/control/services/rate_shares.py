"""EdgeService.AcquireShares: one transaction over the meters of one customer (L4)."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from control.domain.models import MAX_MODEL_CHARS
from control.domain.rates import DRAW_FOR_LEAST_MS, DRAW_FOR_MOST_MS, Answer, Ask, Kind, lend
from control.store import rates as store
from control.store.database import Connection, Database
from control.store.rates import MeterKey
from tollkeeper.errors import Reason, TollkeeperError, invalid
from tollkeeper.ids import is_uuid
from tollkeeper.v1 import edge_pb2

MAX_ASKS = 256
MAX_WAITING = 10_000
# A worker reports by tenths of a second, of one share at a time; and what it takes back.
MAX_USES = 2_000
MAX_AMOUNT = 2**53
# Calls that wait, and those that are in the database.
MAX_WAITING_CALLS = 4096
CONCURRENCY = 4
_SCOPES = ("key", "user", "team", "customer")
_KINDS = (Kind.REQUESTS_PER_MINUTE, Kind.TOKENS_PER_MINUTE, Kind.CONCURRENT_REQUESTS)


class RateShares:
    """Lends for all customers, one call of a customer at a time: those that would wait for its rows wait
    here, and leave the database's connections to others."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns = asyncio.Semaphore(CONCURRENCY)
        self._customers: dict[str, asyncio.Lock] = {}
        self._waiting = 0

    async def acquire(self, request: edge_pb2.AcquireSharesRequest) -> edge_pb2.AcquireSharesResponse:
        """Answers every ask. Raises INVALID_ARGUMENT, UNAVAILABLE."""
        _check(request)
        async with self._turn(request.customer_id.lower()):
            return await _acquire(self._database, request)

    @asynccontextmanager
    async def _turn(self, customer_id: str) -> AsyncIterator[None]:
        if self._waiting >= MAX_WAITING_CALLS:
            raise TollkeeperError(Reason.UNAVAILABLE, "Too many asks for shares wait.", retry_after_s=1)
        lock = self._customers.setdefault(customer_id, asyncio.Lock())
        self._waiting += 1
        try:
            async with lock, self._turns:
                yield
        finally:
            self._waiting -= 1
            if not lock.locked() and self._customers.get(customer_id) is lock:
                del self._customers[customer_id]


async def _acquire(
    database: Database, request: edge_pb2.AcquireSharesRequest
) -> edge_pb2.AcquireSharesResponse:
    keys = [MeterKey(ask.scope_id.lower(), ask.model, ask.kind) for ask in request.asks]
    scopes = {(ask.scope, ask.scope_id.lower()) for ask in request.asks}
    if len(set(keys)) < len(keys):
        raise invalid("Two asks of one limit.", field="asks")

    async def work(connection: Connection) -> edge_pb2.AcquireSharesResponse:
        limits = await store.load_limits(connection, request.customer_id, scopes)
        limited = sorted(key for key in keys if key in limits)
        meters, now_ms = await store.lock_meters(connection, request.customer_id, limited)
        answers = []
        for key, ask in zip(keys, request.asks, strict=True):
            if key not in limits:
                answers.append(edge_pb2.ShareAnswer())
                continue
            draw_for_ms = random.randint(DRAW_FOR_LEAST_MS, DRAW_FOR_MOST_MS)
            asked = _ask(request.incarnation_id, ask)
            answers.append(_message(limits[key], lend(meters[key], limits[key], asked, now_ms, draw_for_ms)))
        await store.save_meters(connection, request.customer_id, meters)
        return edge_pb2.AcquireSharesResponse(answers=answers)

    return await database.write_again(work)


def _ask(incarnation_id: str, ask: edge_pb2.ShareAsk) -> Ask:
    return Ask(
        incarnation_id,
        ask.number,
        [(use.age_ms, use.amount) for use in ask.used],
        ask.in_flight,
        ask.kept,
        list(ask.waiting),
        ask.wanted,
    )


def _message(limit: int, answer: Answer) -> edge_pb2.ShareAnswer:
    message = edge_pb2.ShareAnswer(
        limit=limit, granted=answer.granted, exact=answer.exact, remaining=answer.remaining
    )
    message.draw_for.FromMilliseconds(answer.draw_for_ms)
    if answer.retry_after_ms is not None:
        message.retry_after.FromMilliseconds(answer.retry_after_ms)
    return message


def _check(request: edge_pb2.AcquireSharesRequest) -> None:
    for name in ("incarnation_id", "customer_id"):
        if not is_uuid(getattr(request, name)):
            raise invalid(f"{name} is not a UUID.", field=name)
    if len(request.asks) > MAX_ASKS:
        raise invalid(f"At most {MAX_ASKS} asks a call.", field="asks")
    for ask in request.asks:
        if ask.scope not in _SCOPES or not is_uuid(ask.scope_id):
            raise invalid("An ask names no scope.", field="asks")
        if ask.kind not in _KINDS or len(ask.model) > MAX_MODEL_CHARS or ask.number < 1:
            raise invalid("An ask is not understood.", field="asks")
        if len(ask.used) > MAX_USES or len(ask.waiting) > MAX_WAITING:
            raise invalid("An ask is too long.", field="asks")
        amounts: Sequence[int] = (ask.in_flight, ask.kept, ask.wanted, *ask.waiting)
        if not all(0 <= amount <= MAX_AMOUNT for amount in amounts):
            raise invalid("An amount is out of range.", field="asks")
        if any(use.age_ms < 0 or abs(use.amount) > MAX_AMOUNT for use in ask.used):
            raise invalid("A use is out of range.", field="asks")
