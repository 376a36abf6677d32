"""`tollkeeper templates`: what customers of a plan start with."""

from typing import Annotated, Any

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.failures import UsageProblem
from clients.cli.keys import ModelLimits, parse_model_limit
from clients.cli.options import (
    ConcurrentRequests,
    Limit,
    Models,
    Name,
    NewName,
    PeriodName,
    RequestRate,
    TokenRate,
    initial_budget,
    number,
    pairs,
    period,
    single,
    usd,
)
from clients.cli.plain import plain
from clients.cli.routers import parse_rule
from clients.cli.session import Session, collect
from tollkeeper.v1.keys_pb2 import KeyDefaults
from tollkeeper.v1.templates_pb2 import (
    CreateTemplateRequest,
    DeleteTemplateRequest,
    GetTemplateRequest,
    ListTemplatesRequest,
    Template,
    TemplateBudget,
    UpdateTemplateRequest,
)
from tollkeeper.v1.templates_pb2_grpc import TemplatesServiceStub

app = noun()

COLUMNS = {"template_id": "ID", "name": "NAME", "plan": "PLAN", "budgets": "BUDGETS"}
BUDGET_FIELDS = frozenset({"limit_usd", "period", "soft", "threshold"})

AnyTemplate = Annotated[str, typer.Argument(metavar="ID", help="Its id or name.", show_default=False)]
Plan = Annotated[str | None, typer.Option("--plan", help="Of the customers; default: free.")]
Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="BUDGET",
        help="limit_usd=USD[,period=NAME][,soft=yes][,threshold=N]...; repeatable. None: no limit.",
    ),
]
OutputLimit = Annotated[int | None, typer.Option("--default-output-limit", min=0, help="Model tokens.")]
PlatformRouter = Annotated[
    str | None, typer.Option("--router", metavar="ID", help="A router of the platform.")
]
Rules = Annotated[
    list[str] | None,
    typer.Option("--rule", metavar="RULE", help="Over providers of the platform, as of routers; repeatable."),
]
PricePlan = Annotated[str | None, typer.Option("--price-plan", metavar="ID", help="What they pay on top.")]
_KEYS = "Keys that these customers make"
KeyModels = Annotated[
    list[str] | None, typer.Option("--key-allow-model", metavar="PATTERN", rich_help_panel=_KEYS)
]
KeyRequests = Annotated[int | None, typer.Option("--key-requests-per-minute", min=0, rich_help_panel=_KEYS)]
KeyTokens = Annotated[int | None, typer.Option("--key-tokens-per-minute", min=0, rich_help_panel=_KEYS)]
KeyConcurrent = Annotated[
    int | None, typer.Option("--key-max-concurrent-requests", min=0, rich_help_panel=_KEYS)
]
KeyCost = Annotated[str | None, typer.Option("--key-max-cost-usd", metavar="USD", rich_help_panel=_KEYS)]
KeyClamp = Annotated[
    bool | None, typer.Option("--key-clamp-output/--no-key-clamp-output", rich_help_panel=_KEYS)
]
KeyBudget = Annotated[str | None, typer.Option("--key-budget-usd", metavar="USD", rich_help_panel=_KEYS)]
KeyReset = Annotated[PeriodName | None, typer.Option("--key-budget-reset", rich_help_panel=_KEYS)]


@command(app, "create")
def create(
    session: Session,
    name: Name,
    plan: Plan = None,
    budget: Budgets = None,
    allow_model: Models = None,
    requests_per_minute: RequestRate = None,
    tokens_per_minute: TokenRate = None,
    max_concurrent_requests: ConcurrentRequests = None,
    default_output_limit: OutputLimit = None,
    router: PlatformRouter = None,
    rule: Rules = None,
    price_plan: PricePlan = None,
    key_allow_model: KeyModels = None,
    key_requests_per_minute: KeyRequests = None,
    key_tokens_per_minute: KeyTokens = None,
    key_max_concurrent_requests: KeyConcurrent = None,
    model_limit: ModelLimits = None,
    key_max_cost_usd: KeyCost = None,
    key_clamp_output: KeyClamp = None,
    key_budget_usd: KeyBudget = None,
    key_budget_reset: KeyReset = None,
) -> None:
    """Create a template; --model-limit is one of the keys."""
    template = Template(
        name=name,
        plan=plan or "",
        budgets=[parse_budget(each) for each in budget or []],
        allowed_models=allow_model or [],
        requests_per_minute=requests_per_minute or 0,
        tokens_per_minute=tokens_per_minute or 0,
        max_concurrent_requests=max_concurrent_requests or 0,
        default_output_limit=default_output_limit or 0,
        router_id=router or "",
        rules=[parse_rule(each) for each in rule or []],
        price_plan_id=price_plan or "",
    )
    defaults = KeyDefaults(
        allowed_models=key_allow_model or [],
        requests_per_minute=key_requests_per_minute or 0,
        tokens_per_minute=key_tokens_per_minute or 0,
        max_concurrent_requests=key_max_concurrent_requests or 0,
        model_limits=[parse_model_limit(each) for each in model_limit or []],
        max_cost_nanousd=usd(key_max_cost_usd) if key_max_cost_usd else 0,
        clamp_output=bool(key_clamp_output),
        budget=initial_budget(key_budget_usd, key_budget_reset),
    )
    if defaults.ListFields():
        template.key_defaults.CopyFrom(defaults)
    request = CreateTemplateRequest(template=template)
    output.record(session, plain(TemplatesServiceStub(session.channel()).CreateTemplate(request)))


