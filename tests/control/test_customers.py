"""CustomersService over real gRPC and a real database."""

import asyncio

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text

from control.domain.identity import Role
from control.domain.slugs import slug_of
from control.store.tables import PLATFORM_CUSTOMER_ID
from tests.control.gateway import make_provider
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1.budgets_pb2 import (
    PERIOD_MONTHLY,
    PERIOD_NONE,
    SCOPE_CUSTOMER,
    Budget,
    InitialBudget,
    ListBudgetsRequest,
)
from tollkeeper.v1.customers_pb2 import (
    CreateCustomerRequest,
    Customer,
    DeleteCustomerRequest,
    GetCustomerRequest,
    ListCustomersRequest,
    UpdateCustomerRequest,
)
from tollkeeper.v1.keys_pb2 import CreateKeyRequest, Key
from tollkeeper.v1.routers_pb2 import CreateRouterRequest, Router
from tollkeeper.v1.users_pb2 import CreateUserRequest, User


async def refused(awaitable: object) -> Reason:
    """The reason a call is refused with."""
    with pytest.raises(TollkeeperError) as refusal:
        await awaitable  # type: ignore[misc]
    return refusal.value.reason


async def budgets_of(control: RunningControl, customer: Customer) -> list[Budget]:
    """The customer's own budgets."""
    request = ListBudgetsRequest(customer_id=customer.customer_id)
    return list((await (await control.cli()).budgets.ListBudgets(request)).budgets)


async def test_new_customer_gets_the_defaults(control: RunningControl) -> None:
    """Plan free, UTC, a slug from the name, and a hard budget of one dollar that never resets."""
    cli = await control.cli()
    customer = await cli.customers.CreateCustomer(CreateCustomerRequest(customer=Customer(name="Äcme & Co.")))
    assert (customer.slug, customer.plan, customer.time_zone) == ("acme-co", "free", "UTC")
    assert not customer.suspended
    [budget] = await budgets_of(control, customer)
    assert (budget.limit_nanousd, budget.period, budget.soft) == (1_000_000_000, PERIOD_NONE, False)
    assert (budget.scope, budget.scope_id) == (SCOPE_CUSTOMER, customer.customer_id)
    by_slug = await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme-co"))
    by_id = await cli.customers.GetCustomer(GetCustomerRequest(customer_id=customer.customer_id))
    assert by_slug == by_id == customer


async def test_first_budget_as_asked(control: RunningControl) -> None:
    """A limit and a period, or none at all, where the request says so."""
    cli = await control.cli()
    limited = await cli.customers.CreateCustomer(
        CreateCustomerRequest(
            customer=Customer(name="a"), budget=InitialBudget(limit_nanousd=5, period=PERIOD_MONTHLY)
        )
    )
    [budget] = await budgets_of(control, limited)
    assert (budget.limit_nanousd, budget.period) == (5, PERIOD_MONTHLY)
    unlimited = await cli.customers.CreateCustomer(
        CreateCustomerRequest(customer=Customer(name="b"), budget=InitialBudget())
    )
    assert await budgets_of(control, unlimited) == []
    nothing = CreateCustomerRequest(customer=Customer(name="c"), budget=InitialBudget(limit_nanousd=0))
    assert await refused(cli.customers.CreateCustomer(nothing)) == Reason.INVALID_ARGUMENT


async def test_equal_names_get_different_slugs(control: RunningControl) -> None:
    """The second of a name is numbered; a slug somebody chose is never changed."""
    cli = await control.cli()
    make = CreateCustomerRequest(customer=Customer(name="Acme"))
    slugs = [(await cli.customers.CreateCustomer(make)).slug for _ in range(3)]
    assert slugs == ["acme", "acme-2", "acme-3"]
    chosen = CreateCustomerRequest(customer=Customer(name="Other", slug="acme"))
    assert await refused(cli.customers.CreateCustomer(chosen)) == Reason.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme", "acme"),
        ("  Ünïcode  Ltd. ", "unicode-ltd"),
        ("日本", "customer"),
        ("x" * 200, "x" * 55),
        ("00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000001-1"),
    ],
)
def test_slugs_made_from_names(name: str, slug: str) -> None:
    """Letters and digits stay, the rest becomes hyphens; it is never something that looks like an id."""
    assert slug_of(name) == slug


@pytest.mark.parametrize(
    "customer",
    [
        Customer(),
        Customer(name="a", slug="Upper"),
        Customer(name="a", slug="-a"),
        Customer(name="a", slug="a" * 64),
        Customer(name="a", slug="00000000-0000-7000-8000-000000000001"),
        Customer(name="a", email="no address"),
        Customer(name="a", time_zone="Mars/Olympus"),
        Customer(name="a", time_zone="../../etc/passwd"),
        Customer(name="a", default_output_limit=-1),
        Customer(name="a", default_router_id=str(uuid7())),
        Customer(name="a", plan="x" * 51),
        Customer(name="line\nbreak"),
    ],
)
async def test_what_no_customer_can_be(control: RunningControl, customer: Customer) -> None:
    """Bad fields are refused, and nothing is left behind."""
    cli = await control.cli()
    request = CreateCustomerRequest(customer=customer)
    assert await refused(cli.customers.CreateCustomer(request)) == Reason.INVALID_ARGUMENT
    assert not (await cli.customers.ListCustomers(ListCustomersRequest())).customers


