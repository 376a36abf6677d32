"""`tollkeeper keys`: virtual keys, shown as the key object of the REST surface."""

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.failures import UsageProblem
from clients.cli.options import (
    AnyCustomer,
    Customer,
    Limit,
    Name,
    NewName,
    PeriodName,
    Reset,
    Usd,
    initial_budget,
    period,
    time,
    usd,
)
from clients.cli.plain import Plain, enum_name, time_text
from clients.cli.session import Session, collect
from tollkeeper.money import format_usd
from tollkeeper.v1.budgets_pb2 import InitialBudget, Period
from tollkeeper.v1.keys_pb2 import (
    CreateKeyRequest,
    GetKeyRequest,
    Key,
    ListKeysRequest,
    RevokeKeyRequest,
    UpdateKeyRequest,
)
from tollkeeper.v1.keys_pb2_grpc import KeysServiceStub

app = noun()

COLUMNS = {
    "id": "ID",
    "name": "NAME",
    "user_email": "USER",
    "team_name": "TEAM",
    "budget_usd": "BUDGET",
    "budget_reset": "RESETS",
    "spend_usd": "SPENT",
    "disabled": "DISABLED",
}

AnyKey = Annotated[
    str, typer.Argument(metavar="ID", help="Its id, or the SHA-256 of its secret in hex.", show_default=False)
]
User = Annotated[str | None, typer.Option("--user", metavar="ID")]
Team = Annotated[str | None, typer.Option("--team", metavar="ID")]
Router = Annotated[str | None, typer.Option("--router", metavar="ID", help="Else the customer's default.")]
Models = Annotated[
    list[str] | None, typer.Option("--allow-model", metavar="PATTERN", help="Repeat for more; else all.")
]
OutputLimit = Annotated[
    int | None, typer.Option("--default-output-limit", min=0, help="Model tokens; 0: none.")
]
Clamp = Annotated[
    bool | None,
    typer.Option("--clamp-output/--no-clamp-output", help="Lower the output limit to the budget."),
]
Expires = Annotated[str | None, typer.Option("--expire-time", metavar="TIME", help="2026-12-01T00:00:00Z")]


@command(app, "create")
def create(
    session: Session,
    customer: Customer,
    name: Name,
    user: User = None,
    team: Team = None,
    router: Router = None,
    budget_usd: Usd = None,
    budget_reset: Reset = None,
    allow_model: Models = None,
    default_output_limit: OutputLimit = None,
    clamp_output: Clamp = None,
    expire_time: Expires = None,
) -> None:
    """Create a key; its secret (`raw_key`) is printed now and never again."""
    key = Key(
        customer_id=customer,
        name=name,
        user_id=user or "",
        team_id=team or "",
        router_id=router or "",
        allowed_models=allow_model or [],
        default_output_limit=default_output_limit or 0,
        clamp_output=bool(clamp_output),
        expire_time=time(expire_time) if expire_time else None,
    )
    request = CreateKeyRequest(key=key, budget=initial_budget(budget_usd, budget_reset))
    answer = KeysServiceStub(session.channel()).CreateKey(request)
    output.record(session, {**key_object(answer.key), "raw_key": answer.raw_key})
    output.note(session, "\nKeep raw_key now: it can't be shown again.")


@command(app, "list")
def list_(
    session: Session,
    customer: Customer,
    user: User = None,
    team: Team = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked ones too.")] = False,
    limit: Limit = None,
) -> None:
    """List the keys of a customer, of a user or of a team."""
    stub = KeysServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[Key], str]:
        answer = stub.ListKeys(
            ListKeysRequest(
                customer_id=customer,
                user_id=user or "",
                team_id=team or "",
                show_revoked=revoked,
                page_size=page_size,
                page_token=page_token,
            )
        )
        return list(answer.keys), answer.next_page_token

    keys = collect(page, limit)
    if session.json:
        output.listing(session, [key_object(each) for each in keys], COLUMNS)
    else:
        columns = {**COLUMNS, "revoked": "REVOKED"} if revoked else COLUMNS
        output.listing(session, [_for_people(each) for each in keys], columns)


