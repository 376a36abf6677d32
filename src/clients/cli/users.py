"""`tollkeeper users`: people, with a role."""

from enum import StrEnum
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
    NewName,
    RequestRate,
    Suspended,
    TokenRate,
    secret,
)
from clients.cli.plain import plain
from clients.cli.session import Session, collect
from tollkeeper.v1.users_pb2 import (
    CreateUserRequest,
    DeleteUserRequest,
    GetUserRequest,
    ListUsersRequest,
    ResetPasswordRequest,
    Role,
    UpdateUserRequest,
    User,
)
from tollkeeper.v1.users_pb2_grpc import UsersServiceStub

app = noun()

COLUMNS = {"user_id": "ID", "email": "EMAIL", "name": "NAME", "role": "ROLE", "suspended": "SUSPENDED"}
PASSWORD_VARIABLE = "TOLLKEEPER_USER_PASSWORD"  # noqa: S105 - names a variable


class RoleName(StrEnum):
    """What a user may do; a later one may do all that an earlier one may."""

    MEMBER = "member"
    MANAGER = "manager"
    ADMIN = "admin"
    OWNER = "owner"
    OPERATOR = "operator"


ROLES = {
    RoleName.MEMBER: Role.ROLE_MEMBER,
    RoleName.MANAGER: Role.ROLE_MANAGER,
    RoleName.ADMIN: Role.ROLE_ADMIN,
    RoleName.OWNER: Role.ROLE_OWNER,
    RoleName.OPERATOR: Role.ROLE_OPERATOR,
}

RoleOption = Annotated[RoleName | None, typer.Option("--role", help="Default: member.")]
Team = Annotated[str | None, typer.Option("--team", metavar="ID", help="Who is in it.")]
Teams = Annotated[list[str] | None, typer.Option("--team", metavar="ID", help="Repeat for more.")]


@command(app, "create")
def create(
    session: Session,
    customer: Customer,
    email: Annotated[str, typer.Option("--email", show_default=False)],
    name: NewName = None,
    role: RoleOption = None,
    team: Teams = None,
    requests_per_minute: RequestRate = None,
    tokens_per_minute: TokenRate = None,
    max_concurrent_requests: ConcurrentRequests = None,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin", help=f"Read the password from standard input. Or {PASSWORD_VARIABLE}."
        ),
    ] = False,
) -> None:
    """Create a user; without a password it can't sign in."""
    user = User(
        customer_id=customer,
        email=email,
        name=name or "",
        role=ROLES[role or RoleName.MEMBER],
        team_ids=team or [],
        requests_per_minute=requests_per_minute or 0,
        tokens_per_minute=tokens_per_minute or 0,
        max_concurrent_requests=max_concurrent_requests or 0,
    )
    password = secret(password_stdin, PASSWORD_VARIABLE, "Password")
    request = CreateUserRequest(user=user, password=password or "")
    output.record(session, plain(UsersServiceStub(session.channel()).CreateUser(request)))


@command(app, "list")
def list_(session: Session, customer: Customer, team: Team = None, limit: Limit = None) -> None:
    """List the users of a customer, or of one of its teams."""
    stub = UsersServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[User], str]:
        request = ListUsersRequest(
            customer_id=customer, team_id=team or "", page_size=page_size, page_token=page_token
        )
        answer = stub.ListUsers(request)
        return list(answer.users), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, limit)], COLUMNS)


@command(app, "show")
def show(session: Session, user: Id, customer: Customer) -> None:
    """Show one user."""
    request = GetUserRequest(customer_id=customer, user_id=user)
    output.record(session, plain(UsersServiceStub(session.channel()).GetUser(request)))


@command(app, "update")
def update(
    session: Session,
    user: Id,
    customer: Customer,
    name: NewName = None,
    role: RoleOption = None,
    suspended: Suspended = None,
    team: Teams = None,
    no_teams: Annotated[bool, typer.Option("--no-teams", help="Take the user out of all teams.")] = False,
    requests_per_minute: RequestRate = None,
    tokens_per_minute: TokenRate = None,
    max_concurrent_requests: ConcurrentRequests = None,
) -> None:
    """Change a user; the teams given replace those it was in."""
    fields = changes(
        name=name,
        role=ROLES[role] if role else None,
        suspended=suspended,
        team_ids=[] if no_teams else team or None,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        max_concurrent_requests=max_concurrent_requests,
    )
    request = UpdateUserRequest(
        user=User(user_id=user, customer_id=customer, **fields), update_mask=FieldMask(paths=list(fields))
    )
    output.record(session, plain(UsersServiceStub(session.channel()).UpdateUser(request)))


@command(app, "suspend")
def suspend(session: Session, user: Id, customer: Customer) -> None:
    """Sign a user out and refuse its keys and tokens, at every edge within a second."""
    _set_suspended(session, user, customer, suspended=True)


@command(app, "resume")
def resume(session: Session, user: Id, customer: Customer) -> None:
    """Let a suspended user in again."""
    _set_suspended(session, user, customer, suspended=False)


def _set_suspended(session: Session, user: str, customer: str, suspended: bool) -> None:
    request = UpdateUserRequest(
        user=User(user_id=user, customer_id=customer, suspended=suspended),
        update_mask=FieldMask(paths=["suspended"]),
    )
    output.record(session, plain(UsersServiceStub(session.channel()).UpdateUser(request)))


@command(app, "reset-password")
def reset_password(
    session: Session,
    user: Id,
    customer: Customer,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin", help=f"Read the password from standard input. Or {PASSWORD_VARIABLE}."
        ),
    ] = False,
) -> None:
    """Give a user another password, or have one made and shown once; all its sessions end."""
    password = secret(password_stdin, PASSWORD_VARIABLE, "Password")
    request = ResetPasswordRequest(customer_id=customer, user_id=user, password=password or "")
    answer = UsersServiceStub(session.channel()).ResetPassword(request)
    output.record(session, {**plain(answer.user), "password": answer.password or None})


@command(app, "delete")
def delete(session: Session, user: Id, customer: Customer) -> None:
    """Delete a user: signed out everywhere; keys stay with their team, or with the customer."""
    request = DeleteUserRequest(customer_id=customer, user_id=user)
    output.record(session, plain(UsersServiceStub(session.channel()).DeleteUser(request)))
