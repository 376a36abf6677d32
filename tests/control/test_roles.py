"""Who may call what: the table is complete, and the server keeps to it."""

import re
from pathlib import Path
from typing import Any

import grpc
import pytest

from clients.control import ControlClient, error_of
from control.domain.identity import Role
from control.domain.roles import REQUIREMENTS, SCOPES, Access, Requirement
from control.store.tables import PLATFORM_CUSTOMER_ID
from tests.control.contract import METHODS
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.api_tokens_pb2 import ApiToken, CreateApiTokenRequest
from tollkeeper.v1.teams_pb2 import ListTeamsRequest

SECURITY = Path(__file__).parents[2] / "docs" / "security.md"
# The session would be gone for the methods after it.
SIGNS_OUT = frozenset({"SessionsService/DeleteSession"})
UNARY = sorted(name for name, method in METHODS.items() if not method.server_streaming)


async def refusal_of(client: ControlClient, method: str) -> TollkeeperError | None:
    """What an empty request is refused with; None when it is answered."""
    call: Any = client.channel.unary_unary(method)
    if METHODS[method].server_streaming:
        call = client.channel.unary_stream(method)
    try:
        if METHODS[method].server_streaming:
            await anext(aiter(call(b"", timeout=10)), None)
        else:
            await call(b"", timeout=10)
    except TollkeeperError as error:
        return error
    return None


async def reason_of(client: ControlClient, method: str) -> Reason | None:
    """Its reason alone."""
    refusal = await refusal_of(client, method)
    return refusal.reason if refusal else None


def is_by_role(refusal: TollkeeperError | None) -> bool:
    """Whether the table of roles refused; what services refuse names no method."""
    return refusal is not None and refusal.reason == Reason.PERMISSION_DENIED and "method" in refusal.metadata


def documented() -> dict[str, list[str]]:
    """The cells of docs/security.md's table by method: a reach for each role, and the scope of API tokens."""
    rows = re.findall(r"^\| `(\w+Service/\w+)` \| (.*) \|$", SECURITY.read_text(), flags=re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def cells_of(requirement: Requirement) -> list[str]:
    """A method's row, as the page has to have it."""
    if requirement.access is not Access.ROLE:
        return [requirement.access.value] * len(Role) + ["–"]
    reaches = [requirement.reach_of(role) for role in Role]
    scope = f"`{requirement.scope}`" if requirement.scope else "any" if requirement.tokens else "no"
    return [reach.value if reach else "–" for reach in reaches] + [scope]


def test_every_method_declares_its_caller() -> None:
    """The table names the methods of the contract: all of them, and nothing else."""
    assert set(REQUIREMENTS) == set(METHODS)


def test_the_table_is_what_is_promised() -> None:
    """docs/security.md tells for each method how far each role gets, as the code has it."""
    promised = documented()
    expected = {name.rpartition(".")[2]: cells_of(each) for name, each in REQUIREMENTS.items()}
    missing = [
        f"| `{name}` | {' | '.join(cells)} |"
        for name, cells in expected.items()
        if promised.get(name) != cells
    ]
    assert not missing, "docs/security.md needs these lines:\n" + "\n".join(missing)
    assert set(promised) == set(expected)


async def test_every_method_for_every_role(control: RunningControl) -> None:
    """Each role is let in where the page promises it a reach, and refused by the table everywhere else."""
    customer = await control.customer("acme")
    people = [await control.person(customer.customer_id, role) for role in Role if role < Role.OPERATOR]
    people.append(await control.person(PLATFORM_CUSTOMER_ID, Role.OPERATOR))
    wrong = []
    for name, cells in documented().items():
        method = f"/tollkeeper.v1.{name}"
        if REQUIREMENTS[method].access is not Access.ROLE or name in SIGNS_OUT:
            continue
        for role, person, cell in zip(Role, people, cells, strict=False):
            refused = is_by_role(await refusal_of(person.client, method))
            if refused != (cell == "–"):
                wrong.append(f"{name} as {role.name}: {'refused' if refused else 'let in'}")
    assert not wrong, "\n".join(wrong)


async def test_scopes_of_api_tokens_hold_for_every_method(control: RunningControl) -> None:
    """A token with all scopes but a method's is refused there; with that one alone it is let in."""
    cli = await control.cli()

    async def token(scopes: list[str]) -> ControlClient:
        made = ApiToken(customer_id=PLATFORM_CUSTOMER_ID, name="t", role=int(Role.OPERATOR), scopes=scopes)
        answer = await cli.api_tokens.CreateApiToken(CreateApiTokenRequest(api_token=made))
        return await control.client(answer.secret)

    real = sorted(scope for scope in SCOPES if not scope.startswith("*"))
    wrong = []
    for scope in real:
        only = await token([scope])
        resource, _, action = scope.partition(":")
        covering = {f"{resource}:write", scope} if action == "read" else {scope}
        others = await token([each for each in real if each not in covering])
        for method, requirement in REQUIREMENTS.items():
            if requirement.scope == scope:
                let_in = not is_by_role(await refusal_of(only, method))
                if not let_in or not is_by_role(await refusal_of(others, method)):
                    wrong.append(f"{method} {scope}: {'too open' if let_in else 'closed'}")
    closed = [name for name, each in REQUIREMENTS.items() if each.access is Access.ROLE and not each.tokens]
    everything = await token([])
    wrong += [name for name in closed if not is_by_role(await refusal_of(everything, name))]
    assert not wrong, "\n".join(wrong)


async def test_edges_and_people_are_kept_apart(control: RunningControl) -> None:
    """An edge may use EdgeService and nothing else; nobody else may use it, operators included."""
    edge, cli, anonymous = await control.edge(), await control.cli(), await control.client()
    for method in UNARY:
        access = REQUIREMENTS[method].access
        by_edge, by_nobody = await reason_of(edge, method), await reason_of(anonymous, method)
        if access is Access.EDGE:
            assert by_edge != Reason.PERMISSION_DENIED, method
            assert await reason_of(cli, method) == Reason.PERMISSION_DENIED, method
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
