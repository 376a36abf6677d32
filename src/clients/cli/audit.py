"""`tollkeeper audit`: who changed what, and when."""

from typing import Annotated

import typer

from clients.cli import output
from clients.cli.commands import command, noun
from clients.cli.options import AnyCustomer, Customer, Id, Limit, time
from clients.cli.plain import plain
from clients.cli.session import Session, collect
from tollkeeper.v1.audit_pb2 import AuditEntry, GetAuditEntryRequest, ListAuditEntriesRequest
from tollkeeper.v1.audit_pb2_grpc import AuditServiceStub

app = noun()

COLUMNS = {
    "create_time": "TIME",
    "actor_email": "BY",
    "actor_kind": "AS",
    "method": "METHOD",
    "resource_type": "TYPE",
    "resource_id": "ID",
    "resource_name": "NAME",
    "changed_fields": "CHANGED",
}


@command(app, "list")
def list_(
    session: Session,
    customer: AnyCustomer = None,
    actor: Annotated[str | None, typer.Option("--actor", help="A user's id or email.")] = None,
    resource_type: Annotated[str | None, typer.Option("--type", help="Such as key or provider.")] = None,
    resource: Annotated[str | None, typer.Option("--id", metavar="ID", help="Of what was changed.")] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="Such as KeysService/CreateKey, or KeysService.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="RFC 3339.")] = None,
    limit: Limit = 100,
) -> None:
    """List changes, the newest first; of all customers, where an operator names none."""
    request = ListAuditEntriesRequest(
        customer_id=customer or "",
        actor=actor or "",
        resource_type=resource_type or "",
        resource_id=resource or "",
        method=method or "",
        start_time=time(since) if since else None,
        end_time=time(until) if until else None,
    )
    stub = AuditServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[AuditEntry], str]:
        request.page_size, request.page_token = page_size, page_token
        answer = stub.ListAuditEntries(request)
        return list(answer.audit_entries), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, limit)], COLUMNS)


@command(app, "show")
def show(session: Session, entry: Id, customer: Customer) -> None:
    """Show one change with the resource before and after it."""
    request = GetAuditEntryRequest(customer_id=customer, audit_entry_id=entry)
    output.record(session, plain(AuditServiceStub(session.channel()).GetAuditEntry(request)))
