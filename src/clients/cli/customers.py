"""`tollkeeper customers`: tenants."""

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.options import (
    ConcurrentRequests,
    Force,
    Id,
    Limit,
    Models,
    Name,
    NewName,
    PeriodName,
    RequestRate,
    Suspended,
    TokenRate,
    initial_budget,
)
from clients.cli.plain import plain
from clients.cli.session import Session, collect
from tollkeeper.v1.customers_pb2 import (
    CreateCustomerRequest,
    Customer,
    DeleteCustomerRequest,
    GetCustomerRequest,
    ListCustomersRequest,
    RegisterCustomerRequest,
    UpdateCustomerRequest,
)
from tollkeeper.v1.customers_pb2_grpc import CustomersServiceStub

app = noun()

COLUMNS = {"customer_id": "ID", "slug": "SLUG", "name": "NAME", "plan": "PLAN", "suspended": "SUSPENDED"}

Email = Annotated[str | None, typer.Option("--email", help="Where bills and notices go.")]
Plan = Annotated[str | None, typer.Option("--plan", help="Default: free.")]
TimeZone = Annotated[str | None, typer.Option("--time-zone", help="IANA name; budgets follow it.")]
OutputLimit = Annotated[
    int | None, typer.Option("--default-output-limit", min=0, help="Model tokens; 0: none.")
]


@command(app, "create")
def create(
    session: Session,
    name: Name,
    slug: Annotated[str | None, typer.Option("--slug", help="For commands; made from the name.")] = None,
    email: Email = None,
    plan: Plan = None,
    template: Annotated[
        str | None, typer.Option("--template", metavar="ID", help="Its id or name: fills in what isn't said.")
    ] = None,
    time_zone: TimeZone = None,
    budget_usd: Annotated[
        str | None, typer.Option("--budget-usd", metavar="USD", help="Default: 1.00.")
    ] = None,
    budget_reset: Annotated[PeriodName | None, typer.Option("--budget-reset")] = None,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="No budget.")] = False,
    default_output_limit: OutputLimit = None,
    allow_model: Models = None,
    requests_per_minute: RequestRate = None,
    tokens_per_minute: TokenRate = None,
    max_concurrent_requests: ConcurrentRequests = None,
) -> None:
    """Create a customer; unless told otherwise it may spend $1.00 in all."""
    customer = Customer(
        name=name,
        slug=slug or "",
        email=email or "",
        plan=plan or "",
        time_zone=time_zone or "",
        default_output_limit=default_output_limit or 0,
        allowed_models=allow_model or [],
        requests_per_minute=requests_per_minute or 0,
        tokens_per_minute=tokens_per_minute or 0,
        max_concurrent_requests=max_concurrent_requests or 0,
    )
    request = CreateCustomerRequest(
        customer=customer,
        budget=initial_budget(budget_usd, budget_reset, unlimited),
        template=template or "",
    )
    output.record(session, plain(CustomersServiceStub(session.channel()).CreateCustomer(request)))


@command(app, "register")
def register(
    session: Session,
    name: Name,
    email: Annotated[str, typer.Option("--email", help="Of the customer and its owner.", show_default=False)],
) -> None:
    """Register a customer with an owner; waits a moment for its Cloudflare gateway."""
    request = RegisterCustomerRequest(name=name, email=email)
    output.record(session, plain(CustomersServiceStub(session.channel()).RegisterCustomer(request)))


@command(app, "list")
def list_(
    session: Session,
    limit: Limit = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Deleted ones too.")] = False,
    prefix: Annotated[str | None, typer.Option("--prefix", help="Of name, slug or email.")] = None,
    plan: Annotated[str | None, typer.Option("--plan")] = None,
    suspended: Annotated[bool | None, typer.Option("--suspended/--active", help="Else both.")] = None,
) -> None:
    """List the customers that you may see."""
    stub = CustomersServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[Customer], str]:
        request = ListCustomersRequest(
            page_size=page_size,
            page_token=page_token,
            show_deleted=deleted,
            prefix=prefix or "",
            plan=plan or "",
            suspended=suspended,
        )
        answer = stub.ListCustomers(request)
        return list(answer.customers), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, limit)], COLUMNS)


@command(app, "show")
def show(session: Session, customer: Id) -> None:
    """Show one customer, by id or slug."""
    request = GetCustomerRequest(customer_id=customer)
    output.record(session, plain(CustomersServiceStub(session.channel()).GetCustomer(request)))


@command(app, "update")
def update(
    session: Session,
    customer: Id,
    name: NewName = None,
    email: Email = None,
    plan: Plan = None,
    time_zone: TimeZone = None,
    suspended: Suspended = None,
    default_router: Annotated[str | None, typer.Option("--default-router", metavar="ID")] = None,
    default_output_limit: OutputLimit = None,
    allow_model: Models = None,
    all_models: Annotated[bool, typer.Option("--all-models", help="Allow every model.")] = False,
    requests_per_minute: RequestRate = None,
    tokens_per_minute: TokenRate = None,
    max_concurrent_requests: ConcurrentRequests = None,
    price_plan: Annotated[
        str | None, typer.Option("--price-plan", metavar="ID", help="Empty: the one for all.")
    ] = None,
) -> None:
    """Change a customer; suspending refuses all its requests at once."""
    fields = changes(
        name=name,
        email=email,
        plan=plan,
        time_zone=time_zone,
        suspended=suspended,
        default_router_id=default_router,
        default_output_limit=default_output_limit,
        allowed_models=[] if all_models else allow_model or None,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        max_concurrent_requests=max_concurrent_requests,
        price_plan_id=price_plan,
    )
    request = UpdateCustomerRequest(
        customer=Customer(customer_id=customer, **fields), update_mask=FieldMask(paths=list(fields))
    )
    output.record(session, plain(CustomersServiceStub(session.channel()).UpdateCustomer(request)))


@command(app, "suspend")
def suspend(session: Session, customer: Id) -> None:
    """Refuse all requests of a customer, at every edge within a second."""
    _set_suspended(session, customer, suspended=True)


@command(app, "resume")
def resume(session: Session, customer: Id) -> None:
    """Serve a suspended customer again."""
    _set_suspended(session, customer, suspended=False)


def _set_suspended(session: Session, customer: str, suspended: bool) -> None:
    request = UpdateCustomerRequest(
        customer=Customer(customer_id=customer, suspended=suspended),
        update_mask=FieldMask(paths=["suspended"]),
    )
    output.record(session, plain(CustomersServiceStub(session.channel()).UpdateCustomer(request)))


@command(app, "delete")
def delete(session: Session, customer: Id, force: Force = False) -> None:
    """Delete a customer: its keys stop working at once, its ledger stays."""
    request = DeleteCustomerRequest(customer_id=customer, force=force)
    output.record(session, plain(CustomersServiceStub(session.channel()).DeleteCustomer(request)))
