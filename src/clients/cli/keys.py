"""`tollkeeper keys`: virtual keys, shown as the key object of the REST surface."""

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import completion, output
from clients.cli.commands import changes, command, noun
from clients.cli.failures import UsageProblem
from clients.cli.options import (
    AnyCustomer,
    ConcurrentRequests,
    Customer,
    Limit,
    Models,
    Name,
    NewName,
    PeriodName,
    RequestRate,
    Reset,
    TokenRate,
    Usd,
    duration,
    initial_budget,
    number,
    pairs,
    period,
    single,
    time,
    usd,
)
from clients.cli.plain import Plain, enum_name, plain, time_text
from clients.cli.session import Session, collect
from tollkeeper.money import format_usd
from tollkeeper.v1.budgets_pb2 import InitialBudget, Period
from tollkeeper.v1.keys_pb2 import (
    CreateKeyRequest,
    EndKeyOverlapRequest,
    GetKeyRequest,
    Key,
    ListKeysRequest,
    ModelLimit,
    RevokeKeyRequest,
    RotateKeyRequest,
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

LIMIT_FIELDS = frozenset({"model", "requests_per_minute", "tokens_per_minute", "max_cost_usd"})

AnyKey = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Its id, or the SHA-256 of its secret in hex.",
        show_default=False,
        autocompletion=completion.ids,
    ),
]
User = Annotated[str | None, typer.Option("--user", metavar="ID")]
Team = Annotated[str | None, typer.Option("--team", metavar="ID")]
Router = Annotated[str | None, typer.Option("--router", metavar="ID", help="Else the customer's default.")]
OutputLimit = Annotated[
    int | None, typer.Option("--default-output-limit", min=0, help="Model tokens; 0: none.")
]
Clamp = Annotated[
    bool | None,
    typer.Option("--clamp-output/--no-clamp-output", help="Lower the output limit to the budget."),
]
ModelLimits = Annotated[
    list[str] | None,
    typer.Option(
        "--model-limit",
        metavar="LIMIT",
        help="model=PATTERN[,requests_per_minute=N][,tokens_per_minute=N][,max_cost_usd=USD]; repeatable.",
    ),
]
MaxCost = Annotated[
    str | None,
    typer.Option("--max-cost-usd", metavar="USD", help="The most one request may cost; 0: no limit."),
]
AllowedIps = Annotated[
    list[str] | None,
    typer.Option("--allow-ip", metavar="CIDR", help="Repeat for more; else from everywhere."),
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
    requests_per_minute: RequestRate = None,
    tokens_per_minute: TokenRate = None,
    max_concurrent_requests: ConcurrentRequests = None,
    model_limit: ModelLimits = None,
    max_cost_usd: MaxCost = None,
    allow_ip: AllowedIps = None,
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
        requests_per_minute=requests_per_minute or 0,
        tokens_per_minute=tokens_per_minute or 0,
        max_concurrent_requests=max_concurrent_requests or 0,
        model_limits=[parse_model_limit(each) for each in model_limit or []],
        max_cost_nanousd=usd(max_cost_usd) if max_cost_usd else 0,
        allowed_ips=allow_ip or [],
    )
    request = CreateKeyRequest(key=key, budget=initial_budget(budget_usd, budget_reset))
    answer = KeysServiceStub(session.channel()).CreateKey(request)
    _show_secret(session, answer.key, answer.raw_key)


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
    requests_per_minute: RequestRate = None,
    tokens_per_minute: TokenRate = None,
    max_concurrent_requests: ConcurrentRequests = None,
    model_limit: ModelLimits = None,
    no_model_limits: Annotated[bool, typer.Option("--no-model-limits", help="Remove them.")] = False,
    max_cost_usd: MaxCost = None,
    allow_ip: AllowedIps = None,
    any_ip: Annotated[bool, typer.Option("--any-ip", help="Allow every address.")] = False,
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
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        max_concurrent_requests=max_concurrent_requests,
        model_limits=[] if no_model_limits else _model_limits(model_limit),
        max_cost_nanousd=usd(max_cost_usd) if max_cost_usd else None,
        allowed_ips=[] if any_ip else allow_ip or None,
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


