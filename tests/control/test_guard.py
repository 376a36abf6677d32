"""What no request may be, whatever its method: told as INVALID_ARGUMENT with the field, never INTERNAL."""

from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from clients.refusals import error_of
from control.interceptors.guard import MAX_DEPTH, MAX_ITEMS, MAX_REQUEST_BYTES, MAX_TEXT_CHARS, check_message
from tests.control.gateway import refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.budgets_pb2 import Budget, CreateBudgetRequest
from tollkeeper.v1.edge_pb2 import AcquireLeaseRequest
from tollkeeper.v1.keys_pb2 import CreateKeyRequest, Key
from tollkeeper.v1.prices_pb2 import Rates
from tollkeeper.v1.routers_pb2 import CreateRouterRequest, Router, RoutingRule
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, GetTeamRequest, Team


def odd_enum() -> Message:
    budget = Budget()
    budget.scope = 99  # type: ignore[assignment]
    return CreateBudgetRequest(budget=budget)


def deep_rates() -> Message:
    rates = Rates()
    inner = rates
    for _ in range(MAX_DEPTH):
        inner = inner.steps.add().rates
        inner.input = 1
    return rates


REFUSED: dict[str, tuple[Message, str]] = {
    "a NUL": (CreateTeamRequest(team=Team(name="a\0b")), "team.name"),
    "a NUL in a list": (CreateKeyRequest(key=Key(allowed_models=["a", "\0"])), "key.allowed_models[1]"),
    "a NUL in a rule": (
        CreateRouterRequest(router=Router(rules=[RoutingRule(), RoutingRule(condition="\0")])),
        "router.rules[1].condition",
    ),
    "a NUL in a request id": (CreateTeamRequest(request_id="\0"), "request_id"),
    "a text too long": (CreateTeamRequest(team=Team(name="x" * (MAX_TEXT_CHARS + 1))), "team.name"),
    "too many items": (
        CreateKeyRequest(key=Key(allowed_models=["a"] * (MAX_ITEMS + 1))),
        "key.allowed_models",
    ),
    "too many numbers": (AcquireLeaseRequest(holds_nanousd=[1] * 10_001), "holds_nanousd"),
    "an unknown enum value": (odd_enum(), "budget.scope"),
    "before the calendar": (
        CreateKeyRequest(key=Key(expire_time=Timestamp(seconds=-62_135_596_801))),
        "key.expire_time",
    ),
    "after the calendar": (
        CreateKeyRequest(key=Key(expire_time=Timestamp(seconds=253_402_300_800))),
        "key.expire_time",
    ),
    "nanoseconds too many": (
        CreateKeyRequest(key=Key(expire_time=Timestamp(nanos=1_000_000_000))),
        "key.expire_time",
    ),
    "a duration too long": (AcquireLeaseRequest(wait=Duration(seconds=10**12)), "wait"),
    "a duration of two minds": (AcquireLeaseRequest(wait=Duration(seconds=1, nanos=-1)), "wait"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_types_forbid(name: str) -> None:
    """The field is named, in the text and for programs."""
    message, field = REFUSED[name]
    with refused(Reason.INVALID_ARGUMENT) as refusal:
        check_message(message)
    assert refusal.metadata["field"] == field
    assert refusal.error is not None
    assert refusal.error.message.startswith(field)


def test_nesting_without_end() -> None:
    """A message can hold itself; this one does too often."""
    with refused(Reason.INVALID_ARGUMENT):
        check_message(deep_rates())


def test_what_types_allow() -> None:
    """The last second of the calendar, every character but NUL, lists up to the limit."""
    last = Timestamp(seconds=253_402_300_799, nanos=999_999_999)
    check_message(CreateKeyRequest(key=Key(name="\1\u2028😀", expire_time=last)))
    check_message(CreateKeyRequest(key=Key(allowed_models=["m"] * MAX_ITEMS)))
    check_message(AcquireLeaseRequest(holds_nanousd=[1] * 10_000, wait=Duration(seconds=-1, nanos=-1)))
    check_message(CreateTeamRequest())


async def test_the_guard_is_in_the_server(control: RunningControl) -> None:
    """What it refuses arrives like every other refusal."""
    cli = await control.cli()
    with refused(Reason.INVALID_ARGUMENT) as refusal:
        await cli.teams.GetTeam(GetTeamRequest(customer_id="a\0", team_id="t"))
    assert refusal.metadata["field"] == "customer_id"


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x02\xff\xfe", b"\x0a\x7f"], ids=["tag", "utf-8", "cut"])
async def test_bytes_that_are_no_message(control: RunningControl, data: bytes) -> None:
    """gRPC alone would call it INTERNAL."""
    cli = await control.cli()
    call: Any = cli.channel.unary_unary("/tollkeeper.v1.TeamsService/GetTeam")
    with refused(Reason.INVALID_ARGUMENT):
        await call(data)


async def test_bytes_that_are_no_message_of_a_stream(control: RunningControl) -> None:
    """The same for streams."""
    edge = await control.edge()
    call: Any = edge.channel.unary_stream("/tollkeeper.v1.EdgeService/Watch")
    with refused(Reason.INVALID_ARGUMENT):
        await anext(aiter(call(b"\xff", timeout=5)))


async def test_a_request_too_large(control: RunningControl) -> None:
    """Up to twice the limit it is told with a reason; beyond it gRPC itself refuses."""
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(control.addresses[0], options=options) as channel:
        call: Any = channel.unary_unary("/tollkeeper.v1.TeamsService/GetTeam")
        reasons = []
        for size in (MAX_REQUEST_BYTES + 1, 2 * MAX_REQUEST_BYTES + 1):
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await call(
                    b"\0" * size, timeout=10, metadata=[("authorization", f"Bearer {control.cli_secret}")]
                )
            reasons.append((refusal.value.code(), error_of(refusal.value).reason_name))
    status = grpc.StatusCode
    assert reasons == [
        (status.OUT_OF_RANGE, "REQUEST_TOO_LARGE"),
        (status.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE"),
    ]


async def test_metadata_too_large(control: RunningControl) -> None:
    """Refused before it is kept anywhere."""
    client = await control.cli()
    call: Any = client.channel.unary_unary("/tollkeeper.v1.TeamsService/GetTeam")
    with pytest.raises(TollkeeperError) as refusal:
        await call(b"", metadata=[("x-much", "x" * 40_000)])
    assert refusal.value.reason == Reason.REQUEST_TOO_LARGE
