"""Clients of all kinds, until they are stopped, and what became of their requests."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.soak.kinds import FAULTS, KINDS, LEAVES_BEFORE, LEAVES_WITHIN, Fault, Kind

REQUEST_TIMEOUT_S = 30.0
PAUSE_S = 0.05
# The last event of a response holds all of it.
ENDING_BYTES = 4096
# A limit reached; a vendor that fails; one that is left alone for a while; a key that isn't one.
LIMITS, FAILURES, RESTING, UNKNOWN = (
    frozenset(statuses) for statuses in ((429,), (400, 502, 504), (503,), (401,))
)
UNKNOWN_SECRET = "aig_" + "0" * 40


@dataclass
class Tally:
    """What the clients saw."""

    requests: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)

    def finding(self, text: str) -> None:
        """Something that must not happen; only the first ones are kept in full."""
        self.outcomes["unexpected"] += 1
        if len(self.unexpected) < 50:
            self.unexpected.append(text[:300])


@dataclass(frozen=True)
class Edge:
    """Where clients ask. `steady`: no worker of it is killed, so its connections hold."""

    url: str
    steady: bool


class Traffic:
    """So many clients at once over all edges, until `stop` is set."""

    def __init__(self, edges: list[Edge], large: list[str], small: list[str], seed: int) -> None:
        """`large` are secrets of keys whose budgets hold, `small` those of keys that will be spent."""
        self.tally = Tally()
        self.stop = asyncio.Event()
        self._edges = edges
        self._large, self._small = large, small
        self._random = random.Random(seed)

    async def run(self, client_count: int) -> None:
        """Each client keeps its connections, to one edge."""
        async with asyncio.TaskGroup() as group:
            for number in range(client_count):
                group.create_task(self._client(self._edges[number % len(self._edges)]))

    async def _client(self, edge: Edge) -> None:
        async with httpx.AsyncClient(base_url=edge.url, timeout=REQUEST_TIMEOUT_S) as client:
            while not self.stop.is_set():
                await self._one(client, edge)
                await asyncio.sleep(self._random.random() * PAUSE_S)

    async def _one(self, client: httpx.AsyncClient, edge: Edge) -> None:
        chance = self._random.random()
        kind = self._random.choice(KINDS)
        [fault] = self._random.choices(FAULTS, [each.weight for each in FAULTS])
        secret = self._random.choice(self._small if chance < 0.1 else self._large)
        if chance > 0.99:
            secret = UNKNOWN_SECRET
        asked = _Asked(kind, fault, secret, bool(kind.endings) and self._random.random() < 0.6)
        self.tally.requests += 1
        self.tally.by_kind[kind.name] += 1
        try:
            outcome = await self._ask(client, asked, edge)
        except httpx.TransportError as error:
            outcome = "broken"
            if edge.steady and fault.harmless:
                self.tally.finding(f"{asked}: {type(error).__name__} {error}")
        else:
            if outcome == "short" and edge.steady and fault.harmless:
                self.tally.finding(f"{asked}: the answer isn't whole")
        self.tally.outcomes[outcome] += 1

    async def _ask(self, client: httpx.AsyncClient, asked: "_Asked", edge: Edge) -> str:
        """What came of one request. Raises httpx.TransportError."""
        request = client.build_request("POST", **asked.request(), headers=asked.headers())
        manner = self._random.random()
        if manner < LEAVES_BEFORE:
            return await self._leave(client, request)
        answer = await client.send(request, stream=True)
        try:
            if answer.status_code != 200:
                return self._refused(asked, edge, answer.status_code, (await answer.aread()).decode())
            leaves = manner < LEAVES_BEFORE + LEAVES_WITHIN
            return await _received(answer, asked, leaves)
        finally:
            await answer.aclose()

    async def _leave(self, client: httpx.AsyncClient, request: httpx.Request) -> str:
        try:
            async with asyncio.timeout(self._random.random() * 0.1):
                await (await client.send(request, stream=True)).aclose()
        except TimeoutError:
            pass
        return "left"

    def _refused(self, asked: "_Asked", edge: Edge, status: int, text: str) -> str:
        # A worker that has just begun may not have its first grants yet.
        if status not in asked.refusals() | (set() if edge.steady else RESTING):
            self.tally.finding(f"{asked}: {status} {text}")
        return f"refused_{status}"


@dataclass(frozen=True)
class _Asked:
    """One request."""

    kind: Kind
    fault: Fault
    secret: str
    stream: bool

    def __str__(self) -> str:
        how = "streamed" if self.stream else "plain"
        return f"{self.kind.name} {how} [{self.fault.steering}]"

    def request(self) -> dict[str, object]:
        model = self.kind.model if self.fault.harmless else self.kind.faulty_model
        return self.kind.build(model, f"[[sim {self.fault.steering}]] go on", self.stream)

    def headers(self) -> dict[str, str]:
        return self.kind.headers(self.secret)

    def refusals(self) -> frozenset[int]:
        """Statuses that may come instead of an answer."""
        if self.secret == UNKNOWN_SECRET:
            return UNKNOWN
        return LIMITS if self.fault.harmless else LIMITS | FAILURES | RESTING


async def _received(answer: httpx.Response, asked: _Asked, leaves: bool) -> str:
    """Reads an answer to its end, or leaves after a first piece. Raises httpx.TransportError."""
    last = b""
    async for chunk in answer.aiter_raw():
        last = (last + chunk)[-ENDING_BYTES:]
        if leaves:
            return "left"
    endless = not asked.stream or "no_done" in asked.fault.steering
    return "answered" if endless or any(ending in last for ending in asked.kind.endings) else "short"
