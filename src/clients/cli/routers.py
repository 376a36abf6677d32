"""`tollkeeper routers`: ordered rules, which providers a request is tried at."""

from collections.abc import Iterable
from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.failures import UsageProblem
from clients.cli.granting import Grant, GrantAll, GrantAllOr, GrantNone, granted_to, grants
from clients.cli.options import Customer, Force, Id, Limit, Name, NewName, number, pairs, single
from clients.cli.plain import Plain, plain
from clients.cli.session import Session, collect
from tollkeeper.v1.error_reason_pb2 import ErrorReason
from tollkeeper.v1.routers_pb2 import (
    CreateRouterRequest,
    Deadlines,
    DeleteRouterRequest,
    DryRunRouterRequest,
    DryRunRouterResponse,
    GetRouterRequest,
    ListRoutersRequest,
    Retries,
    Router,
    RoutingRule,
    UpdateRouterRequest,
)
from tollkeeper.v1.routers_pb2_grpc import RoutersServiceStub

app = noun()

COLUMNS = {"router_id": "ID", "name": "NAME", "rules": "RULES", "platform": "PLATFORM"}
RULE_FIELDS = frozenset({"provider", "priority", "models", "condition", "status", "rewrite", "weight"})
# An expression has commas of its own, so it comes last.
WHEN = ",when="
PLAN_COLUMNS = {
    "place": "",
    "provider_name": "PROVIDER",
    "provider_type": "TYPE",
    "upstream_model": "MODEL",
    "priority": "PRIORITY",
    "condition": "CONDITION",
    "when": "WHEN",
    "first": "FIRST",
    "price": "PRICE",
    "skipped": "SKIPPED",
}

Rules = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        metavar="RULE",
        help="provider=ID[,priority=N][,weight=N][,models=PATTERN]...[,rewrite=MODEL][,condition=primary|fallback|"
        "on_timeout|on_rate_limit|on_status,status=N...][,when=EXPRESSION]; repeatable.",
    ),
]
Retrying = Annotated[
    str | None,
    typer.Option(
        "--retries",
        metavar="RETRIES",
        help="How often a rule is tried again: count=N[,backoff_ms=N][,max_backoff_ms=N].",
    ),
]
Waiting = Annotated[
    str | None,
    typer.Option(
        "--deadlines",
        metavar="DEADLINES",
        help="How long requests wait, in milliseconds: [connect=N][,first_byte=N][,idle=N][,total=N].",
    ),
]
CacheTtl = Annotated[
    int | None,
    typer.Option(
        "--cache-ttl-s",
        metavar="SECONDS",
        help="For how long Cloudflare may keep answers, 60 to 2592000; 0: not at all.",
        show_default=False,
    ),
]


@command(app, "create")
def create(
    session: Session,
    customer: Customer,
    name: Name,
    rule: Rules = None,
    retries: Retrying = None,
    deadlines: Waiting = None,
    cache_ttl_s: CacheTtl = None,
    grant: Grant = None,
    grant_all: GrantAll = False,
) -> None:
    """Create a router."""
    router = Router(
        customer_id=customer,
        name=name,
        rules=[parse_rule(each) for each in rule or []],
        retries=parse_retries(retries),
        deadlines=parse_deadlines(deadlines),
        cache_ttl_s=cache_ttl_s or 0,
        granted_to_all=grant_all,
        granted_customer_ids=granted_to(session, grant),
    )
    request = CreateRouterRequest(router=router)
    output.record(session, plain(RoutersServiceStub(session.channel()).CreateRouter(request)))


@command(app, "list")
def list_(session: Session, customer: Customer, limit: Limit = None) -> None:
    """List the routers of a customer."""
    stub = RoutersServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[Router], str]:
        request = ListRoutersRequest(customer_id=customer, page_size=page_size, page_token=page_token)
        answer = stub.ListRouters(request)
        return list(answer.routers), answer.next_page_token

    rows = [plain(each) for each in collect(page, limit)]
    if not session.json:
        rows = [{**row, "rules": len(row["rules"])} for row in rows]
    output.listing(session, rows, COLUMNS)


@command(app, "show")
def show(session: Session, router: Id, customer: Customer) -> None:
    """Show one router with its rules."""
    request = GetRouterRequest(customer_id=customer, router_id=router)
    output.record(session, plain(RoutersServiceStub(session.channel()).GetRouter(request)))


@command(app, "update")
def update(
    session: Session,
    router: Id,
    customer: Customer,
    name: NewName = None,
    rule: Rules = None,
    retries: Retrying = None,
    deadlines: Waiting = None,
    cache_ttl_s: CacheTtl = None,
    grant: Grant = None,
    grant_all: GrantAllOr = None,
    grant_none: GrantNone = False,
    force: Force = False,
) -> None:
    """Change a router; the rules given replace all it had."""
    fields = changes(
        name=name,
        rules=[parse_rule(each) for each in rule] if rule else None,
        retries=parse_retries(retries),
        deadlines=parse_deadlines(deadlines),
        cache_ttl_s=cache_ttl_s,
        **grants(session, grant, grant_all, grant_none),
    )
    request = UpdateRouterRequest(
        router=Router(router_id=router, customer_id=customer, **fields),
        update_mask=FieldMask(paths=list(fields)),
        force=force,
    )
    output.record(session, plain(RoutersServiceStub(session.channel()).UpdateRouter(request)))


