"""The clients of clients.control: deadlines, another try only where it is safe, several addresses."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from clients.calls import ATTEMPTS, is_repeatable
from clients.control import ControlClient, SyncControlClient
from clients.target import target_of
from tests.control.contract.methods import METHODS, SERVICES, request_of, short, snake
from tests.control.gateway import refused
from tests.control.harness import RunningControl, running_control
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.edge_pb2 import CountMissingModelsRequest, WatchRequest
from tollkeeper.v1.teams_pb2 import (
    CreateTeamRequest,
    DeleteTeamRequest,
    GetTeamRequest,
    ListTeamsRequest,
    Team,
    UpdateTeamRequest,
)

# What is sent again without a request id, beside reads: the ledger knows it by its ids.
REPEATABLE_WRITES = {
    "Authorize",
    "AcquireLease",
    "ReturnLease",
    "Settle",
    "CloseIncarnation",
    "FindKeptObjects",
    "ScanKeptObjects",
    "ShowKey",
}
Ask = Callable[[str, Any], Awaitable[Any]]


class Flaky:
    """A server whose first answers to each method are UNAVAILABLE."""

    def __init__(self, failures: int, code: grpc.StatusCode, delay_s: float) -> None:
        self.calls: Counter[str] = Counter()
        self.requests: list[bytes] = []
        self._failures, self._code, self._delay_s = failures, code, delay_s

    def service(self, details: Any) -> Any:
        """As gRPC asks a handler."""

        async def handle(request: bytes, context: Any) -> bytes:
            return await self._handle(short(details.method), request, context)

        return grpc.unary_unary_rpc_method_handler(handle)  # type: ignore[arg-type]

    async def _handle(self, name: str, request: bytes, context: Any) -> bytes:
        self.calls[name] += 1
        self.requests.append(request)
        await asyncio.sleep(self._delay_s)
        if self.calls[name] <= self._failures:
            await context.abort(self._code, "flaky")
        return b""


@asynccontextmanager
async def flaky(
    failures: int = 1, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, delay_s: float = 0
) -> AsyncIterator[tuple[Flaky, str]]:
    """Such a server, and its address."""
    server = grpc.aio.server()
    handler = Flaky(failures, code, delay_s)
    server.add_generic_rpc_handlers((handler,))  # type: ignore[arg-type]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield handler, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.fixture(params=["awaited", "blocking"])
def kind(request: pytest.FixtureRequest) -> str:
    """Every rule holds for both clients."""
    return str(request.param)


@asynccontextmanager
async def client(kind: str, *addresses: str, **settings: Any) -> AsyncIterator[Ask]:
    """`ask(method, request)` of either client."""
    if kind == "awaited":
        async with ControlClient(addresses, **settings) as awaited:
            yield lambda method, request: _stub(awaited, method)(request)
        return
    with SyncControlClient(addresses, **settings) as blocking:
        yield lambda method, request: asyncio.to_thread(_stub(blocking, method), request)


def _stub(client: Any, method: str) -> Any:
    service, _, name = method.partition("/")
    return getattr(getattr(client, service), name)


async def test_both_clients_know_every_service() -> None:
    """`teams` for TeamsService, in both, typed."""
    names = {snake(service.removesuffix("Service")) for service in SERVICES}
    async with ControlClient(["127.0.0.1:1"]) as awaited:
        with SyncControlClient(["127.0.0.1:1"]) as blocking:
            stubs = [vars(awaited), vars(blocking)]
    for made in stubs:
        assert {name for name, value in made.items() if type(value).__name__.endswith("Stub")} == names


def test_what_may_be_sent_again() -> None:
    """Reads, what carries a request id, and the ledger's own: over the whole contract, and nothing else."""
    for method, descriptor in METHODS.items():
        request: Any = request_of(method)
        reads = short(method).startswith(("Get", "List", "Query"))
        assert is_repeatable(method, request) == (reads or short(method) in REPEATABLE_WRITES), method
        if "request_id" in descriptor.input_type.fields_by_name:
            request.request_id = "x"
            assert is_repeatable(method, request), method


@pytest.mark.parametrize(
    ("method", "request_", "tries"),
    [
        ("teams/GetTeam", GetTeamRequest(team_id="t"), 2),
        ("teams/ListTeams", ListTeamsRequest(), 2),
        ("teams/CreateTeam", CreateTeamRequest(team=Team(name="t")), 2),
        ("teams/UpdateTeam", UpdateTeamRequest(team=Team(name="t")), 1),
        ("teams/DeleteTeam", DeleteTeamRequest(team_id="t"), 1),
        ("edge/CountMissingModels", CountMissingModelsRequest(), 1),
    ],
)
async def test_another_try_only_where_it_is_safe(kind: str, method: str, request_: Any, tries: int) -> None:
    """Reads, and creates, which get a request id for it; an update or delete may have happened."""
    async with flaky() as (server, address), client(kind, address) as ask:
        if tries > 1:
            await ask(method, request_)
        else:
            with refused(Reason.UNAVAILABLE):
                await ask(method, request_)
    assert server.calls[short(method)] == tries
    assert len(set(server.requests)) == 1, "the same request, with the same id"


async def test_a_create_sent_twice_by_the_caller_is_two(kind: str) -> None:
    """The client's request id is of one call: the caller's message stays as it was."""
    request = CreateTeamRequest(team=Team(name="t"))
    async with flaky(failures=0) as (server, address), client(kind, address) as ask:
        await ask("teams/CreateTeam", request)
        await ask("teams/CreateTeam", request)
    sent = [CreateTeamRequest.FromString(each).request_id for each in server.requests]
    assert len(set(sent)) == 2
    assert "" not in sent
    assert request == CreateTeamRequest(team=Team(name="t"))


