"""CustomersService: tenants."""

from typing import Any

from control.caller import caller
from control.domain.budgets import Period, Scope, zone
from control.domain.customers import check_output_limit, check_plan
from control.domain.gateways import GatewayState
from control.domain.identity import Role
from control.domain.key_limits import RATES, check_key_defaults, check_rate, defaults_of, defaults_row
from control.domain.models import check_allowed_models
from control.domain.slugs import checked_slug, slug_of
from control.interceptors.concern import Context
from control.provisioner import Provisioner
from control.services import template_use
from control.services.access import require_operator
from control.services.audit import record_change
from control.services.convert import (
    check_etag,
    checked_email,
    checked_name,
    etag,
    masked_fields,
    resource_id,
    timestamp,
)
from control.services.gateway_message import shown_state
from control.services.gateways import WAIT_S
from control.services.once import once
from control.services.paging import page_of
from control.services.registration import Admission
from control.services.scope import scoped_customer
from control.store import customers as store
from control.store.budgets import insert_budget
from control.store.database import Connection, Database
from control.store.price_plans import load_live_plan
from control.store.resources import lock_customer, transaction_time
from control.store.routers import load_live_router
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID
from control.store.users import insert_user
from control.store.versions import customer_changed
from tollkeeper.errors import Reason, TollkeeperError, already_exists, invalid
from tollkeeper.ids import uuid7
from tollkeeper.money import MAX_NANOUSD, NANOUSD_PER_USD
from tollkeeper.v1 import budgets_pb2, customers_pb2, customers_pb2_grpc
from tollkeeper.v1.templates_pb2 import Template

Customer = customers_pb2.Customer

DEFAULT_BUDGET_NANOUSD = NANOUSD_PER_USD
_MAX_EQUAL_NAMES = 1000
_CHANGEABLE = (
    "name",
    "email",
    "plan",
    "time_zone",
    "suspended",
    "default_router_id",
    "default_output_limit",
    "allowed_models",
    "requests_per_minute",
    "tokens_per_minute",
    "max_concurrent_requests",
    "key_defaults",
    "price_plan_id",
)
_CREATED_OTHERWISE = frozenset({"plan", "time_zone", "default_router_id"})
# A customer's own administrators can't change what the platform decided about it.
_OPERATORS_ONLY = frozenset({"plan", "suspended", "allowed_models", *RATES, "price_plan_id"})