@command(app, "show")
def show(session: Session, key: AnyKey, customer: AnyCustomer = None) -> None:
    """Show one key, with what it has spent."""
    request = GetKeyRequest(customer_id=customer or "", key_id=key)
    _show(session, KeysServiceStub(session.channel()).GetKey(request))


@command(app, "update")
def update(
    session: Session,
    key: AnyKey,
    customer: AnyCustomer = None,
    name: NewName = None,
    user: User = None,
    team: Team = None,
    router: Router = None,
    budget_usd: Usd = None,
    budget_reset: Reset = None,
    no_budget: Annotated[bool, typer.Option("--no-budget", help="Remove its budget.")] = False,
    allow_model: Models = None,
    all_models: Annotated[bool, typer.Option("--all-models", help="Allow every model.")] = False,
    disabled: Annotated[bool | None, typer.Option("--disabled/--enabled")] = None,
    default_output_limit: OutputLimit = None,
    clamp_output: Clamp = None,
    expire_time: Expires = None,
) -> None:
    """Change a key; a new limit acts at once and doesn't reset what was spent."""
    given = changes(
        name=name,
        user_id=user,
        team_id=team,
        router_id=router,
        allowed_models=[] if all_models else allow_model or None,
        disabled=disabled,
        default_output_limit=default_output_limit,
        clamp_output=clamp_output,
        expire_time=time(expire_time) if expire_time else None,
        budget=no_budget or budget_usd or budget_reset or None,
    )
    stub = KeysServiceStub(session.channel())
    current = stub.GetKey(GetKeyRequest(customer_id=customer or "", key_id=key))
    budget = new_budget(current, budget_usd, budget_reset, no_budget) if given.pop("budget", None) else None
    request = UpdateKeyRequest(
        key=Key(key_id=current.key_id, customer_id=current.customer_id, **given),
        update_mask=FieldMask(paths=list(given)),
        budget=budget,
    )
    _show(session, stub.UpdateKey(request))


def _revoke(session: Session, key: AnyKey, customer: AnyCustomer = None) -> None:
    """Revoke a key for good: refused at every edge within a second."""
    request = RevokeKeyRequest(customer_id=customer or "", key_id=key)
    _show(session, KeysServiceStub(session.channel()).RevokeKey(request))


command(app, "revoke")(_revoke)
command(app, "delete", hidden=True)(_revoke)


def _show(session: Session, key: Key) -> None:
    output.record(session, key_object(key) if session.json else _for_people(key))


def _for_people(key: Key) -> Plain:
    """The key object has no place for it, and people want to know."""
    return {**key_object(key), "revoked": time_text(key.revoke_time)}


def key_object(key: Key) -> Plain:
    """The key object of the REST surface (docs/cli.md): null for what isn't set, money as decimal strings."""
    budget = key.budgets[0] if key.budgets else None
    reset = enum_name("PERIOD_", Period.Name(budget.period)) if budget else None
    return {
        "id": key.key_id,
        "key_hash": key.key_hash,
        "name": key.name,
        "user_id": key.user_id or None,
        "team_id": key.team_id or None,
        "user_email": key.user_email or None,
        "user_name": key.user_name or None,
        "team_name": key.team_name or None,
        "budget_usd": format_usd(budget.limit_nanousd) if budget else None,
        "budget_reset": None if reset == "none" else reset,
        "spend_usd": format_usd(key.spend_nanousd),
        "allowed_models": list(key.allowed_models) or None,
        "disabled": key.disabled,
        "created_at": time_text(key.create_time),
    }


def new_budget(key: Key, limit_usd: str | None, reset: PeriodName | None, remove: bool) -> InitialBudget:
    """The key's budget with the given parts changed. Raises UsageProblem."""
    if remove:
        if limit_usd is not None or reset is not None:
            raise UsageProblem("--no-budget and a budget exclude each other")
        return InitialBudget()
    present = key.budgets[0] if key.budgets else None
    if limit_usd is None and present is None:
        raise UsageProblem("the key has no budget to reset: add --budget-usd")
    limit_nanousd = usd(limit_usd) if limit_usd is not None else present.limit_nanousd if present else 0
    kept = present.period if present else Period.PERIOD_NONE
    return InitialBudget(limit_nanousd=limit_nanousd, period=period(reset) if reset else kept)
