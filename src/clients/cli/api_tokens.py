"""`tollkeeper api-tokens`: credentials for internal tools."""

from typing import Annotated

import typer

from clients.cli import output
from clients.cli.commands import command, noun
from clients.cli.options import Customer, Id, Limit, Name, time
from clients.cli.plain import plain
from clients.cli.session import Session, collect
from clients.cli.users import ROLES, RoleOption
from tollkeeper.v1.api_tokens_pb2 import (
    ApiToken,
    CreateApiTokenRequest,
    GetApiTokenRequest,
    ListApiTokensRequest,
    RevokeApiTokenRequest,
)
from tollkeeper.v1.api_tokens_pb2_grpc import ApiTokensServiceStub

app = noun()

COLUMNS = {
    "api_token_id": "ID",
    "name": "NAME",
    "prefix": "PREFIX",
    "role": "ROLE",
    "scopes": "SCOPES",
    "user_email": "OF",
    "expire_time": "EXPIRES",
    "last_use_time": "LAST USE",
}


@command(app, "create")
def create(
    session: Session,
    customer: Customer,
    name: Name,
    role: RoleOption = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", help="Such as keys:read or *:read. Repeat for more."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expire-time", metavar="TIME", help="RFC 3339; default: in 90 days.")
    ] = None,
) -> None:
    """Make a token; its secret is shown this once."""
    token = ApiToken(
        customer_id=customer,
        name=name,
        role=ROLES[role] if role else None,
        scopes=scope or [],
        expire_time=time(expires) if expires else None,
    )
    stub = ApiTokensServiceStub(session.channel())
    answer = stub.CreateApiToken(CreateApiTokenRequest(api_token=token))
    output.record(session, {**plain(answer.api_token), "secret": answer.secret})
    output.note(session, "\nKeep the secret now: it can't be shown again.")


@command(app, "list")
def list_(
    session: Session,
    customer: Customer,
    revoked: Annotated[bool, typer.Option("--revoked", help="Also those that have ended.")] = False,
    limit: Limit = None,
) -> None:
    """List tokens that work: all of the customer, or your own."""
    stub = ApiTokensServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[ApiToken], str]:
        answer = stub.ListApiTokens(
            ListApiTokensRequest(
                customer_id=customer, show_revoked=revoked, page_size=page_size, page_token=page_token
            )
        )
        return list(answer.api_tokens), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, limit)], COLUMNS)


@command(app, "show")
def show(session: Session, token: Id, customer: Customer) -> None:
    """Show one token."""
    request = GetApiTokenRequest(customer_id=customer, api_token_id=token)
    output.record(session, plain(ApiTokensServiceStub(session.channel()).GetApiToken(request)))


@command(app, "revoke")
def revoke(session: Session, token: Id, customer: Customer) -> None:
    """End a token at once, for good."""
    request = RevokeApiTokenRequest(customer_id=customer, api_token_id=token)
    output.record(session, plain(ApiTokensServiceStub(session.channel()).RevokeApiToken(request)))
