"""`tollkeeper usage`: what was used, and what it cost."""

from typing import Annotated

import typer

from clients.cli import output
from clients.cli.commands import command, noun
from clients.cli.options import Customer, Id, Limit
from clients.cli.plain import plain
from clients.cli.session import Session, collect
from tollkeeper.v1.usage_pb2 import GetUsageRequest, GetUsageSummaryRequest, ListUsageRequest, UsageEntry
from tollkeeper.v1.usage_pb2_grpc import UsageServiceStub

app = noun()

COLUMNS = {
    "usage_id": "ID",
    "begin_time": "TIME",
    "key_id": "KEY",
    "requested_model": "MODEL",
    "status": "STATUS",
    "state": "STATE",
    "input_tokens": "IN",
    "output_tokens": "OUT",
    "cost_usd": "COST",
}

KeyId = Annotated[str | None, typer.Option("--key", metavar="ID", help="Of one key only.")]


@command(app, "list")
def list_(session: Session, customer: Customer, key: KeyId = None, limit: Limit = None) -> None:
    """List requests, the newest first."""
    stub = UsageServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[UsageEntry], str]:
        request = ListUsageRequest(
            customer_id=customer, key_id=key or "", page_size=page_size, page_token=page_token
        )
        answer = stub.ListUsage(request)
        return list(answer.usage), answer.next_page_token

    rows = [plain(each) for each in collect(page, limit)]
    if not session.json:
        nothing = {"input_tokens": None, "output_tokens": None}
        rows = [{**row, **(row["usage"] or nothing)} for row in rows]
    output.listing(session, rows, COLUMNS)


@command(app, "show")
def show(session: Session, usage: Id, customer: Customer) -> None:
    """Show one request with its ledger entries."""
    request = GetUsageRequest(customer_id=customer, usage_id=usage)
    output.record(session, plain(UsageServiceStub(session.channel()).GetUsage(request)))


@command(app, "summary")
def summary(session: Session, customer: Customer, key: KeyId = None) -> None:
    """Sum up a customer or a key: in all, and over the last day."""
    request = GetUsageSummaryRequest(customer_id=customer, key_id=key or "")
    output.record(session, plain(UsageServiceStub(session.channel()).GetUsageSummary(request)))
