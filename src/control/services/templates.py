"""TemplatesService: what customers of a plan start with."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from control.domain.budgets import MAX_BUDGETS_PER_SCOPE, check_limit, check_period, check_thresholds
from control.domain.customers import check_output_limit, check_plan
from control.domain.key_limits import check_key_defaults, check_rate_limits
from control.domain.models import check_allowed_models
from control.services.audit import record_change
from control.services.convert import check_etag, checked_name, etag, masked_fields, resource_id, timestamp
from control.services.once import once
from control.services.paging import page_of
from control.services.routers import check_rules
from control.store import templates as store
from control.store.database import Connection, Database
from control.store.price_plans import load_live_plan
from control.store.resource_grants import Kind, usable
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID
from tollkeeper.errors import invalid, not_found
from tollkeeper.ids import is_uuid
from tollkeeper.v1 import templates_pb2, templates_pb2_grpc
from tollkeeper.v1.templates_pb2 import Template, TemplateBudget

_SETTINGS = (
    "plan",
    "budgets",
    "allowed_models",
    "requests_per_minute",
    "tokens_per_minute",
    "max_concurrent_requests",
    "default_output_limit",
    "key_defaults",
    "router_id",
    "rules",
    "price_plan_id",
)
_CHANGEABLE = ("name", *_SETTINGS)


class TemplatesService(templates_pb2_grpc.TemplatesServiceServicer):
    """Raises TollkeeperError as the contract says. The table of roles lets operators in alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateTemplate(self, request: templates_pb2.CreateTemplateRequest, context: object) -> Template:
        """A new template."""

        async def work(connection: Connection) -> Template:
            return await once(
                connection,
                PLATFORM_CUSTOMER_ID,
                request,
                Template,
                lambda: _create(connection, request.template),
            )

        return await self._database.write_again(work)

    async def GetTemplate(self, request: templates_pb2.GetTemplateRequest, context: object) -> Template:
        """A template by name, or by id, then deleted ones too."""
        async with self._database.read() as connection:
            return template_message(await store.load_template(connection, _identified(request.template_id)))

    async def ListTemplates(
        self, request: templates_pb2.ListTemplatesRequest, context: object
    ) -> templates_pb2.ListTemplatesResponse:
        """Live templates, oldest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            rows = await store.list_templates(connection, page.after, page.size + 1)
        shown = rows[: page.size]
        return templates_pb2.ListTemplatesResponse(
            templates=[template_message(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["template_id"]) if shown else "",
        )

    async def UpdateTemplate(self, request: templates_pb2.UpdateTemplateRequest, context: object) -> Template:
        """Changes the masked fields, for customers to come."""
        sent = request.template
        fields = masked_fields(request.update_mask, sent, _CHANGEABLE)

        async def work(connection: Connection) -> Template:
            await lock_customer(connection, PLATFORM_CUSTOMER_ID)
            row = await store.load_live_template(connection, _identified(sent.template_id))
            check_etag(sent.etag, row["revision"])
            before = template_message(row)
            changed = Template()
            changed.CopyFrom(before)
            for field in fields:
                changed.ClearField(field)
            changed.MergeFrom(_only(sent, fields))
            values = {"name": _checked_name(changed.name), "settings": await _settings(connection, changed)}
            message = template_message(await store.update_template(connection, row, values))
            await record_change(connection, PLATFORM_CUSTOMER_ID, before, message)
            return message

        return await self._database.write_again(work)

    async def DeleteTemplate(self, request: templates_pb2.DeleteTemplateRequest, context: object) -> Template:
        """Ends a template; customers made with it stay as they are."""

        async def work(connection: Connection) -> Template:
            await lock_customer(connection, PLATFORM_CUSTOMER_ID)
            row = await store.load_live_template(connection, _identified(request.template_id))
            check_etag(request.etag, row["revision"])
            ended = {"delete_time": await transaction_time(connection)}
            message = template_message(await store.update_template(connection, row, ended))
            await record_change(connection, PLATFORM_CUSTOMER_ID, template_message(row), message)
            return message

        return await self._database.write_again(work)


async def _create(connection: Connection, sent: Template) -> Template:
    await lock_customer(connection, PLATFORM_CUSTOMER_ID)
    values = {"name": _checked_name(sent.name), "settings": await _settings(connection, sent)}
    message = template_message(await store.insert_template(connection, values))
    await record_change(connection, PLATFORM_CUSTOMER_ID, None, message)
    return message


def _identified(name: str) -> str:
    if not name:
        raise invalid("template_id is needed.", field="template_id")
    return name


def _checked_name(text: str) -> str:
    """Nothing that could be taken for an id."""
    name = checked_name(text)
    if is_uuid(name):
        raise invalid("name must not look like an id.", field="name")
    return name


def _only(sent: Template, fields: frozenset[str]) -> Template:
    chosen = Template()
    chosen.CopyFrom(sent)
    for field, _ in sent.ListFields():
        if field.name not in fields:
            chosen.ClearField(field.name)
    return chosen


async def _settings(connection: Connection, sent: Template) -> dict[str, Any]:
    """What is stored, once all of it could make a customer. Raises INVALID_ARGUMENT, NOT_FOUND."""
    if sent.router_id and sent.rules:
        raise invalid("A template has a router or rules, not both.", field="rules")
    if sent.router_id:
        router_id = resource_id("router", sent.router_id)
        if router_id not in await usable(connection, Kind.ROUTER, PLATFORM_CUSTOMER_ID, [router_id]):
            raise not_found("router", sent.router_id)
    if sent.price_plan_id:
        await load_live_plan(connection, resource_id("price_plan", sent.price_plan_id))
    await check_rules(connection, PLATFORM_CUSTOMER_ID, sent.rules)
    checked = Template(
        plan=check_plan(sent.plan) if sent.plan else "",
        budgets=_checked_budgets(sent.budgets),
        allowed_models=check_allowed_models(sent.allowed_models),
        default_output_limit=check_output_limit(sent.default_output_limit),
        router_id=sent.router_id.lower(),
        rules=sent.rules,
        price_plan_id=sent.price_plan_id.lower(),
    )
    for field, limit in check_rate_limits(sent).items():
        setattr(checked, field, limit)
    if sent.HasField("key_defaults"):
        checked.key_defaults.CopyFrom(check_key_defaults(sent.key_defaults))
    for rule in checked.rules:
        rule.ClearField("rule_id")
    return MessageToDict(checked, preserving_proto_field_name=True)


def _checked_budgets(budgets: Sequence[TemplateBudget]) -> list[TemplateBudget]:
    if len(budgets) > MAX_BUDGETS_PER_SCOPE:
        raise invalid(f"A scope has at most {MAX_BUDGETS_PER_SCOPE} budgets.", field="budgets")
    return [
        TemplateBudget(
            limit_nanousd=check_limit(budget.limit_nanousd),
            period=check_period(budget.period),  # type: ignore[arg-type]
            soft=budget.soft,
            thresholds=check_thresholds(budget.thresholds),
        )
        for budget in budgets
    ]


def template_message(row: Row) -> Template:
    """The message of a template's row."""
    message = Template(
        template_id=row["template_id"],
        name=row["name"],
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
        delete_time=timestamp(row["delete_time"]),
    )
    return ParseDict(row["settings"], message)
