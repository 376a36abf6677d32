"""Odd messages to every method: each is answered or refused with a reason, and none is our failure."""

import asyncio
import os
import re
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from structlog.testing import capture_logs

from clients.refusals import error_of
from control.domain.roles import REQUIREMENTS, Access
from tests.control.contract.methods import METHODS, SERVICES, methods_of, short
from tests.control.contract.odd import requests
from tests.control.contract.world import World, make_world
from tests.control.harness import RunningControl
from tollkeeper.errors import ERROR_DOMAIN, Reason

EXAMPLES = 25
SLOW_EXAMPLES = 1000
CALL_TIMEOUT_S = 20.0
# What no message may end with, and what would hide a failure behind another name.
_FAILURES = {Reason.INTERNAL, Reason.DEADLINE_EXCEEDED}
_DATABASE_GONE = "The database can't be reached."


@pytest.mark.parametrize("service", SERVICES)
async def test_no_message_is_our_failure(control: RunningControl, service: str) -> None:
    """A few odd messages to each method of a service."""
    await _fuzz(control, service, EXAMPLES)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("service", SERVICES)
async def test_no_message_of_many_is_our_failure(control: RunningControl, service: str) -> None:
    """The same for longer, with other messages each time."""
    await _fuzz(
        control, service, int(os.environ.get("TOLLKEEPER_TEST_FUZZ", SLOW_EXAMPLES)), derandomize=False
    )


def test_every_method_is_fuzzed() -> None:
    """The services of the test are all of the contract, and the fuzz knows their kinds of methods."""
    assert sorted(METHODS) == sorted(name for service in SERVICES for name in methods_of(service))
    assert not [name for name, method in METHODS.items() if method.client_streaming]


async def _fuzz(control: RunningControl, service: str, examples: int, derandomize: bool = True) -> None:
    world = await make_world(control, "acme")
    with capture_logs() as logs:
        for method in sorted(methods_of(service), key=_ends_something):
            failures = await asyncio.to_thread(_fuzz_method, control, world, method, examples, derandomize)
            told = [repr(log.get("exc_info")) for log in logs if log["event"] == "call_failed"]
            assert not failures, f"{failures[0]} {told[-1:]}"
            assert not told


def _ends_something(method: str) -> bool:
    """Last, while there is something left to change."""
    return not short(method).startswith(("Create", "Get", "List", "Update"))


def _fuzz_method(
    control: RunningControl, world: World, method: str, examples: int, derandomize: bool
) -> list[str]:
    """What went wrong, the smallest first. Blocks: the server runs in the loop of the test."""
    secret = control.edge_secret if REQUIREMENTS[method].access is Access.EDGE else control.cli_secret
    failures: list[str] = []
    base = world.request(method)
    with grpc.insecure_channel(
        control.addresses[0], options=[("grpc.max_send_message_length", -1)]
    ) as channel:
        call = _call(channel, method, secret)

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=derandomize,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(requests(base, method, sorted({*world.ids.values(), world.slug})))
        def send(request: Message) -> None:
            if (problem := call(request)) is not None:
                failures.append(f"{short(method)}: {problem}\n{_shown(request)}")

        send()
    return sorted(failures, key=len)


def _shown(request: Message) -> str:
    return re.sub(r"(.)\1{50,}", r"\1...\1", str(request))[:3000]


def _call(channel: grpc.Channel, method: str, secret: str) -> Callable[[Message], str | None]:
    streaming = METHODS[method].server_streaming
    kind: Any = channel.unary_stream if streaming else channel.unary_unary
    send = kind(method)
    metadata = [("authorization", f"Bearer {secret}")]

    def call(request: Message) -> str | None:
        try:
            answer = send(request.SerializeToString(), timeout=CALL_TIMEOUT_S, metadata=metadata)
            if streaming:
                next(answer, None)
                answer.cancel()
        except grpc.RpcError as error:
            return _problem(error)
        return None

    return call


def _problem(error: Any) -> str | None:
    told = error_of(error)
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    if told.reason in _FAILURES or told.message == _DATABASE_GONE:
        return f"{told.reason_name} {told.message}"
    if ERROR_DOMAIN.encode() not in details:
        return f"{error.code().name} without ErrorInfo: {error.details()}"
    return None
