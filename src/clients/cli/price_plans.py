"""`tollkeeper price-plans`: what customers pay on top of global prices."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.failures import UsageProblem
from clients.cli.options import Force, Id, Limit, Name, NewName
from clients.cli.plain import Plain, plain
from clients.cli.session import Session, collect
from tollkeeper.v1.price_plans_pb2 import (
    CreatePricePlanRequest,
    DeletePricePlanRequest,
    GetPricePlanRequest,
    ListPricePlansRequest,
    ModelMarkup,
    PricePlan,
    UpdatePricePlanRequest,
)
from tollkeeper.v1.price_plans_pb2_grpc import PricePlansServiceStub

app = noun()

COLUMNS = {
    "price_plan_id": "ID",
    "name": "NAME",
    "markup_percent": "MARKUP %",
    "model_markups": "BY MODEL %",
    "granted_to_all": "FOR ALL",
}
_PPM_PER_PERCENT = 10_000

Markup = Annotated[
    str | None,
    typer.Option("--markup", metavar="PERCENT", help="On top of global prices; less than 0 is a discount."),
]
ModelMarkups = Annotated[
    list[str] | None,
    typer.Option("--model-markup", metavar="MODEL=PERCENT", help="For models that match; the first decides."),
]
ForAll = Annotated[
    bool | None, typer.Option("--grant-all/--no-grant-all", help="For customers that have no other plan.")
]


@command(app, "create")
def create(
    session: Session,
    name: Name,
    markup: Markup = None,
    model_markup: ModelMarkups = None,
    for_all: ForAll = None,
) -> None:
    """Create a plan. `customers update --price-plan` gives it to a customer."""
    plan = PricePlan(
        name=name,
        markup_ppm=ppm(markup or "0"),
        model_markups=_model_markups(model_markup),
        granted_to_all=bool(for_all),
    )
    answer = PricePlansServiceStub(session.channel()).CreatePricePlan(CreatePricePlanRequest(price_plan=plan))
    output.record(session, plan_object(answer))


@command(app, "list")
def list_(session: Session, limit: Limit = None) -> None:
    """List plans; for customers, the one they have."""
    stub = PricePlansServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[PricePlan], str]:
        answer = stub.ListPricePlans(ListPricePlansRequest(page_size=page_size, page_token=page_token))
        return list(answer.price_plans), answer.next_page_token

    output.listing(session, [plan_object(each) for each in collect(page, limit)], COLUMNS)


@command(app, "show")
def show(session: Session, plan: Id) -> None:
    """Show one plan."""
    answer = PricePlansServiceStub(session.channel()).GetPricePlan(GetPricePlanRequest(price_plan_id=plan))
    output.record(session, plan_object(answer))


@command(app, "update")
def update(
    session: Session,
    plan: Id,
    name: NewName = None,
    markup: Markup = None,
    model_markup: ModelMarkups = None,
    no_model_markups: Annotated[bool, typer.Option("--no-model-markups")] = False,
    for_all: ForAll = None,
) -> None:
    """Change a plan, for requests that begin from now on."""
    fields = changes(
        name=name,
        markup_ppm=None if markup is None else ppm(markup),
        model_markups=[] if no_model_markups else _model_markups(model_markup) or None,
        granted_to_all=for_all,
    )
    request = UpdatePricePlanRequest(
        price_plan=PricePlan(price_plan_id=plan, **fields), update_mask=FieldMask(paths=list(fields))
    )
    answer = PricePlansServiceStub(session.channel()).UpdatePricePlan(request)
    output.record(session, plan_object(answer))


@command(app, "delete")
def delete(session: Session, plan: Id, force: Force = False) -> None:
    """Delete a plan; customers that have it then have the one for all."""
    request = DeletePricePlanRequest(price_plan_id=plan, force=force)
    answer = PricePlansServiceStub(session.channel()).DeletePricePlan(request)
    output.record(session, plan_object(answer))


def plan_object(plan: PricePlan) -> Plain:
    """A plan with its markups in per cent, as decimal text."""
    values = plain(plan)
    values["markup_percent"] = percent(values.pop("markup_ppm"))
    values["model_markups"] = {each.pattern: percent(each.markup_ppm) for each in plan.model_markups}
    return values


def ppm(text: str) -> int:
    """Parts per million of per cent, `12.5` or `12.5%`. Raises UsageProblem."""
    try:
        parts = Decimal(text.strip().removesuffix("%")) * _PPM_PER_PERCENT
        if not parts.is_finite() or parts != parts.to_integral_value() or abs(parts) > 10**12:
            raise UsageProblem(f"{text!r} has more than four decimals, or is too large")
    except InvalidOperation:
        raise UsageProblem(f"{text!r} is not per cent such as 12.5") from None
    return int(parts)


def percent(parts: int) -> str:
    """Decimal text without trailing zeros: 125000 → `12.5`."""
    return f"{(Decimal(parts) / _PPM_PER_PERCENT).normalize():f}"


def _model_markups(texts: list[str] | None) -> list[ModelMarkup]:
    markups = []
    for text in texts or []:
        pattern, equals, markup = text.rpartition("=")
        if not equals:
            raise UsageProblem(f"{text!r} is not MODEL=PERCENT")
        markups.append(ModelMarkup(pattern=pattern, markup_ppm=ppm(markup)))
    return markups
