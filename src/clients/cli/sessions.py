"""`tollkeeper sessions`: where people are signed in."""

from typing import Annotated

import typer

from clients.cli import output
from clients.cli.commands import command, noun
from clients.cli.options import AnyCustomer, Id, Limit
from clients.cli.plain import plain
from clients.cli.session import Session, collect
from tollkeeper.v1 import sessions_pb2
from tollkeeper.v1.sessions_pb2_grpc import SessionsServiceStub

app = noun()

COLUMNS = {
    "session_id": "ID",
    "customer_slug": "CUSTOMER",
    "role": "ROLE",
    "create_time": "SINCE",
    "expire_time": "EXPIRES",
}

User = Annotated[str | None, typer.Option("--user", metavar="ID", help="Default: you.")]


@command(app, "list")
def list_(session: Session, customer: AnyCustomer = None, user: User = None, limit: Limit = None) -> None:
    """List your open sessions, or those of a user, the newest first."""
    stub = SessionsServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[sessions_pb2.Session], str]:
        request = sessions_pb2.ListSessionsRequest(
            customer_id=customer or "", user_id=user or "", page_size=page_size, page_token=page_token
        )
        answer = stub.ListSessions(request)
        return list(answer.sessions), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, limit)], COLUMNS)


@command(app, "revoke")
def revoke(session: Session, signed_in: Id, customer: AnyCustomer = None, user: User = None) -> None:
    """End one session at once."""
    request = sessions_pb2.RevokeSessionRequest(
        customer_id=customer or "", user_id=user or "", session_id=signed_in
    )
    output.record(session, plain(SessionsServiceStub(session.channel()).RevokeSession(request)))
