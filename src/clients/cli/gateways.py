"""`tollkeeper gateways`: customers' own gateways at Cloudflare."""

from enum import StrEnum
from typing import Annotated

import typer

from clients.cli import output
from clients.cli.commands import command, noun
from clients.cli.options import Limit
from clients.cli.plain import plain
from clients.cli.session import Session, collect
from tollkeeper.v1.gateways_pb2 import (
    Gateway,
    GetGatewayReconciliationRequest,
    GetGatewayRequest,
    ListGatewaysRequest,
    ProvisionGatewayRequest,
    ReleaseGatewayRequest,
)
from tollkeeper.v1.gateways_pb2_grpc import GatewaysServiceStub

app = noun()

COLUMNS = {
    "customer_slug": "CUSTOMER",
    "gateway_id": "GATEWAY",
    "state": "STATE",
    "tries": "TRIES",
    "next_try_time": "NEXT TRY",
    "error": "ERROR",
}

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="By id or slug.", show_default=False)]


class StateName(StrEnum):
    """How far a gateway is."""

    SHARED = "shared"
    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


@command(app, "provision")
def provision(session: Session, customer: Customer) -> None:
    """Have the customer's gateway made now, whatever came of earlier tries."""
    request = ProvisionGatewayRequest(customer_id=customer)
    output.record(session, plain(GatewaysServiceStub(session.channel()).ProvisionGateway(request)))


@command(app, "list")
def list_(
    session: Session,
    state: Annotated[StateName | None, typer.Option("--state", help="Only those.")] = None,
    limit: Limit = None,
) -> None:
    """List customers' gateways, with what went wrong."""
    stub = GatewaysServiceStub(session.channel())
    wanted = f"GATEWAY_STATE_{state.name if state else 'UNSPECIFIED'}"

    def page(page_size: int, page_token: str) -> tuple[list[Gateway], str]:
        request = ListGatewaysRequest(page_size=page_size, page_token=page_token, state=wanted)
        answer = stub.ListGateways(request)
        return list(answer.gateways), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, limit)], COLUMNS)


@command(app, "show")
def show(session: Session, customer: Customer) -> None:
    """Show one customer's gateway."""
    request = GetGatewayRequest(customer_id=customer)
    output.record(session, plain(GatewaysServiceStub(session.channel()).GetGateway(request)))


@command(app, "release")
def release(session: Session, customer: Customer) -> None:
    """Send the customer back to the shared gateway for good, and delete its own."""
    request = ReleaseGatewayRequest(customer_id=customer)
    output.record(session, plain(GatewaysServiceStub(session.channel()).ReleaseGateway(request)))


@command(app, "check")
def check(session: Session) -> None:
    """Hold what Cloudflare has against what is known here."""
    stub = GatewaysServiceStub(session.channel())
    found = plain(stub.GetGatewayReconciliation(GetGatewayReconciliationRequest()))
    if not session.json:
        found["missing"] = [gateway["customer_slug"] for gateway in found["missing"]]
    output.record(session, found)