async def test_repeated_and_concurrent_requests_make_one_customer(control: RunningControl) -> None:
    """Ten calls at once with one request id: one customer, one answer."""
    cli = await control.cli()
    request = CreateCustomerRequest(customer=Customer(name="Acme"), request_id=str(uuid7()))
    answers = await asyncio.gather(*(cli.customers.CreateCustomer(request) for _ in range(10)))
    assert all(answer == answers[0] for answer in answers)
    assert len((await cli.customers.ListCustomers(ListCustomersRequest())).customers) == 1


async def test_changes(control: RunningControl) -> None:
    """Each masked field changes, others don't, and the email is unique among customers."""
    cli = await control.cli()
    customer = await control.customer("acme")
    await control.customer("other")
    router = await cli.routers.CreateRouter(
        CreateRouterRequest(router=Router(customer_id="acme", name="main"))
    )
    customer.name, customer.email, customer.plan = "New", "Bills@acme.example", "pro"
    customer.time_zone, customer.default_output_limit = "Europe/Berlin", 4096
    customer.default_router_id = router.router_id
    paths = ["name", "email", "plan", "time_zone", "default_output_limit", "default_router_id"]
    changed = await cli.customers.UpdateCustomer(
        UpdateCustomerRequest(customer=customer, update_mask=FieldMask(paths=paths))
    )
    assert (changed.name, changed.email, changed.plan) == ("New", "bills@acme.example", "pro")
    assert (changed.time_zone, changed.default_output_limit) == ("Europe/Berlin", 4096)
    assert changed.default_router_id == router.router_id

    taken = Customer(customer_id="other", email="bills@ACME.example")
    request = UpdateCustomerRequest(customer=taken, update_mask=FieldMask(paths=["email"]))
    assert await refused(cli.customers.UpdateCustomer(request)) == Reason.ALREADY_EXISTS
    foreign = Customer(customer_id="other", default_router_id=router.router_id)
    request = UpdateCustomerRequest(customer=foreign, update_mask=FieldMask(paths=["default_router_id"]))
    assert await refused(cli.customers.UpdateCustomer(request)) == Reason.NOT_FOUND
    changed.slug = "moved"
    request = UpdateCustomerRequest(customer=changed, update_mask=FieldMask(paths=["slug"]))
    assert await refused(cli.customers.UpdateCustomer(request)) == Reason.INVALID_ARGUMENT


async def test_own_administrators_change_what_is_theirs(control: RunningControl) -> None:
    """An owner renames the customer, but neither lifts a suspension nor changes the plan; others see
    nothing."""
    customer, other = await control.customer("acme"), await control.customer("other")
    owner = await control.person(customer.customer_id, Role.OWNER)
    customers = owner.client.customers
    rename = UpdateCustomerRequest(customer=Customer(name="New"), update_mask=FieldMask(paths=["name"]))
    assert (await customers.UpdateCustomer(rename)).name == "New"
    for field in ("suspended", "plan"):
        request = UpdateCustomerRequest(customer=Customer(plan="pro"), update_mask=FieldMask(paths=[field]))
        assert await refused(customers.UpdateCustomer(request)) == Reason.PERMISSION_DENIED
    listed = (await customers.ListCustomers(ListCustomersRequest())).customers
    assert [each.customer_id for each in listed] == [customer.customer_id]
    foreign = GetCustomerRequest(customer_id=other.customer_id)
    assert await refused(customers.GetCustomer(foreign)) == Reason.NOT_FOUND


async def test_versions_tell_the_edges(control: RunningControl) -> None:
    """Every change raises the customer's version; suspending and deleting also the urgent one."""
    cli = await control.cli()
    customer = await control.customer("acme")

    async def versions() -> tuple[int, int]:
        statement = text("SELECT version, urgent_version FROM customers WHERE customer_id = :id")
        async with control.database.read() as connection:
            row = (await connection.execute(statement, {"id": customer.customer_id})).one()
        return row.version, row.urgent_version

    async def change(field: str, **values: object) -> None:
        sent = Customer(customer_id="acme", **values)  # type: ignore[arg-type]
        await cli.customers.UpdateCustomer(
            UpdateCustomerRequest(customer=sent, update_mask=FieldMask(paths=[field]))
        )

    made = await versions()
    await change("name", name="New")
    renamed = await versions()
    assert renamed[0] > made[0]
    assert renamed[1] == made[1]
    await change("suspended", suspended=True)
    suspended = await versions()
    assert suspended[1] == suspended[0] > renamed[0]
    await cli.customers.DeleteCustomer(DeleteCustomerRequest(customer_id="acme"))
    deleted = await versions()
    assert deleted[1] == deleted[0] > suspended[0]


