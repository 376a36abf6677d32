"""`tollkeeper budgets`: limits on what a customer, team, user or key may spend."""

from enum import StrEnum
from typing import Annotated
from uuid import uuid4

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.options import Customer, Id, Limit, PeriodName, period, signed_usd, usd
from clients.cli.plain import Plain, plain
from clients.cli.session import Session, collect
from tollkeeper.v1.budgets_pb2 import (
    Budget,
    BudgetAlert,
    BudgetTopUp,
    CreateBudgetRequest,
    DeleteBudgetRequest,
    GetBudgetRequest,
    ListBudgetAlertsRequest,
    ListBudgetsRequest,
    ListTopUpsRequest,
    Scope,
    TopUpBudgetRequest,
    UpdateBudgetRequest,
)
from tollkeeper.v1.budgets_pb2_grpc import BudgetsServiceStub

app = noun()

COLUMNS = {
    "budget_id": "ID",
    "scope": "SCOPE",
    "scope_id": "OF",
    "limit_usd": "LIMIT",
    "period": "PERIOD",
    "spent_usd": "SPENT",
    "held_usd": "HELD",
    "top_up_usd": "TOP-UP",
    "end_time": "RESETS",
    "soft": "SOFT",
}
TOP_UP_COLUMNS = {
    "number": "NUMBER",
    "start_time": "WINDOW FROM",
    "amount_usd": "AMOUNT",
    "total_usd": "TOTAL",
    "created_by": "BY",
    "create_time": "AT",
    "note": "NOTE",
}
ALERT_COLUMNS = {
    "create_time": "AT",
    "budget_id": "BUDGET",
    "scope": "SCOPE",
    "scope_id": "OF",
    "threshold_percent": "PER CENT",
    "spent_usd": "SPENT",
    "limit_usd": "LIMIT",
}


class ScopeName(StrEnum):
    """Whose spend is limited."""

    KEY = "key"
    USER = "user"
    TEAM = "team"
    CUSTOMER = "customer"


_SCOPES = {
    ScopeName.KEY: Scope.SCOPE_KEY,
    ScopeName.USER: Scope.SCOPE_USER,
    ScopeName.TEAM: Scope.SCOPE_TEAM,
    ScopeName.CUSTOMER: Scope.SCOPE_CUSTOMER,
}

Thresholds = Annotated[
    list[int] | None,
    typer.Option("--threshold", min=1, max=1000, help="Alert at this per cent; repeat for more."),
]
Soft = Annotated[bool | None, typer.Option("--soft/--hard", help="Soft ones record and never refuse.")]
ScopeId = Annotated[
    str | None, typer.Option("--scope-id", metavar="ID", help="The key, user or team. Not for customer.")
]


@command(app, "create")
def create(
    session: Session,
    customer: Customer,
    scope: Annotated[ScopeName, typer.Option("--scope", show_default=False)],
    limit_usd: Annotated[str, typer.Option("--limit-usd", metavar="USD", show_default=False)],
    scope_id: ScopeId = None,
    period_name: Annotated[
        PeriodName, typer.Option("--period", help="When it starts over.")
    ] = PeriodName.NONE,
    soft: Soft = None,
    threshold: Thresholds = None,
) -> None:
    """Create a budget."""
    budget = Budget(
        customer_id=customer,
        scope=_SCOPES[scope],
        scope_id=scope_id or "",
        limit_nanousd=usd(limit_usd),
        period=period(period_name),
        soft=bool(soft),
        thresholds=threshold or [],
    )
    request = CreateBudgetRequest(budget=budget)
    output.record(session, plain(BudgetsServiceStub(session.channel()).CreateBudget(request)))


