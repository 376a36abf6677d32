"""`tollkeeper teams`: users and keys that belong together."""

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.options import (
    ConcurrentRequests,
    Customer,
    Id,
    Limit,
    Name,
    NewName,
    RequestRate,
    Suspended,
    TokenRate,
)
from clients.cli.plain import plain
from clients.cli.session import Session, collect
from tollkeeper.v1.teams_pb2 import (
    AddTeamMemberRequest,
    CreateTeamRequest,
    DeleteTeamRequest,
    GetTeamRequest,
    ListTeamsRequest,
    RemoveTeamMemberRequest,
    Team,
    UpdateTeamRequest,
)
from tollkeeper.v1.teams_pb2_grpc import TeamsServiceStub

app = noun()

Member = Annotated[str, typer.Option("--user", metavar="ID", show_default=False)]

COLUMNS = {"team_id": "ID", "name": "NAME", "suspended": "SUSPENDED"}


@command(app, "create")
def create(
    session: Session,
    customer: Customer,
    name: Name,
    requests_per_minute: RequestRate = None,
    tokens_per_minute: TokenRate = None,
    max_concurrent_requests: ConcurrentRequests = None,
) -> None:
    """Create a team."""
    team = Team(
        customer_id=customer,
        name=name,
        requests_per_minute=requests_per_minute or 0,
        tokens_per_minute=tokens_per_minute or 0,
        max_concurrent_requests=max_concurrent_requests or 0,
    )
    request = CreateTeamRequest(team=team)
    output.record(session, plain(TeamsServiceStub(session.channel()).CreateTeam(request)))


@command(app, "list")
def list_(session: Session, customer: Customer, limit: Limit = None) -> None:
    """List the teams of a customer."""
    stub = TeamsServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[Team], str]:
        request = ListTeamsRequest(customer_id=customer, page_size=page_size, page_token=page_token)
        answer = stub.ListTeams(request)
        return list(answer.teams), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, limit)], COLUMNS)


@command(app, "show")
def show(session: Session, team: Id, customer: Customer) -> None:
    """Show one team."""
    request = GetTeamRequest(customer_id=customer, team_id=team)
    output.record(session, plain(TeamsServiceStub(session.channel()).GetTeam(request)))


@command(app, "update")
def update(
    session: Session,
    team: Id,
    customer: Customer,
    name: NewName = None,
    suspended: Suspended = None,
    requests_per_minute: RequestRate = None,
    tokens_per_minute: TokenRate = None,
    max_concurrent_requests: ConcurrentRequests = None,
) -> None:
    """Change a team."""
    fields = changes(
        name=name,
        suspended=suspended,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        max_concurrent_requests=max_concurrent_requests,
    )
    request = UpdateTeamRequest(
        team=Team(team_id=team, customer_id=customer, **fields), update_mask=FieldMask(paths=list(fields))
    )
    output.record(session, plain(TeamsServiceStub(session.channel()).UpdateTeam(request)))


@command(app, "suspend")
def suspend(session: Session, team: Id, customer: Customer) -> None:
    """Refuse the keys of a team, at every edge within a second."""
    _set_suspended(session, team, customer, suspended=True)


@command(app, "resume")
def resume(session: Session, team: Id, customer: Customer) -> None:
    """Serve the keys of a suspended team again."""
    _set_suspended(session, team, customer, suspended=False)


def _set_suspended(session: Session, team: str, customer: str, suspended: bool) -> None:
    request = UpdateTeamRequest(
        team=Team(team_id=team, customer_id=customer, suspended=suspended),
        update_mask=FieldMask(paths=["suspended"]),
    )
    output.record(session, plain(TeamsServiceStub(session.channel()).UpdateTeam(request)))


@command(app, "add-member")
def add_member(session: Session, team: Id, customer: Customer, user: Member) -> None:
    """Put a user into a team; `users list --team ID` shows who is in it."""
    request = AddTeamMemberRequest(customer_id=customer, team_id=team, user_id=user)
    output.record(session, plain(TeamsServiceStub(session.channel()).AddTeamMember(request)))


@command(app, "remove-member")
def remove_member(session: Session, team: Id, customer: Customer, user: Member) -> None:
    """Take a user out of a team."""
    request = RemoveTeamMemberRequest(customer_id=customer, team_id=team, user_id=user)
    output.record(session, plain(TeamsServiceStub(session.channel()).RemoveTeamMember(request)))


@command(app, "delete")
def delete(session: Session, team: Id, customer: Customer) -> None:
    """Delete a team; its keys stay with their users, or with the customer."""
    request = DeleteTeamRequest(customer_id=customer, team_id=team)
    output.record(session, plain(TeamsServiceStub(session.channel()).DeleteTeam(request)))