@command(app, "list")
def list_(session: Session, limit: Limit = None) -> None:
    """List the templates."""
    stub = TemplatesServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[Template], str]:
        answer = stub.ListTemplates(ListTemplatesRequest(page_size=page_size, page_token=page_token))
        return list(answer.templates), answer.next_page_token

    rows = [plain(each) for each in collect(page, limit)]
    if not session.json:
        rows = [{**row, "budgets": [each["limit_usd"] for each in row["budgets"]]} for row in rows]
    output.listing(session, rows, COLUMNS)


@command(app, "show")
def show(session: Session, template: AnyTemplate) -> None:
    """Show one template."""
    request = GetTemplateRequest(template_id=template)
    output.record(session, plain(TemplatesServiceStub(session.channel()).GetTemplate(request)))


@command(app, "update")
def update(
    session: Session,
    template: AnyTemplate,
    name: NewName = None,
    plan: Plan = None,
    budget: Budgets = None,
    no_budgets: Annotated[bool, typer.Option("--no-budgets", help="No limit.")] = False,
    allow_model: Models = None,
    all_models: Annotated[bool, typer.Option("--all-models", help="Allow every model.")] = False,
    requests_per_minute: RequestRate = None,
    tokens_per_minute: TokenRate = None,
    max_concurrent_requests: ConcurrentRequests = None,
    default_output_limit: OutputLimit = None,
    router: PlatformRouter = None,
    rule: Rules = None,
    price_plan: PricePlan = None,
) -> None:
    """Change a template, for customers to come; budgets and rules that are given replace all it had."""
    if router and rule:
        raise UsageProblem("a template has a router or rules, not both")
    fields: dict[str, Any] = changes(
        name=name,
        plan=plan,
        budgets=[] if no_budgets else [parse_budget(each) for each in budget] if budget else None,
        allowed_models=[] if all_models else allow_model or None,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        max_concurrent_requests=max_concurrent_requests,
        default_output_limit=default_output_limit,
        router_id=router or ("" if rule else None),
        rules=[parse_rule(each) for each in rule] if rule else [] if router else None,
        price_plan_id=price_plan,
    )
    request = UpdateTemplateRequest(
        template=Template(template_id=template, **fields), update_mask=FieldMask(paths=list(fields))
    )
    output.record(session, plain(TemplatesServiceStub(session.channel()).UpdateTemplate(request)))


@command(app, "delete")
def delete(session: Session, template: AnyTemplate) -> None:
    """Delete a template; customers made with it stay as they are."""
    request = DeleteTemplateRequest(template_id=template)
    output.record(session, plain(TemplatesServiceStub(session.channel()).DeleteTemplate(request)))


def parse_budget(text: str) -> TemplateBudget:
    """`limit_usd=5,period=monthly,soft=yes,threshold=80,threshold=100`. Raises UsageProblem."""
    values = pairs(text, BUDGET_FIELDS)
    if "limit_usd" not in values:
        raise UsageProblem(f"a budget needs limit_usd: {text!r}")
    name, soft = single(values, "period", "none"), single(values, "soft", "no")
    if name not in list(PeriodName) or soft not in ("yes", "no"):
        raise UsageProblem(f"{text!r}: period is one of {', '.join(PeriodName)}, soft is yes or no")
    return TemplateBudget(
        limit_nanousd=usd(single(values, "limit_usd")),
        period=period(PeriodName(name)),
        soft=soft == "yes",
        thresholds=[number(each, "threshold") for each in values.get("threshold", [])],
    )