@command(app, "list")
def list_(
    session: Session,
    customer: Customer,
    scope: Annotated[ScopeName | None, typer.Option("--scope")] = None,
    scope_id: ScopeId = None,
    limit: Limit = None,
) -> None:
    """List the budgets of a customer, with what is spent and held now."""
    stub = BudgetsServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[Budget], str]:
        answer = stub.ListBudgets(
            ListBudgetsRequest(
                customer_id=customer,
                scope=_SCOPES[scope] if scope else Scope.SCOPE_UNSPECIFIED,
                scope_id=scope_id or "",
                page_size=page_size,
                page_token=page_token,
            )
        )
        return list(answer.budgets), answer.next_page_token

    rows = [plain(each) for each in collect(page, limit)]
    output.listing(session, rows if session.json else [_with_window(row) for row in rows], COLUMNS)


@command(app, "show")
def show(session: Session, budget: Id, customer: Customer) -> None:
    """Show one budget."""
    request = GetBudgetRequest(customer_id=customer, budget_id=budget)
    output.record(session, plain(BudgetsServiceStub(session.channel()).GetBudget(request)))


@command(app, "update")
def update(
    session: Session,
    budget: Id,
    customer: Customer,
    limit_usd: Annotated[str | None, typer.Option("--limit-usd", metavar="USD")] = None,
    period_name: Annotated[PeriodName | None, typer.Option("--period")] = None,
    soft: Soft = None,
    threshold: Thresholds = None,
) -> None:
    """Change a budget: a limit acts at once, a period when the current window ends."""
    fields = changes(
        limit_nanousd=usd(limit_usd) if limit_usd is not None else None,
        period=period(period_name) if period_name else None,
        soft=soft,
        thresholds=threshold or None,
    )
    request = UpdateBudgetRequest(
        budget=Budget(budget_id=budget, customer_id=customer, **fields),
        update_mask=FieldMask(paths=list(fields)),
    )
    output.record(session, plain(BudgetsServiceStub(session.channel()).UpdateBudget(request)))


@command(app, "delete")
def delete(session: Session, budget: Id, customer: Customer) -> None:
    """Delete a budget."""
    request = DeleteBudgetRequest(customer_id=customer, budget_id=budget)
    output.record(session, plain(BudgetsServiceStub(session.channel()).DeleteBudget(request)))


@command(app, "top-up")
def top_up(
    session: Session,
    budget: Id,
    customer: Customer,
    amount_usd: Annotated[
        str,
        typer.Option(
            "--amount-usd", metavar="USD", help="Less than 0 takes back a top-up.", show_default=False
        ),
    ],
    note: Annotated[str | None, typer.Option("--note", help="Why, for people.")] = None,
) -> None:
    """Raise the limit of the present window, and of no later one."""
    request = TopUpBudgetRequest(
        customer_id=customer,
        budget_id=budget,
        amount_nanousd=signed_usd(amount_usd),
        note=note or "",
        request_id=str(uuid4()),
    )
    output.record(session, plain(BudgetsServiceStub(session.channel()).TopUpBudget(request)))


@command(app, "top-ups")
def top_ups(session: Session, budget: Id, customer: Customer, limit: Limit = None) -> None:
    """List the top-ups of a budget, newest first."""
    stub = BudgetsServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[BudgetTopUp], str]:
        answer = stub.ListTopUps(
            ListTopUpsRequest(
                customer_id=customer, budget_id=budget, page_size=page_size, page_token=page_token
            )
        )
        return list(answer.top_ups), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, limit)], TOP_UP_COLUMNS)


@command(app, "alerts")
def alerts(
    session: Session,
    customer: Customer,
    budget: Annotated[str | None, typer.Option("--budget", metavar="ID")] = None,
    limit: Limit = None,
) -> None:
    """List the thresholds that spending has reached, newest first."""
    stub = BudgetsServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[BudgetAlert], str]:
        answer = stub.ListBudgetAlerts(
            ListBudgetAlertsRequest(
                customer_id=customer, budget_id=budget or "", page_size=page_size, page_token=page_token
            )
        )
        return list(answer.alerts), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, limit)], ALERT_COLUMNS)


def _with_window(row: Plain) -> Plain:
    window = row["window"] or {}
    return {**row, **{name: window.get(name) for name in ("spent_usd", "held_usd", "end_time")}}
