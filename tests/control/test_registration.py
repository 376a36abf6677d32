"""B1: registering a customer, by operators or anybody where that is open; its gateway, at once or later."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from control.domain.identity import Role
from control.domain.registrations import HOUR_S, PER_ADDRESS, Registrations
from simulator import Settings, Simulator
from tests.control.gateway import refused
from tests.control.harness import RunningControl, running_control
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.budgets_pb2 import ListBudgetsRequest
from tollkeeper.v1.customers_pb2 import (
    CreateCustomerRequest,
    Customer,
    GetCustomerRequest,
    ListCustomersRequest,
    RegisterCustomerRequest,
)
from tollkeeper.v1.gateways_pb2 import (
    GATEWAY_STATE_FAILED,
    GATEWAY_STATE_READY,
    GATEWAY_STATE_SHARED,
)
from tollkeeper.v1.users_pb2 import ROLE_OWNER, CreateUserRequest, ListUsersRequest, User

ACCOUNT = "0123456789abcdef0123456789abcdef"
ACME = RegisterCustomerRequest(email="Ann@Acme.example", name="Acme")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """An account for everybody."""
    async with Simulator(Settings(port=0, drain_s=0.1)) as running:
        yield running


@pytest.fixture
async def tenancy(simulator: Simulator, database_url: str, tmp_path: Path) -> AsyncIterator[RunningControl]:
    """A replica with an account."""
    async with running_control(
        database_url,
        tmp_path,
        cf_account_id=ACCOUNT,
        cf_api_token="token",
        cf_api_url=f"{simulator.url}/client/v4",
    ) as control:
        yield control


async def test_b1_a_registered_customer_is_complete(tenancy: RunningControl, simulator: Simulator) -> None:
    """Plan free, one dollar, an owner without a password, and a gateway of its own in the very answer."""
    cli = await tenancy.cli()
    customer = await cli.customers.RegisterCustomer(ACME)
    assert (customer.name, customer.email, customer.plan) == ("Acme", "ann@acme.example", "free")
    assert customer.gateway_state == GATEWAY_STATE_READY
    assert customer.cf_gateway_id in simulator.gateways.ids()
    [budget] = (await cli.budgets.ListBudgets(ListBudgetsRequest(customer_id="acme"))).budgets
    assert budget.limit_nanousd == 1_000_000_000
    [owner] = (await cli.users.ListUsers(ListUsersRequest(customer_id="acme"))).users
    assert (owner.email, owner.role) == ("ann@acme.example", ROLE_OWNER)


async def test_b1_a_failing_gateway_does_not_fail_the_registration(
    tenancy: RunningControl, simulator: Simulator
) -> None:
    """Registered all the same, without a gateway; made in the background when Cloudflare is back."""
    simulator.management.faults.add(orjson.dumps({"method": "POST", "status": 503, "message": "Down"}))
    customers = (await tenancy.cli()).customers
    customer = await customers.RegisterCustomer(ACME)
    assert (customer.cf_gateway_id, customer.gateway_state) == ("", GATEWAY_STATE_FAILED)
    assert customer.gateway_error == "Cloudflare: 503: Down"
    async with asyncio.timeout(20):
        while not customer.cf_gateway_id:
            await asyncio.sleep(0.1)
            customer = await customers.GetCustomer(GetCustomerRequest(customer_id=customer.customer_id))
    assert customer.gateway_state == GATEWAY_STATE_READY


async def test_b1_a_slow_cloudflare_does_not_hold_the_registration_up(
    tenancy: RunningControl, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes in time, and the try goes on."""
    monkeypatch.setattr("control.services.customers.WAIT_S", 0.2)
    simulator.management.faults.add(orjson.dumps({"method": "POST", "delay_ms": 1000}))
    customers = (await tenancy.cli()).customers
    customer = await customers.RegisterCustomer(ACME)
    assert customer.cf_gateway_id == ""
    async with asyncio.timeout(10):
        while not customer.cf_gateway_id:
            await asyncio.sleep(0.05)
            customer = await customers.GetCustomer(GetCustomerRequest(customer_id=customer.customer_id))


