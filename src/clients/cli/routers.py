"""`tollkeeper routers`: ordered rules, which providers a request is tried at."""

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.failures import UsageProblem
from clients.cli.options import Customer, Force, Id, Limit, Name, NewName, number, pairs, single
from clients.cli.plain import plain
from clients.cli.session import Session, collect
from tollkeeper.v1.routers_pb2 import (
    CreateRouterRequest,
    DeleteRouterRequest,
    GetRouterRequest,
    ListRoutersRequest,
    Router,
    RoutingRule,
    UpdateRouterRequest,
)
from tollkeeper.v1.routers_pb2_grpc import RoutersServiceStub

app = noun()

COLUMNS = {"router_id": "ID", "name": "NAME", "rules": "RULES"}
RULE_FIELDS = frozenset({"provider", "priority", "models", "condition", "rewrite"})

Rules = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        metavar="RULE",
        help="provider=ID[,priority=N][,models=PATTERN]...[,condition=NAME][,rewrite=MODEL]; repeatable.",
    ),
]


@command(app, "create")
def create(session: Session, customer: Customer, name: Name, rule: Rules = None) -> None:
    """Create a router."""
    router = Router(customer_id=customer, name=name, rules=[parse_rule(each) for each in rule or []])
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
    session: Session, router: Id, customer: Customer, name: NewName = None, rule: Rules = None
) -> None:
    """Change a router; the rules given replace all it had."""
    fields = changes(name=name, rules=[parse_rule(each) for each in rule] if rule else None)
    request = UpdateRouterRequest(
        router=Router(router_id=router, customer_id=customer, **fields),
        update_mask=FieldMask(paths=list(fields)),
    )
    output.record(session, plain(RoutersServiceStub(session.channel()).UpdateRouter(request)))


@command(app, "delete")
def delete(session: Session, router: Id, customer: Customer, force: Force = False) -> None:
    """Delete a router; with --force the keys that use it are revoked."""
    request = DeleteRouterRequest(customer_id=customer, router_id=router, force=force)
    output.record(session, plain(RoutersServiceStub(session.channel()).DeleteRouter(request)))


def parse_rule(text: str) -> RoutingRule:
    """`provider=ID,priority=1,models=gpt-*,models=o3*`. Raises UsageProblem."""
    values = pairs(text, RULE_FIELDS)
    if "provider" not in values:
        raise UsageProblem(f"a rule needs a provider: {text!r}")
    return RoutingRule(
        provider_id=single(values, "provider"),
        priority=number(single(values, "priority", "0"), "priority"),
        condition=single(values, "condition"),
        allowed_models=values.get("models", []),
        model_rewrite=single(values, "rewrite"),
    )
