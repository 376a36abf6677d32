"""What is true of every call: errors, deadlines, identity, counts, health, the end."""

import asyncio
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from clients.control import ControlClient
from control.app import Control
from control.domain.identity import CallerKind, Identity
from control.domain.sealing import KeyRing
from control.interceptors.errors import CODES
from control.interceptors.identity import CACHED_S, MAX_CACHED, Authentication
from control.services.teams import TeamsService
from tests.control.contract import METHODS
from tests.control.harness import RunningControl, replica_settings, running_control
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.settings import SettingsError
from tollkeeper.v1.edge_pb2 import AuthorizeRequest
from tollkeeper.v1.teams_pb2 import GetTeamRequest, ListTeamsRequest, ListTeamsResponse


class ListTeams:
    """What ListTeams does for the length of a test, inside the real server."""

    async def behave(self) -> ListTeamsResponse:
        return ListTeamsResponse()


@pytest.fixture
def list_teams(monkeypatch: pytest.MonkeyPatch) -> ListTeams:
    """Comes before the server in a test's arguments."""
    replaced = ListTeams()

    async def handle(self: TeamsService, request: object, context: object) -> ListTeamsResponse:
        return await replaced.behave()

    monkeypatch.setattr(TeamsService, "ListTeams", handle)
    return replaced


def test_every_reason_has_a_status() -> None:
    """A reason added to the contract can't be forgotten here."""
    assert set(CODES) == set(Reason.values()) - {Reason.ERROR_REASON_UNSPECIFIED}


async def test_error_arrives_as_it_was_raised(list_teams: ListTeams, control: RunningControl) -> None:
    """Reason, message, metadata and retry delay survive the wire."""

    async def refuse() -> ListTeamsResponse:
        raise TollkeeperError(Reason.BUDGET_HELD, "Wait.", {"scope": "key"}, retry_after_s=1.5)

    list_teams.behave = refuse  # type: ignore[method-assign]
    cli = await control.cli()
    with pytest.raises(TollkeeperError) as refusal:
        await cli.teams.ListTeams(ListTeamsRequest())
    error = refusal.value
    assert (error.reason, error.message) == (Reason.BUDGET_HELD, "Wait.")
    assert (error.metadata, error.retry_after_s) == ({"scope": "key"}, 1.5)


async def test_unknown_failure_tells_nothing(list_teams: ListTeams, control: RunningControl) -> None:
    """The caller gets a fixed text with a request id; what happened is in the log under that id."""

    async def fail() -> ListTeamsResponse:
        raise RuntimeError("password=hunter2")

    list_teams.behave = fail  # type: ignore[method-assign]
    cli = await control.cli()
    with capture_logs() as logs, pytest.raises(TollkeeperError) as refusal:
        await cli.teams.ListTeams(ListTeamsRequest())
    assert refusal.value.reason == Reason.INTERNAL
    assert "hunter2" not in refusal.value.message
    [entry] = [log for log in logs if log["event"] == "call_failed"]
    assert entry["request_id"] == refusal.value.metadata["request_id"]
    assert str(entry["exc_info"]) == "password=hunter2"


async def test_database_away_is_unavailable(list_teams: ListTeams, control: RunningControl) -> None:
    """A lost database is told as such, and is worth another try."""

    async def lose() -> ListTeamsResponse:
        async with control.database.read():
            raise ConnectionRefusedError

    list_teams.behave = lose  # type: ignore[method-assign]
    cli = await control.cli()
    with pytest.raises(TollkeeperError) as refusal:
        await cli.teams.ListTeams(ListTeamsRequest())
    assert (refusal.value.reason, refusal.value.retry_after_s) == (Reason.UNAVAILABLE, 1.0)


async def test_call_without_deadline_gets_ours(
    list_teams: ListTeams, database_url: str, tmp_path: Path
) -> None:
    """A caller that waits for ever, or an hour, is answered all the same."""

    async def hang() -> ListTeamsResponse:
        await asyncio.sleep(60)
        return ListTeamsResponse()

    list_teams.behave = hang  # type: ignore[method-assign]
    async with running_control(database_url, tmp_path, request_timeout_s=0.2) as control:
        for timeout_s in (None, 3600):
            client = ControlClient(control.addresses, control.cli_secret, timeout_s=timeout_s)
            async with client, asyncio.timeout(10):
                with pytest.raises(TollkeeperError) as refusal:
                    await client.teams.ListTeams(ListTeamsRequest())
            assert refusal.value.reason == Reason.DEADLINE_EXCEEDED


async def test_callers_own_deadline_cancels_the_work(list_teams: ListTeams, control: RunningControl) -> None:
    """When the caller's time is over, nothing goes on working for it."""
    cancelled = asyncio.Event()

    async def hang() -> ListTeamsResponse:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ListTeamsResponse()

    list_teams.behave = hang  # type: ignore[method-assign]
    cli = await control.cli()
    with pytest.raises(TollkeeperError) as refusal:
        await cli.teams.ListTeams(ListTeamsRequest(), timeout=0.2)
    assert refusal.value.reason == Reason.DEADLINE_EXCEEDED
    await asyncio.wait_for(cancelled.wait(), 20)


@pytest.mark.parametrize(
    "authorization", ["Bearer nonsense", "Basic dXNlcjpwYXNz", "tkc_secret", "Bearer " + "x" * 600]
)
async def test_wrong_credentials_are_refused(control: RunningControl, authorization: str) -> None:
    """A credential that isn't ours never counts as no credential, not even where none is needed."""
    client = await control.client()
    for method in ("TeamsService/ListTeams", "SessionsService/CreateSession"):
        call: Any = client.channel.unary_unary(f"/tollkeeper.v1.{method}")
        with pytest.raises(TollkeeperError) as refusal:
            await call(b"", metadata=[("authorization", authorization)], timeout=5)
        assert refusal.value.reason == Reason.UNAUTHENTICATED