class CustomersService(customers_pb2_grpc.CustomersServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database, provisioner: Provisioner, admission: Admission) -> None:
        self._database = database
        self._provisioner = provisioner
        self._admission = admission

    async def CreateCustomer(self, request: customers_pb2.CreateCustomerRequest, context: object) -> Customer:
        """A new customer with its first budget: $1.00 for ever, hard, unless told otherwise."""

        async def work(connection: Connection) -> Customer:
            # The request id belongs to the operators: the customer isn't there yet.
            return await once(
                connection,
                PLATFORM_CUSTOMER_ID,
                request,
                Customer,
                lambda: create_customer(connection, request, self._provisioner),
            )

        customer = await self._database.write_again(work)
        self._provisioner.wake()
        return customer

    async def RegisterCustomer(
        self, request: customers_pb2.RegisterCustomerRequest, context: Context
    ) -> Customer:
        """A new customer with an owner, and a gateway of its own if Cloudflare is quick (B1)."""
        sent = Customer(name=checked_name(request.name), email=checked_email(request.email))
        self._admission.admit(context)

        async def work(connection: Connection) -> Customer:
            return await once(
                connection,
                PLATFORM_CUSTOMER_ID,
                request,
                Customer,
                lambda: _register(connection, sent, self._provisioner),
            )

        customer_id = (await self._database.write_again(work)).customer_id
        self._admission.registered()
        await self._provisioner.provision(customer_id, WAIT_S)
        async with self._database.read() as connection:
            return _message(await store.load_customer(connection, customer_id))

    async def GetCustomer(self, request: customers_pb2.GetCustomerRequest, context: object) -> Customer:
        """A customer by id or slug; deleted ones by id."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id, deleted_too=True)
            return _message(await store.load_customer(connection, customer_id))

    async def ListCustomers(
        self, request: customers_pb2.ListCustomersRequest, context: object
    ) -> customers_pb2.ListCustomersResponse:
        """All customers for operators, their own for others; oldest first."""
        page = page_of(request)
        identity = caller()
        async with self._database.read() as connection:
            rows = await store.list_customers(
                connection,
                page.after,
                page.size + 1,
                store.CustomerFilter(
                    only="" if identity.operator else identity.customer_id,
                    deleted_too=request.show_deleted,
                    prefix=checked_name(request.prefix, "prefix").lower() if request.prefix else "",
                    plan=check_plan(request.plan) if request.plan else "",
                    suspended=request.suspended if request.HasField("suspended") else None,
                ),
            )
        shown = rows[: page.size]
        return customers_pb2.ListCustomersResponse(
            customers=[_message(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["customer_id"]) if shown else "",
        )

    async def UpdateCustomer(self, request: customers_pb2.UpdateCustomerRequest, context: object) -> Customer:
        """Changes the masked fields. Suspending refuses all requests of the customer at once."""
        sent = request.customer
        fields = masked_fields(request.update_mask, sent, _CHANGEABLE)
        if fields & _OPERATORS_ONLY:
            require_operator(f"change {' and '.join(sorted(fields & _OPERATORS_ONLY))}")

        async def work(connection: Connection) -> Customer:
            customer_id = await scoped_customer(connection, sent.customer_id)
            if customer_id == PLATFORM_CUSTOMER_ID and "suspended" in fields:
                raise invalid("The platform's own customer can't be suspended.", field="suspended")
            values = {field: _column(sent, field) for field in fields}
            if values.get("price_plan_id"):
                # Before the customer's own lock, as whoever changes a plan does: none goes meanwhile.
                await lock_customer(connection, PLATFORM_CUSTOMER_ID)
                await load_live_plan(connection, values["price_plan_id"])
            row = await lock_customer(connection, customer_id)
            check_etag(sent.etag, row["revision"])
            if values.get("default_router_id"):
                await load_live_router(connection, customer_id, values["default_router_id"])
            message = _message(await store.update_customer(connection, row, values))
            await record_change(connection, customer_id, _message(row), message)
            await customer_changed(connection, customer_id, urgent="suspended" in fields)
            return message

        return await self._database.write_again(work)

    async def DeleteCustomer(self, request: customers_pb2.DeleteCustomerRequest, context: object) -> Customer:
        """Ends a customer; refused while it has live keys, unless forced."""

        async def work(connection: Connection) -> Customer:
            customer_id = await scoped_customer(connection, request.customer_id)
            if customer_id == PLATFORM_CUSTOMER_ID:
                raise invalid("The platform's own customer can't be deleted.")
            row = await lock_customer(connection, customer_id)
            check_etag(request.etag, row["revision"])
            key_count = await store.count_live_keys(connection, customer_id)
            if key_count and not request.force:
                raise TollkeeperError(
                    Reason.IN_USE,
                    f"The customer has {key_count} live keys; force stops them with it.",
                    {"resource": "customer", "resource_id": customer_id, "keys": str(key_count)},
                )
            now = await transaction_time(connection)
            ended = await store.delete_customer(connection, row, now)
            message = _message(await self._provisioner.give_up(connection, ended))
            await record_change(connection, customer_id, _message(row), message)
            await customer_changed(connection, customer_id, urgent=True)
            return message

        customer = await self._database.write_again(work)
        self._provisioner.wake()
        return customer


async def create_customer(
    connection: Connection,
    request: customers_pb2.CreateCustomerRequest,
    provisioner: Provisioner | None = None,
) -> Customer:
    """Makes the customer and its first budget, in the caller's transaction. Without a provisioner its
    gateway is made a while later."""
    sent = Customer()
    sent.CopyFrom(request.customer)
    template = await template_use.load(connection, request.template) if request.template else Template()
    template_use.fill_in(sent, template)
    customer_id = str(uuid7())
    values = {field: _column(sent, field) for field in _CHANGEABLE if field not in _CREATED_OTHERWISE}
    values |= {
        "slug": checked_slug(sent.slug) if sent.slug else await _free_slug(connection, values["name"]),
        "plan": _column(sent, "plan") if sent.plan else "free",
        "time_zone": _column(sent, "time_zone") if sent.time_zone else "UTC",
        "template": template.name,
    }
    if sent.default_router_id:
        raise invalid("A new customer has no routers yet.", field="default_router_id")
    if values["price_plan_id"]:
        await lock_customer(connection, PLATFORM_CUSTOMER_ID)
        await load_live_plan(connection, values["price_plan_id"])
    row = await store.insert_customer(connection, customer_id, values)
    if provisioner is not None and provisioner.makes_gateways:
        await provisioner.want(connection, row)
    for budget in _first_budgets(request, template, customer_id):
        await insert_budget(connection, customer_id, budget)
    router_id = await template_use.give_router(connection, customer_id, template)
    if router_id is not None:
        await store.set_default_router(connection, customer_id, router_id)
    message = _message(await store.load_customer(connection, customer_id))
    await record_change(connection, customer_id, None, message)
    await customer_changed(connection, customer_id)
    return message


async def _register(connection: Connection, sent: Customer, provisioner: Provisioner) -> Customer:
    """The customer, and an owner of the same email who gets a password from an administrator."""
    request = customers_pb2.CreateCustomerRequest(customer=sent)
    customer = await create_customer(connection, request, provisioner)
    owner = {"email": customer.email, "name": ""}
    await insert_user(connection, customer.customer_id, str(uuid7()), Role.OWNER, owner)
    return customer


def _first_budgets(
    request: customers_pb2.CreateCustomerRequest, template: Template, customer_id: str
) -> list[dict[str, Any]]:
    """As the request says, else as the template does, else a dollar."""
    if request.template and not request.HasField("budget"):
        return template_use.budget_rows(template, customer_id)
    scope = {"scope": Scope.SCOPE_CUSTOMER, "scope_id": customer_id}
    if not request.HasField("budget"):
        return [{**scope, "limit_nanousd": DEFAULT_BUDGET_NANOUSD, "period": Period.PERIOD_NONE}]
    if not request.budget.HasField("limit_nanousd"):
        return []
    limit_nanousd = request.budget.limit_nanousd
    if not 1 <= limit_nanousd <= MAX_NANOUSD:
        raise invalid("limit_nanousd is out of range.", field="limit_nanousd")
    period = request.budget.period or Period.PERIOD_NONE
    if period not in budgets_pb2.Period.values():
        raise invalid("period isn't one.", field="period")
    return [{**scope, "limit_nanousd": limit_nanousd, "period": period}]


async def _free_slug(connection: Connection, name: str) -> str:
    for number in range(1, _MAX_EQUAL_NAMES + 1):
        slug = slug_of(name, number)
        if not await store.slug_taken(connection, slug):
            return slug
    raise already_exists("customer", "name", name)


def _column(sent: Customer, field: str) -> Any:
    """What one field of the message writes to its column."""
    match field:
        case "name":
            return checked_name(sent.name)
        case "email":
            return checked_email(sent.email) if sent.email else ""
        case "plan":
            return check_plan(sent.plan)
        case "time_zone":
            return zone(sent.time_zone).key
        case "price_plan_id":
            return resource_id("price_plan", sent.price_plan_id) if sent.price_plan_id else None
        case "default_router_id":
            return resource_id("router", sent.default_router_id) if sent.default_router_id else None
        case "default_output_limit":
            return check_output_limit(sent.default_output_limit)
        case "allowed_models":
            return check_allowed_models(sent.allowed_models)
        case "requests_per_minute" | "tokens_per_minute" | "max_concurrent_requests":
            return check_rate(getattr(sent, field), field)
        case "key_defaults":
            return defaults_row(check_key_defaults(sent.key_defaults))
        case _:
            return sent.suspended


def _message(row: Row) -> Customer:
    return Customer(
        customer_id=row["customer_id"],
        slug=row["slug"],
        name=row["name"],
        email=row["email"],
        plan=row["plan"],
        time_zone=row["time_zone"],
        suspended=row["suspended"],
        cf_gateway_id=row["cf_gateway_id"] or "",
        default_router_id=row["default_router_id"] or "",
        default_output_limit=row["default_output_limit"],
        allowed_models=row["allowed_models"],
        requests_per_minute=row["requests_per_minute"],
        tokens_per_minute=row["tokens_per_minute"],
        max_concurrent_requests=row["max_concurrent_requests"],
        key_defaults=defaults_of(row["key_defaults"]) if row["key_defaults"] else None,
        price_plan_id=row["price_plan_id"] or "",
        template=row["template"],
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
        delete_time=timestamp(row["delete_time"]),
        gateway_state=GatewayState.Name(shown_state(row)),
        gateway_error=row["gateway_error"] if caller().operator else "",
    )