async def test_it_gives_up(kind: str) -> None:
    """A few tries, then the refusal."""
    async with flaky(failures=100) as (server, address), client(kind, address) as ask:
        with refused(Reason.UNAVAILABLE):
            await ask("teams/GetTeam", GetTeamRequest())
    assert server.calls["GetTeam"] == ATTEMPTS


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.ABORTED, grpc.StatusCode.UNKNOWN])
async def test_other_failures_are_the_answer(kind: str, code: grpc.StatusCode) -> None:
    """Only a call that reached nobody is made again."""
    async with flaky(code=code) as (server, address), client(kind, address) as ask:
        with pytest.raises(TollkeeperError):
            await ask("teams/GetTeam", GetTeamRequest())
    assert server.calls["GetTeam"] == 1


async def test_the_deadline_is_of_all_tries(kind: str) -> None:
    """However many there are, the caller's time isn't exceeded."""
    async with (
        flaky(failures=100, delay_s=0.3) as (server, address),
        client(kind, address, timeout_s=0.5) as ask,
    ):
        begin_s = time.monotonic()
        with pytest.raises(TollkeeperError) as refusal:
            await ask("teams/GetTeam", GetTeamRequest())
        assert time.monotonic() - begin_s < 1.5
    assert refusal.value.reason in (Reason.DEADLINE_EXCEEDED, Reason.UNAVAILABLE)
    assert server.calls["GetTeam"] <= 2


async def test_a_dead_address_is_passed_by(control: RunningControl, kind: str) -> None:
    """One of several that nobody listens on: every call is answered by the others."""
    async with client(kind, "127.0.0.1:1", *control.addresses, credential=control.cli_secret) as ask:
        for _ in range(5):
            await ask("teams/ListTeams", ListTeamsRequest())


@asynccontextmanager
async def reserved(address: str, silent_s: float) -> AsyncIterator[str]:
    """The address of a way to a server that says nothing for a while to whoever connects."""
    pipes: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(silent_s)
        there = await asyncio.open_connection(*address.split(":"))
        for pair in ((reader, there[1]), (there[0], writer)):
            pipes.add(asyncio.create_task(copy(*pair)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for pipe in pipes:
            pipe.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)


async def test_a_busy_server_is_no_dead_one(kind: str) -> None:
    """One that greets late is waited for, also by calls that aren't sent again."""
    async with (
        flaky(failures=0) as (server, address),
        reserved(address, silent_s=0.7) as busy,
        client(kind, busy) as ask,
    ):
        await ask("teams/UpdateTeam", UpdateTeamRequest())
    assert server.calls["UpdateTeam"] == 1


async def test_the_next_call_goes_to_the_other_replica(database_url: str, tmp_path: Any) -> None:
    """One of two is stopped: calls that must not be repeated go on as well (for the blocking client see
    tests/e2e/test_clients.py: gRPC's two Python APIs don't end well within one process)."""
    async with running_control(database_url, tmp_path, replicas=2, drain_s=0.1) as control:
        customer = await control.customer("acme")
        async with client("awaited", *control.addresses, credential=control.cli_secret) as ask:
            create = CreateTeamRequest(team=Team(customer_id=customer.customer_id, name="t"))
            team = await ask("teams/CreateTeam", create)
            await control.replicas[0].__aexit__(None, None, None)
            for number in range(4):
                team.name = f"t{number}"
                team = await ask("teams/UpdateTeam", UpdateTeamRequest(team=team))
            assert team.name == "t3"


async def test_refusals_of_streams(control: RunningControl, kind: str) -> None:
    """Raised like those of calls."""
    request = WatchRequest(incarnation_id="none")
    if kind == "awaited":
        edge = await control.edge()
        with refused(Reason.INVALID_ARGUMENT):
            await anext(aiter(edge.edge.Watch(request)))
        return

    def watch() -> None:
        with SyncControlClient(control.addresses, control.edge_secret) as edge:
            next(iter(edge.edge.Watch(request)))

    with refused(Reason.INVALID_ARGUMENT):
        await asyncio.to_thread(watch)


def test_targets() -> None:
    """One address is gRPC's to resolve; several are numbers of one family, checked against the first name."""
    assert target_of(["control.example:50051"])[0] == "control.example:50051"
    target, options = target_of(["127.0.0.1:1", "10.0.0.1:2", "127.0.0.1:1"])
    assert target == "ipv4:127.0.0.1:1,10.0.0.1:2"
    assert dict(options)["grpc.default_authority"] == "127.0.0.1"
    target, options = target_of(["[::1]:1", "10.0.0.1:2"])
    assert target == "ipv6:[::1]:1,[::ffff:10.0.0.1]:2"
    assert dict(options)["grpc.default_authority"] == "[::1]"
    target, options = target_of(["127.0.0.1:1", "localhost:2"])
    assert "127.0.0.1:2" in target
    assert dict(options)["grpc.default_authority"] == "localhost"
    with refused(Reason.UNAVAILABLE):
        target_of(["a.invalid:1", "b.invalid:1"])


@pytest.mark.parametrize(
    "address", ["", "here", ":1", "here:", "here:http", "here:0", "here:70000", "here:-1"]
)
def test_what_is_no_address(address: str) -> None:
    """Said at once, not at the first call."""
    with pytest.raises(ValueError, match="host:port"):
        target_of([address])
    with pytest.raises(ValueError, match="host:port"):
        target_of([])


def test_a_credential_is_not_shown() -> None:
    """Neither by the client nor by what it is made of."""
    with SyncControlClient(["127.0.0.1:1"], "tkc_secret") as made:
        assert "tkc_secret" not in repr(vars(made))