async def test_repeated_and_taken(control: RunningControl) -> None:
    """One request id makes one customer; an email that somebody has is refused, and nothing stays."""
    cli = await control.cli()
    request = RegisterCustomerRequest(email="a@b.example", name="A", request_id=str(uuid7()))
    first = await cli.customers.RegisterCustomer(request)
    assert await cli.customers.RegisterCustomer(request) == first
    assert first.gateway_state == GATEWAY_STATE_SHARED
    with refused(Reason.ALREADY_EXISTS):
        await cli.customers.RegisterCustomer(RegisterCustomerRequest(email="A@B.example", name="Other"))
    await cli.customers.CreateCustomer(CreateCustomerRequest(customer=Customer(name="Plain", slug="plain")))
    user = User(customer_id="plain", email="u@b.example")
    await cli.users.CreateUser(CreateUserRequest(user=user))
    with refused(Reason.ALREADY_EXISTS) as refusal:
        await cli.customers.RegisterCustomer(RegisterCustomerRequest(email="u@b.example", name="Other"))
    assert refusal.metadata["resource"] == "user"
    listed = (await cli.customers.ListCustomers(ListCustomersRequest())).customers
    assert [each.slug for each in listed] == ["a", "plain"]


@pytest.mark.parametrize(
    ("email", "name", "field"),
    [
        ("", "Acme", "email"),
        ("nobody", "Acme", "email"),
        ("a b@c.example", "Acme", "email"),
        ("a@b.example", "", "name"),
        ("a@b.example", "x" * 201, "name"),
        ("a@b.example", "line\nbreak", "name"),
    ],
)
async def test_bad_fields(control: RunningControl, email: str, name: str, field: str) -> None:
    """Each is named."""
    cli = await control.cli()
    with refused(Reason.INVALID_ARGUMENT) as refusal:
        await cli.customers.RegisterCustomer(RegisterCustomerRequest(email=email, name=name))
    assert refusal.metadata["field"] == field


async def test_only_operators_unless_open(control: RunningControl) -> None:
    """Strangers have to sign in, owners are denied."""
    customer = await control.customer("acme")
    owner = await control.person(customer.customer_id, Role.OWNER)
    with refused(Reason.UNAUTHENTICATED):
        await (await control.client()).customers.RegisterCustomer(ACME)
    with refused(Reason.PERMISSION_DENIED):
        await owner.client.customers.RegisterCustomer(ACME)
    with refused(Reason.PERMISSION_DENIED):
        await (await control.edge()).customers.RegisterCustomer(ACME)


async def test_open_registration_is_throttled(database_url: str, tmp_path: Path) -> None:
    """Anybody may, so many times an hour; refusals say how long to wait; operators go on."""
    async with running_control(
        database_url, tmp_path, 1, open_registration=True, registrations_per_hour=3
    ) as control:
        anybody = (await control.client()).customers
        for number in range(3):
            request = RegisterCustomerRequest(email=f"{number}@b.example", name="B")
            assert (await anybody.RegisterCustomer(request)).slug.startswith("b")
        request = RegisterCustomerRequest(email="4@b.example", name="B")
        with refused(Reason.RATE_LIMIT_EXCEEDED) as refusal:
            await anybody.RegisterCustomer(request)
        assert refusal.error is not None
        assert refusal.error.retry_after_s is not None
        assert 0 < refusal.error.retry_after_s <= HOUR_S
        await (await control.cli()).customers.RegisterCustomer(request)


def test_counts_of_an_hour() -> None:
    """An address has a few, all together have more, and an hour later all begin anew."""
    registrations = Registrations(per_hour=PER_ADDRESS + 1)
    for second in range(PER_ADDRESS):
        assert registrations.wait_s("a", second) == 0
        registrations.registered("a", second)
    assert registrations.wait_s("a", 10) == HOUR_S - 10
    assert registrations.wait_s("b", 10) == 0
    registrations.registered("b", 10)
    assert registrations.wait_s("c", 11) == HOUR_S - 11
    assert registrations.wait_s("a", HOUR_S) == 0