class Metadata:
    """As much of a call's context as the identity of its caller needs."""

    def __init__(self, secret: str) -> None:
        self._metadata = (("authorization", f"Bearer {secret}"),)

    def invocation_metadata(self) -> Any:
        return self._metadata


async def test_edges_are_remembered_for_seconds_and_sessions_never() -> None:
    """An edge's calls ask the database once in 5 s; a session's each time, so that signing out acts at
    once."""
    now_s, lookups = 0.0, 0
    kind = CallerKind.EDGE

    async def look_up(digest: bytes) -> Identity:
        nonlocal lookups
        lookups += 1
        return Identity(kind)

    async def call(secret: str) -> None:
        async def inner(request: object, context: object) -> Any:
            return None

        handler = authentication.unary("m", inner)
        await handler(None, Metadata(secret))  # type: ignore[arg-type]

    authentication = Authentication(look_up, clock=lambda: now_s)
    for _ in range(3):
        await call("edge")
    assert lookups == 1
    now_s += CACHED_S
    await call("edge")
    assert lookups == 2
    for number in range(MAX_CACHED):
        await call(str(number))
    lookups = 0
    await call("edge")
    assert lookups == 1, "the cache is bounded"
    kind, lookups = CallerKind.SESSION, 0
    for _ in range(3):
        await call("session")
    assert lookups == 3


async def test_calls_are_counted_by_method_and_status(control: RunningControl) -> None:
    """The numbers at /metrics, over all replicas, are those of the calls made."""
    cli, edge = await control.cli(), await control.edge()
    for _ in range(4):
        await cli.teams.ListTeams(ListTeamsRequest())
    for _ in range(2):
        with pytest.raises(TollkeeperError):
            await cli.teams.GetTeam(GetTeamRequest(team_id="none"))
    with pytest.raises(TollkeeperError):
        await edge.edge.Authorize(AuthorizeRequest(key_hash=b"0" * 32))

    def count(line: str) -> float:
        return sum(
            float(row.rpartition(" ")[2])
            for page in pages
            for row in page.splitlines()
            if row.startswith(f"tollkeeper_control_{line} ")
        )

    ports = [replica.metrics_port for replica in control.replicas]
    pages = [await asyncio.to_thread(_fetch, f"http://127.0.0.1:{port}/metrics") for port in ports]
    assert count('rpcs_total{code="OK",method="TeamsService/ListTeams"}') == 4
    assert count('rpcs_total{code="NOT_FOUND",method="TeamsService/GetTeam"}') == 2
    assert count('rpcs_total{code="UNAUTHENTICATED",method="EdgeService/Authorize"}') == 1
    assert count('rpc_seconds_count{method="TeamsService/ListTeams"}') == 4


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read(), "utf-8")


async def test_health_and_reflection_are_open(control: RunningControl) -> None:
    """Balancers and tools need no credential: every service is listed, and serving."""
    async with grpc.aio.insecure_channel(control.addresses[0]) as channel:
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        stream = reflection.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        listed = [
            service.name async for answer in stream for service in answer.list_services_response.service
        ]
        health: Any = health_pb2_grpc.HealthStub(channel)
        for name in ["", *(name for name in listed if name.startswith("tollkeeper."))]:
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, name
    services = {method.split("/")[1] for method in METHODS}
    assert {name for name in listed if name.startswith("tollkeeper.v1.")} == services


async def test_taken_port_is_one_clear_line(
    control: RunningControl, database_url: str, tmp_path: Path
) -> None:
    """A second server on the same address is refused, and names the setting."""
    port = int(control.addresses[0].rpartition(":")[2])
    second = Control(replica_settings(tmp_path, port=port), database_url, KeyRing([b"k" * 32]))
    with pytest.raises(SettingsError, match=r"TOLLKEEPER_CONTROL_PORT: .*another process") as refusal:
        async with second:
            pass
    assert len(refusal.value.problems) == 1


async def test_drain_finishes_what_is_under_way(
    list_teams: ListTeams, database_url: str, tmp_path: Path
) -> None:
    """A call that had begun is answered; streams end at once; a call that comes later is refused."""
    begun = asyncio.Event()

    async def be_slow() -> ListTeamsResponse:
        begun.set()
        await asyncio.sleep(0.3)
        return ListTeamsResponse(next_page_token="done")

    list_teams.behave = be_slow  # type: ignore[method-assign]
    async with running_control(database_url, tmp_path, replicas=1, drain_s=60.0) as control:
        cli, edge = await control.cli(), await control.edge()
        watch: Any = edge.channel.unary_stream("/tollkeeper.v1.EdgeService/Watch")
        request = b"\x0a\x2400000000-0000-7000-8000-0000000000ff"
        stream = watch(request)
        assert await asyncio.wait_for(anext(aiter(stream)), 20)
        under_way = asyncio.ensure_future(cli.teams.ListTeams(ListTeamsRequest()))
        await asyncio.wait_for(begun.wait(), 20)
        draining = asyncio.ensure_future(control.replicas[0].__aexit__(None, None, None))
        assert (await under_way).next_page_token == "done"
        await asyncio.wait_for(draining, 20)
        with pytest.raises(TollkeeperError) as refusal:
            await cli.teams.GetTeam(GetTeamRequest(team_id="none"), timeout=5)
        assert refusal.value.reason == Reason.UNAVAILABLE