async def test_deleting(control: RunningControl) -> None:
    """Live keys are in the way unless forced; slug and emails become free; it is read by id only."""
    cli = await control.cli()
    customer = await control.customer("acme")
    user = User(customer_id="acme", email="a@b.example")
    await cli.users.CreateUser(CreateUserRequest(user=user))
    await cli.keys.CreateKey(CreateKeyRequest(key=Key(customer_id="acme", name="k")))
    delete = DeleteCustomerRequest(customer_id="acme")
    with pytest.raises(TollkeeperError) as refusal:
        await cli.customers.DeleteCustomer(delete)
    assert (refusal.value.reason, refusal.value.metadata["keys"]) == (Reason.IN_USE, "1")
    delete.force = True
    deleted = await cli.customers.DeleteCustomer(delete)
    assert deleted.HasField("delete_time")

    read = GetCustomerRequest(customer_id=customer.customer_id)
    assert await cli.customers.GetCustomer(read) == deleted
    assert (
        await refused(cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme"))) == Reason.NOT_FOUND
    )
    assert not (await cli.customers.ListCustomers(ListCustomersRequest())).customers
    shown = await cli.customers.ListCustomers(ListCustomersRequest(show_deleted=True))
    assert list(shown.customers) == [deleted]
    again = await control.customer("acme")
    user.customer_id = again.customer_id
    await cli.users.CreateUser(CreateUserRequest(user=user))
    late = CreateKeyRequest(key=Key(customer_id=customer.customer_id, name="k"))
    assert await refused(cli.keys.CreateKey(late)) == Reason.NOT_FOUND


async def test_platforms_own_customer_stays(control: RunningControl) -> None:
    """It isn't listed, and can't be deleted."""
    cli = await control.cli()
    request = DeleteCustomerRequest(customer_id=PLATFORM_CUSTOMER_ID, force=True)
    assert await refused(cli.customers.DeleteCustomer(request)) == Reason.INVALID_ARGUMENT


async def test_operators_find_customers_by_prefix_plan_and_state(control: RunningControl) -> None:
    """Over pages, whatever the case; wildcards of the database are only letters."""
    cli = await control.cli()
    for name, slug, email, plan, suspended in (
        ("Acme", "acme", "bills@acme.example", "pro", False),
        ("ACME Labs", "labs", "", "free", True),
        ("Bolt", "bolt", "acme@bolt.example", "pro", True),
        ("50% off", "half", "", "free", False),
    ):
        customer = Customer(name=name, slug=slug, email=email, plan=plan, suspended=suspended)
        await cli.customers.CreateCustomer(CreateCustomerRequest(customer=customer))

    async def found(**filters: object) -> list[str]:
        slugs: list[str] = []
        request = ListCustomersRequest(page_size=1, **filters)  # type: ignore[arg-type]
        while True:
            answer = await cli.customers.ListCustomers(request)
            slugs += [each.slug for each in answer.customers]
            if not answer.next_page_token:
                return slugs
            request.page_token = answer.next_page_token

    assert await found(prefix="aCMe") == ["acme", "labs", "bolt"]
    assert await found(prefix="acme", plan="pro") == ["acme", "bolt"]
    assert await found(suspended=True) == ["labs", "bolt"]
    assert await found(suspended=False) == ["acme", "half"]
    assert await found(prefix="50%") == ["half"]
    assert await found(prefix="%") == await found(plan="gone") == []
    owner = await control.person((await control.customer("other")).customer_id, Role.OWNER)
    assert not (await owner.client.customers.ListCustomers(ListCustomersRequest(prefix="acme"))).customers
    for unusable in ({"prefix": "x" * 201}, {"prefix": "\n"}, {"plan": "x" * 51}):
        answer = cli.customers.ListCustomers(ListCustomersRequest(**unusable))  # type: ignore[arg-type]
        assert await refused(answer) == Reason.INVALID_ARGUMENT


async def test_a_deleted_customer_leaves_nothing_that_works(control: RunningControl) -> None:
    """Its keys are revoked and its vendor credentials forgotten; the rows stay."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    await cli.keys.CreateKey(CreateKeyRequest(key=Key(customer_id="acme", name="app")))
    await make_provider(cli, "acme")
    await cli.customers.DeleteCustomer(DeleteCustomerRequest(customer_id="acme", force=True))
    async with control.database.read() as connection:
        live = await connection.scalar(
            text(
                "SELECT (SELECT count(*) FROM keys WHERE revoke_time IS NULL AND customer_id = :c)"
                " + (SELECT count(*) FROM providers WHERE sealed_credential IS NOT NULL AND customer_id = :c)"
            ),
            {"c": acme},
        )
    assert live == 0


async def test_the_platform_is_not_suspended(control: RunningControl) -> None:
    """Nobody would be left to resume it."""
    cli = await control.cli()
    customer = Customer(customer_id="platform", suspended=True)
    with pytest.raises(TollkeeperError) as refusal:
        await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer))
    assert refusal.value.reason == Reason.INVALID_ARGUMENT