@command(app, "rotate")
def rotate(
    session: Session,
    key: AnyKey,
    customer: AnyCustomer = None,
    overlap: Annotated[
        str,
        typer.Option(
            "--overlap", metavar="TIME", help="How long the old secret works on: 90s, 15m, 24h, 7d."
        ),
    ] = "0s",
) -> None:
    """Give a key a new secret (`raw_key`), printed now only; the old one ends after the overlap."""
    request = RotateKeyRequest(customer_id=customer or "", key_id=key, overlap=duration(overlap))
    answer = KeysServiceStub(session.channel()).RotateKey(request)
    _show_secret(session, answer.key, answer.raw_key)


@command(app, "end-overlap")
def end_overlap(session: Session, key: AnyKey, customer: AnyCustomer = None) -> None:
    """End a key's old secret now, ahead of the end of its overlap."""
    request = EndKeyOverlapRequest(customer_id=customer or "", key_id=key)
    _show(session, KeysServiceStub(session.channel()).EndKeyOverlap(request))


@command(app, "disable")
def disable(session: Session, key: AnyKey, customer: AnyCustomer = None) -> None:
    """Switch a key off: refused at every edge within a second."""
    _switch(session, key, customer, disabled=True)


@command(app, "enable")
def enable(session: Session, key: AnyKey, customer: AnyCustomer = None) -> None:
    """Switch a key on again."""
    _switch(session, key, customer, disabled=False)


def _switch(session: Session, key: str, customer: str | None, disabled: bool) -> None:
    request = UpdateKeyRequest(
        key=Key(customer_id=customer or "", key_id=key, disabled=disabled),
        update_mask=FieldMask(paths=["disabled"]),
    )
    _show(session, KeysServiceStub(session.channel()).UpdateKey(request))


def _revoke(session: Session, key: AnyKey, customer: AnyCustomer = None) -> None:
    """Revoke a key for good: refused at every edge within a second."""
    request = RevokeKeyRequest(customer_id=customer or "", key_id=key)
    _show(session, KeysServiceStub(session.channel()).RevokeKey(request))


command(app, "revoke")(_revoke)
command(app, "delete", hidden=True)(_revoke)


def _show_secret(session: Session, key: Key, raw_key: str) -> None:
    output.record(session, {**key_object(key), "raw_key": raw_key})
    output.note(session, "\nKeep raw_key now: it can't be shown again.")


def _show(session: Session, key: Key) -> None:
    output.record(session, key_object(key) if session.json else _for_people(key))


def _for_people(key: Key) -> Plain:
    """The key object has no place for it, and people want to know."""
    return {**key_object(key), "revoked": time_text(key.revoke_time)}


def key_object(key: Key) -> Plain:
    """The key object of the REST surface and more (docs/cli.md): null for what isn't set, money as decimal
    strings."""
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
        "created_by": key.created_by,
        "spend_reset_at": time_text(key.spend_reset_time),
        "router_id": key.router_id or None,
        "expires_at": time_text(key.expire_time),
        "requests_per_minute": key.requests_per_minute or None,
        "tokens_per_minute": key.tokens_per_minute or None,
        "max_concurrent_requests": key.max_concurrent_requests or None,
        "model_limits": [plain(each) for each in key.model_limits] or None,
        "max_cost_usd": format_usd(key.max_cost_nanousd) if key.max_cost_nanousd else None,
        "allowed_ips": list(key.allowed_ips) or None,
        "previous_key_hash": key.previous_key_hash or None,
        "previous_expires_at": time_text(key.previous_expire_time),
        "rotated_at": time_text(key.rotate_time),
    }


def parse_model_limit(text: str) -> ModelLimit:
    """`model=gpt-4o*,requests_per_minute=10,max_cost_usd=0.05`. Raises UsageProblem."""
    values = pairs(text, LIMIT_FIELDS)
    if "model" not in values:
        raise UsageProblem(f"a limit needs a model: {text!r}")
    return ModelLimit(
        model=single(values, "model"),
        requests_per_minute=number(single(values, "requests_per_minute", "0"), "requests_per_minute"),
        tokens_per_minute=number(single(values, "tokens_per_minute", "0"), "tokens_per_minute"),
        max_cost_nanousd=usd(single(values, "max_cost_usd", "0")),
    )


def _model_limits(given: list[str] | None) -> list[ModelLimit] | None:
    return [parse_model_limit(each) for each in given] if given else None


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
