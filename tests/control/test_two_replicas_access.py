"""Two replicas over one database agree at once on who may come in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from clients.control import ControlClient
from control.domain.identity import Role
from tests.control.harness import OPERATOR_EMAIL, RunningControl, running_control
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.api_tokens_pb2 import ApiToken, CreateApiTokenRequest, RevokeApiTokenRequest
from tollkeeper.v1.sessions_pb2 import CreateSessionRequest, DeleteSessionRequest
from tollkeeper.v1.teams_pb2 import ListTeamsRequest


@pytest.fixture
async def two(database_url: str, tmp_path: Path) -> AsyncIterator[RunningControl]:
    """Two replicas, whatever the setting for the other tests is."""
    async with running_control(database_url, tmp_path, replicas=2) as running:
        yield running


async def refusals(two: RunningControl, secret: str) -> list["Reason | None"]:
    """What each replica says to a holder of the secret."""
    told: list[Reason | None] = []
    async with AsyncExitStack() as stack:
        for address in two.addresses:
            client = await stack.enter_async_context(ControlClient([address], secret))
            try:
                await client.teams.ListTeams(ListTeamsRequest())
            except TollkeeperError as error:
                told.append(error.reason)
            else:
                told.append(None)
    return told


async def test_what_ends_on_one_ends_on_both(two: RunningControl) -> None:
    """A token revoked and a session signed out through one replica are refused by the other's next call."""
    customer = await two.customer("acme")
    ann = await two.person(customer.customer_id, Role.ADMIN)
    async with ControlClient(two.addresses[:1], ann.secret) as first:
        request = CreateApiTokenRequest(api_token=ApiToken(name="t"))
        made = await first.api_tokens.CreateApiToken(request)
        assert await refusals(two, made.secret) == [None, None]
        revoke = RevokeApiTokenRequest(api_token_id=made.api_token.api_token_id)
        await first.api_tokens.RevokeApiToken(revoke)
        assert await refusals(two, made.secret) == [Reason.UNAUTHENTICATED] * 2
        assert await refusals(two, ann.secret) == [None, None]
        await first.sessions.DeleteSession(DeleteSessionRequest())
        assert await refusals(two, ann.secret) == [Reason.UNAUTHENTICATED] * 2


async def test_replicas_count_wrong_passwords_together(two: RunningControl) -> None:
    """Who asks the other replica gets no more attempts."""
    reasons = []
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(ControlClient([each])) for each in two.addresses]
        request = CreateSessionRequest(email=OPERATOR_EMAIL, password="not the password")
        for number in range(12):
            with pytest.raises(TollkeeperError) as refusal:
                await clients[number % 2].sessions.CreateSession(request)
            reasons.append(refusal.value.reason)
    assert reasons == [Reason.INVALID_CREDENTIALS] * 10 + [Reason.LOGIN_THROTTLED] * 2
