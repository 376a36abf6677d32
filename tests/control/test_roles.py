"""Who may call what: the table is complete, and the server keeps to it."""

from typing import Any

import grpc
import pytest

from clients.control import ControlClient, error_of
from control.domain.identity import Role
from control.domain.roles import REQUIREMENTS, Access
from tests.control.contract import METHODS
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.teams_pb2 import ListTeamsRequest

# The lowest role that may call each method, as the product promises it (docs/security.md).
LOWEST_ROLES = {
    "CustomersService/CreateCustomer": Role.OPERATOR,
    "CustomersService/DeleteCustomer": Role.OPERATOR,
    "CustomersService/UpdateCustomer": Role.ADMIN,
    "CustomersService/GetCustomer": Role.MEMBER,
    "GatewaysService/ProvisionGateway": Role.OPERATOR,
    "GatewaysService/ListGateways": Role.OPERATOR,
    "ModelsService/GetCloudflareModels": Role.MEMBER,
    "UsersService/CreateUser": Role.ADMIN,
    "UsersService/ListUsers": Role.MANAGER,
    "TeamsService/CreateTeam": Role.ADMIN,
    "TeamsService/ListTeams": Role.MEMBER,
    "ProvidersService/CreateProvider": Role.ADMIN,
    "ProvidersService/ListProviders": Role.MANAGER,
    "RoutersService/DeleteRouter": Role.ADMIN,
    "KeysService/CreateKey": Role.MEMBER,
    "KeysService/RevokeKey": Role.MEMBER,
    "PricesService/DeletePrice": Role.ADMIN,
    "PricesService/ListPrices": Role.MEMBER,
    "BudgetsService/UpdateBudget": Role.MANAGER,
    "UsageService/ListUsage": Role.MEMBER,
}


UNARY = sorted(name for name, method in METHODS.items() if not method.server_streaming)


async def refusal_of(client: ControlClient, method: str) -> Reason | None:
    """The reason an empty request is refused with; None when it is answered."""
    call: Any = client.channel.unary_unary(method)
    try:
        await call(b"", timeout=10)
    except TollkeeperError as error:
        return error.reason
    return None


def test_every_method_declares_its_caller() -> None:
    """The table names the methods of the contract: all of them, and nothing else."""
    assert set(REQUIREMENTS) == set(METHODS)


async def test_lowest_role_is_let_in_and_the_one_below_is_not(control: RunningControl) -> None:
    """Each role of the hand-written list passes, the next lower one gets PERMISSION_DENIED."""
    customer = await control.customer("acme")
    people = {role: await control.person(customer.customer_id, role) for role in Role if role < Role.OPERATOR}
    for name, lowest in LOWEST_ROLES.items():
        method = f"/tollkeeper.v1.{name}"
        if lowest > Role.MEMBER:
            below = people[Role(lowest - 1)].client
            assert await refusal_of(below, method) == Reason.PERMISSION_DENIED, name
        if lowest in people:
            assert await refusal_of(people[lowest].client, method) != Reason.PERMISSION_DENIED, name


async def test_edges_and_people_are_kept_apart(control: RunningControl) -> None:
    """An edge may use EdgeService and nothing else; nobody else may use it, operators included."""
    edge, cli, anonymous = await control.edge(), await control.cli(), await control.client()
    for method in UNARY:
        access = REQUIREMENTS[method].access
        by_edge, by_nobody = await refusal_of(edge, method), await refusal_of(anonymous, method)
        if access is Access.EDGE:
            assert by_edge != Reason.PERMISSION_DENIED, method
            assert await refusal_of(cli, method) == Reason.PERMISSION_DENIED, method
        elif access is Access.ROLE:
            assert by_edge == Reason.PERMISSION_DENIED, method
        if access is Access.ANYONE:
            assert by_nobody == Reason.INVALID_ARGUMENT, method
        else:
            assert by_nobody == Reason.UNAUTHENTICATED, method


async def test_watch_is_for_edges_too(control: RunningControl) -> None:
    """A stream is refused like a call."""
    cli = await control.cli()
    watch: Any = cli.channel.unary_stream("/tollkeeper.v1.EdgeService/Watch")
    with pytest.raises(TollkeeperError) as refusal:
        await anext(aiter(watch(b"", timeout=5)))
    assert refusal.value.reason == Reason.PERMISSION_DENIED


async def test_undeclared_method_refuses_everybody(
    control: RunningControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method that somebody forgot to declare is closed, also to operators."""
    monkeypatch.setattr("control.interceptors.roles.REQUIREMENTS", {})
    cli = await control.cli()
    with pytest.raises(TollkeeperError) as refusal:
        await cli.teams.ListTeams(ListTeamsRequest())
    assert refusal.value.reason == Reason.PERMISSION_DENIED


async def test_unknown_method_is_unimplemented(control: RunningControl) -> None:
    """A client of a newer contract learns that this server is older."""
    async with grpc.aio.insecure_channel(control.addresses[0]) as channel:
        call: Any = channel.unary_unary("/tollkeeper.v1.TeamsService/Disband")
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(b"", timeout=5)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error_of(refusal.value).reason == Reason.ENDPOINT_NOT_SUPPORTED