@command(app, "delete")
def delete(session: Session, router: Id, customer: Customer, force: Force = False) -> None:
    """Delete a router; with --force the keys that use it are revoked."""
    request = DeleteRouterRequest(customer_id=customer, router_id=router, force=force)
    output.record(session, plain(RoutersServiceStub(session.channel()).DeleteRouter(request)))


@command(app, "dry-run")
def dry_run(
    session: Session,
    customer: Customer,
    model: Annotated[str, typer.Option("--model", help="The model that is asked for.", show_default=False)],
    router: Annotated[str | None, typer.Argument(metavar="[ID]", help="A router; else --key.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="ID", help="A key, with its router and lists.")
    ] = None,
    provider: Annotated[
        str, typer.Option("--provider", help="As in the body: type, name or id of the only provider.")
    ] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="As the request's; repeatable.")] = None,
    end_user: Annotated[str, typer.Option("--end-user", help="As the request's.")] = "",
    prompt_bytes: Annotated[int, typer.Option("--prompt-bytes", help="Size of the body.")] = 0,
    output_limit: Annotated[int, typer.Option("--output-limit", help="As the request's max_tokens.")] = 0,
    stream: Annotated[bool, typer.Option("--stream", help="The answer is streamed.")] = False,
) -> None:
    """Show which attempts a request would get, and why other rules are passed over; nothing is sent."""
    if (router is None) == (key is None):
        raise UsageProblem("name a router, or a key with --key")
    named = {"router_id": router} if router is not None else {"key_id": key}
    request = DryRunRouterRequest(
        customer_id=customer,
        model=model,
        provider=provider,
        tags=tag or (),
        end_user=end_user,
        prompt_bytes=prompt_bytes,
        output_limit=output_limit,
        stream=stream,
        **named,
    )
    answer = RoutersServiceStub(session.channel()).DryRunRouter(request)
    if session.json:
        output.record(session, {**plain(answer), "refusal": _reason(answer.refusal)})
        return
    output.listing(session, _plan(answer), PLAN_COLUMNS)
    if answer.refusal:
        output.note(session, f"refused: {answer.refusal_message} [{_reason(answer.refusal)}]")


def _reason(refusal: ErrorReason) -> str | None:
    return ErrorReason.Name(refusal) if refusal else None


def _plan(answer: DryRunRouterResponse) -> list[Plain]:
    """Attempts in order, then rules that are passed over."""
    nothing = dict.fromkeys(PLAN_COLUMNS)
    rows: list[Plain] = []
    for place, attempt in enumerate(answer.attempts, 1):
        row = {**nothing, **plain(attempt), "place": place, "price": attempt.price.price_id}
        if attempt.statuses:
            row["condition"] = f"{attempt.condition} {','.join(map(str, attempt.statuses))}"
        rows.append({**row, "first": f"{attempt.first_share:.0%}"})
    rows += [{**nothing, **plain(each), "skipped": each.reason} for each in answer.skipped]
    return rows


def parse_rule(text: str) -> RoutingRule:
    """`provider=ID,priority=1,models=gpt-*,models=o3*,when="x" in tags`. Raises UsageProblem."""
    text, _, when = text.partition(WHEN)
    values = pairs(text, RULE_FIELDS)
    if "provider" not in values:
        raise UsageProblem(f"a rule needs a provider: {text!r}")
    return RoutingRule(
        provider_id=single(values, "provider"),
        priority=number(single(values, "priority", "0"), "priority"),
        condition=single(values, "condition"),
        statuses=[number(each, "status") for each in values.get("status", [])],
        when=when,
        allowed_models=values.get("models", []),
        model_rewrite=single(values, "rewrite"),
        weight=number(single(values, "weight", "0"), "weight"),
    )


def parse_retries(text: str | None) -> Retries | None:
    """`count=2,backoff_ms=100`. Raises UsageProblem."""
    return None if text is None else Retries(**_numbers(text, Retries.DESCRIPTOR.fields_by_name, ""))


def parse_deadlines(text: str | None) -> Deadlines | None:
    """`first_byte=5000,total=30000`, in milliseconds. Raises UsageProblem."""
    return None if text is None else Deadlines(**_numbers(text, Deadlines.DESCRIPTOR.fields_by_name, "_ms"))


def _numbers(text: str, fields: Iterable[str], unit: str) -> dict[str, int]:
    values = pairs(text, frozenset(name.removesuffix(unit) for name in fields))
    return {f"{name}{unit}": number(single(values, name), name) for name in values}
