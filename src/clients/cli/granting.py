"""Options that say which customers may use what the platform owns."""

from typing import Annotated, Any

import typer

from clients.cli.failures import UsageProblem
from clients.cli.session import Session
from tollkeeper.v1.customers_pb2 import GetCustomerRequest
from tollkeeper.v1.customers_pb2_grpc import CustomersServiceStub

Grant = Annotated[
    list[str] | None,
    typer.Option(
        "--grant", metavar="CUSTOMER", help="Who may use it, by id or slug; repeatable. The platform's only."
    ),
]
GrantAll = Annotated[
    bool, typer.Option("--grant-all", help="Every customer may use it. The platform's only.")
]
GrantAllOr = Annotated[
    bool | None,
    typer.Option(
        "--grant-all/--no-grant-all", help="Whether every customer may use it. The platform's only."
    ),
]
GrantNone = Annotated[bool, typer.Option("--grant-none", help="No customer by name.")]


def granted_to(session: Session, customers: list[str] | None) -> list[str]:
    """The ids of customers that are named by id or slug."""
    stub = CustomersServiceStub(session.channel())
    return [stub.GetCustomer(GetCustomerRequest(customer_id=each)).customer_id for each in customers or ()]


def grants(session: Session, grant: list[str] | None, to_all: bool | None, none: bool) -> dict[str, Any]:
    """The fields of an update; those that nothing was said about are None. Raises UsageProblem."""
    if grant and none:
        raise UsageProblem("--grant and --grant-none exclude each other")
    named = granted_to(session, grant) if grant else [] if none else None
    return {"granted_to_all": to_all, "granted_customer_ids": named}
