"""Customers' own Cloudflare gateways: made, retried, shared, deleted; real replicas against the simulator."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from control.app import Control
from control.cloudflare.gateways import is_gateway_id
from control.domain.gateways import GatewayState, gateway_id_of, retry_after
from control.domain.identity import Role
from control.domain.sealing import KeyRing
from simulator import Settings, Simulator
from tests.control.gateway import authorize, make_key, make_provider, make_router, refused
from tests.control.harness import RunningControl, replica_settings, running_control
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.audit_pb2 import ListAuditEntriesRequest
from tollkeeper.v1.customers_pb2 import DeleteCustomerRequest, GetCustomerRequest
from tollkeeper.v1.gateways_pb2 import (
    Gateway,
    GetGatewayReconciliationRequest,
    GetGatewayRequest,
    ListGatewaysRequest,
    ProvisionGatewayRequest,
    ReleaseGatewayRequest,
)
from tollkeeper.v1.models_pb2 import GetCloudflareModelsRequest

ACCOUNT = "0123456789abcdef0123456789abcdef"
TOKEN = "cf-token-never-shown"
SHARED, PENDING, READY, FAILED, DELETING = (
    GatewayState.GATEWAY_STATE_SHARED,
    GatewayState.GATEWAY_STATE_PENDING,
    GatewayState.GATEWAY_STATE_READY,
    GatewayState.GATEWAY_STATE_FAILED,
    GatewayState.GATEWAY_STATE_DELETING,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and tries again at once, but still in order."""
    monkeypatch.setattr("control.provisioner.POLL_S", 0.05)
    monkeypatch.setattr("control.provisioner.SWEEP_S", 0.0)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """An account that only the token opens."""
    settings = Settings(port=0, account_id=ACCOUNT, require_token=TOKEN, drain_s=0.1)
    async with Simulator(settings) as running:
        yield running


@asynccontextmanager
async def tenancy(
    simulator: Simulator, database_url: str, data_dir: Path, replicas: int = 1, **settings: Any
) -> AsyncIterator[RunningControl]:
    """Replicas that make gateways at the simulator."""
    account = {
        "cf_account_id": ACCOUNT,
        "cf_api_token": TOKEN,
        "cf_api_url": f"{simulator.url}/client/v4",
    }
    async with running_control(database_url, data_dir, replicas, **{**account, **settings}) as control:
        yield control


@pytest.fixture
async def control(simulator: Simulator, database_url: str, tmp_path: Path) -> AsyncIterator[RunningControl]:
    """One replica with an account."""
    async with tenancy(simulator, database_url, tmp_path) as running:
        yield running


def fault(simulator: Simulator, **order: Any) -> None:
    """The next management calls go wrong."""
    simulator.management.faults.add(orjson.dumps(order))


def made(simulator: Simulator) -> list[str]:
    """Ids of the gateways at Cloudflare, but for the default one."""
    return [each for each in simulator.gateways.ids() if each != "default"]


def calls(simulator: Simulator, method: str) -> int:
    """How often the management API was called so, of the last 64."""
    return len([call for call in simulator.management.state()["calls"] if call["method"] == method])


async def eventually(look: Callable[[], Awaitable[bool]], timeout_s: float = 10.0) -> None:
    """Waits until it holds."""
    async with asyncio.timeout(timeout_s):
        while not await look():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def gateway_of(control: RunningControl, customer_id: str) -> Gateway:
    """The customer's gateway as operators see it."""
    request = GetGatewayRequest(customer_id=customer_id)
    return await (await control.cli()).gateways.GetGateway(request)


async def reaches(control: RunningControl, customer_id: str, state: int) -> Gateway:
    """The gateway once it is in a state."""

    async def there() -> bool:
        return (await gateway_of(control, customer_id)).state == state

    await eventually(there)
    return await gateway_of(control, customer_id)


async def due_now(control: RunningControl) -> None:
    """Backoffs are over."""
    async with control.database.write() as connection:
        await connection.execute(
            text("UPDATE customers SET gateway_try_time = now() WHERE gateway_try_time IS NOT NULL")
        )


async def test_b1_a_customer_gets_a_gateway_of_its_own(control: RunningControl, simulator: Simulator) -> None:
    """Made in the background with everything off; the grant names it, and edges are told."""
    customer = await control.customer("acme")
    assert customer.gateway_state == PENDING
    gateway = await reaches(control, "acme", READY)
    assert made(simulator) == [gateway.gateway_id]
    assert gateway.gateway_id.startswith("tollkeeper-acme-")
    there = simulator.gateways.get(gateway.gateway_id)
    assert (there["collect_logs"], there["cache_ttl"], there["rate_limiting_limit"]) == (False, 0, 0)
    assert there["authentication"] is True
    cli = await control.cli()
    provider = await make_provider(cli, "acme")
    router = await make_router(cli, "acme", provider.provider_id)
    key = await make_key(cli, "acme", router_id=router.router_id)
    grant = await authorize(await control.edge(), key.raw_key)
    assert grant.cf_gateway_id == gateway.gateway_id
    shown = await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme"))
    assert (shown.cf_gateway_id, shown.gateway_state) == (gateway.gateway_id, READY)
    assert shown.etag == customer.etag, "nobody set anything"


async def test_b1_a_failure_is_retried_later_and_shown(control: RunningControl, simulator: Simulator) -> None:
    """The customer is there at once; the error, the tries and the next one are shown; then it works out."""
    fault(simulator, method="POST", status=500, message="Broken", times=2)
    await control.customer("acme")
    failed = await reaches(control, "acme", FAILED)
    assert failed.error == "Cloudflare: 500: Broken"
    assert failed.tries == 1
    assert failed.next_try_time.seconds > time.time() - 1
    cli = await control.cli()
    customer = await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme"))
    assert (customer.cf_gateway_id, customer.gateway_error) == ("", failed.error)
    member = await control.person(customer.customer_id, Role.MEMBER)
    seen = await member.client.customers.GetCustomer(GetCustomerRequest())
    assert (seen.gateway_state, seen.gateway_error) == (FAILED, "")

    async def again() -> bool:
        await due_now(control)
        return (await gateway_of(control, "acme")).state == READY

    await eventually(again)
    ready = await gateway_of(control, "acme")
    assert (ready.error, ready.tries) == ("", 3)
    assert not ready.HasField("next_try_time")


@pytest.mark.parametrize("problem", [{"lost": True}, {"delay_ms": 500}, {"cut": True}])
async def test_b1_an_answer_that_got_lost_makes_no_second_gateway(
    control: RunningControl, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, problem: dict[str, Any]
) -> None:
    """The id is made from the customer: what exists under it is adopted."""
    monkeypatch.setattr("control.cloudflare.api.TIMEOUT_S", 0.3)
    fault(simulator, method="POST", **problem)
    await control.customer("acme")
    await reaches(control, "acme", FAILED)
    await asyncio.sleep(0.3)
    await due_now(control)
    gateway = await reaches(control, "acme", READY)
    assert made(simulator) == [gateway.gateway_id]


async def test_b1_past_the_quota_customers_share(control: RunningControl, simulator: Simulator) -> None:
    """State shared with the reason, nobody else is tried for an hour; when room comes the oldest is next."""
    simulator.gateways.quota = 2
    await control.customer("first")
    await reaches(control, "first", READY)
    await control.customer("second")

    async def shared() -> bool:
        return "Maximum number" in (await gateway_of(control, "second")).error

    await eventually(shared)
    second = await gateway_of(control, "second")
    assert second.state == SHARED
    assert second.HasField("next_try_time")
    await control.customer("third")

    async def third_shared() -> bool:
        return "Maximum number" in (await gateway_of(control, "third")).error

    await eventually(third_shared)
    asked = calls(simulator, "POST")
    await asyncio.sleep(0.3)
    assert calls(simulator, "POST") == asked, "a full account is left alone"
    cli = await control.cli()
    await cli.customers.DeleteCustomer(DeleteCustomerRequest(customer_id="first"))
    await reaches(control, "second", READY)
    assert (await gateway_of(control, "third")).state == SHARED


async def test_b1_deleted_with_the_customer(control: RunningControl, simulator: Simulator) -> None:
    """Retried until Cloudflare does it; then nothing is left of it."""
    customer = await control.customer("acme")
    await reaches(control, "acme", READY)
    fault(simulator, method="DELETE", status=503, times=3)
    cli = await control.cli()
    ended = await cli.customers.DeleteCustomer(DeleteCustomerRequest(customer_id="acme"))
    assert (ended.cf_gateway_id, ended.gateway_state) == ("", DELETING)

    async def failed() -> bool:
        return "503" in (await gateway_of(control, customer.customer_id)).error

    await eventually(failed)
    assert made(simulator)
    await due_now(control)

    async def gone() -> bool:
        return not made(simulator)

    await eventually(gone)
    await reaches(control, customer.customer_id, SHARED)
    async with control.database.read() as connection:
        kept = await connection.execute(text("SELECT count(*) FROM directory WHERE kind = 'cf_gateway_id'"))
        assert kept.scalar_one() == 0


async def test_a_customer_deleted_while_its_gateway_is_made(
    control: RunningControl, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The late success undoes nothing: the gateway goes too, once the try is surely over."""
    monkeypatch.setattr("control.provisioner.CLAIM", timedelta(seconds=1))
    fault(simulator, method="POST", delay_ms=300)
    customer = await control.customer("acme")
    await asyncio.sleep(0.1)
    cli = await control.cli()
    await cli.customers.DeleteCustomer(DeleteCustomerRequest(customer_id="acme"))
    assert (await gateway_of(control, customer.customer_id)).state == DELETING

    async def was_made() -> bool:
        return bool(made(simulator))

    await eventually(was_made)
    await reaches(control, customer.customer_id, SHARED)
    assert not made(simulator)


async def test_operators_send_a_customer_back_to_the_shared_gateway(
    simulator: Simulator, database_url: str, tmp_path: Path
) -> None:
    """Requests leave it at once, it is deleted once edges know, and it stays that way until asked for."""
    async with tenancy(simulator, database_url, tmp_path) as control:
        await control.customer("acme")
        await reaches(control, "acme", READY)
        cli = await control.cli()
        released = await cli.gateways.ReleaseGateway(ReleaseGatewayRequest(customer_id="acme"))
        assert released.state == DELETING
        customer = await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme"))
        assert customer.cf_gateway_id == ""
        await asyncio.sleep(0.2)
        assert made(simulator) == [released.gateway_id], "edges may still use it"
        await due_now(control)
        shared = await reaches(control, "acme", SHARED)
        assert not shared.HasField("next_try_time")
        assert made(simulator) == []
        await asyncio.sleep(0.2)
        assert made(simulator) == []
        created = await cli.gateways.ProvisionGateway(ProvisionGatewayRequest(customer_id="acme"))
        assert created.gateway_id == released.gateway_id
        await reaches(control, "acme", READY)
        entries = await cli.audit.ListAuditEntries(ListAuditEntriesRequest(resource_type="gateway"))
        assert [entry.resource_id for entry in entries.audit_entries] == [released.gateway_id] * 5


async def test_a_gateway_somebody_deleted_at_cloudflare(
    control: RunningControl, simulator: Simulator
) -> None:
    """The reconciliation names it, with orphans of ours; asked for, it is made again."""
    await control.customer("acme")
    gateway = await reaches(control, "acme", READY)
    body = simulator.gateways.get(gateway.gateway_id)
    simulator.gateways.delete(gateway.gateway_id)
    for orphan in ("tollkeeper-gone-0123456789ab", "somebody-elses"):
        simulator.gateways.create(body | {"id": orphan})
    cli = await control.cli()
    request = GetGatewayReconciliationRequest()
    found = await cli.gateways.GetGatewayReconciliation(request)
    assert list(found.orphan_gateway_ids) == ["tollkeeper-gone-0123456789ab"]
    assert [each.customer_slug for each in found.missing] == ["acme"]
    assert found.account_gateway_count == 3
    again = await cli.gateways.ProvisionGateway(ProvisionGatewayRequest(customer_id="acme"))
    assert (again.state, again.gateway_id) == (READY, gateway.gateway_id)
    assert not (await cli.gateways.GetGatewayReconciliation(request)).missing


async def test_two_replicas_make_one_gateway_each_customer(
    simulator: Simulator, database_url: str, tmp_path: Path
) -> None:
    """Each create is sent once, whoever it is that sends it."""
    async with tenancy(simulator, database_url, tmp_path, replicas=2) as control:
        await asyncio.gather(*(control.customer(f"c{number}") for number in range(15)))
        for number in range(15):
            await reaches(control, f"c{number}", READY)
    assert len(made(simulator)) == 15
    assert calls(simulator, "POST") == 15


async def test_a_replica_that_dies_leaves_its_claim_to_others(
    control: RunningControl, simulator: Simulator
) -> None:
    """A try that never ended is made again when its claim has run out, and not before."""
    fault(simulator, method="POST", delay_ms=600_000)
    await control.customer("acme")

    async def claimed() -> bool:
        return (await gateway_of(control, "acme")).tries == 1

    await eventually(claimed)
    provisioner = control.replicas[0].provisioner
    await provisioner.close()
    provisioner.start()
    await asyncio.sleep(0.2)
    assert (await gateway_of(control, "acme")).tries == 1
    await due_now(control)
    await reaches(control, "acme", READY)


async def test_account_wide_trouble_is_met_once(control: RunningControl, simulator: Simulator) -> None:
    """A refused token or a throttled account isn't asked again for every customer that waits."""
    fault(simulator, method="POST", status=429, message="Slow down", retry_after="100", times=50)
    for number in range(12):
        await control.customer(f"c{number}")

    async def all_told() -> bool:
        found = await (await control.cli()).gateways.ListGateways(ListGatewaysRequest())
        return all(gateway.state == FAILED for gateway in found.gateways)

    await eventually(all_told)
    await asyncio.sleep(0.2)
    # Those of one look, and customers made after it, each once.
    assert calls(simulator, "POST") <= 12
    asked = calls(simulator, "POST")
    await asyncio.sleep(0.3)
    assert calls(simulator, "POST") == asked


async def test_customers_from_before_there_was_an_account(
    simulator: Simulator, database_url: str, tmp_path: Path
) -> None:
    """They share until an account is configured; then each gets a gateway, oldest first."""
    async with running_control(database_url, tmp_path, 1) as control:
        customer = await control.customer("acme")
        assert customer.gateway_state == SHARED
        cli = await control.cli()
        wished = await cli.gateways.ProvisionGateway(ProvisionGatewayRequest(customer_id="acme"))
        assert (wished.state, wished.error) == (PENDING, "")
        back = await cli.gateways.ReleaseGateway(ReleaseGatewayRequest(customer_id="acme"))
        assert back.state == SHARED
        with refused(Reason.CLOUDFLARE_NOT_CONFIGURED):
            await cli.gateways.GetGatewayReconciliation(GetGatewayReconciliationRequest())
        with refused(Reason.CLOUDFLARE_NOT_CONFIGURED):
            await cli.models.GetCloudflareModels(GetCloudflareModelsRequest())
        await control.customer("later")
        settings = replica_settings(
            tmp_path, cf_account_id=ACCOUNT, cf_api_token=TOKEN, cf_api_url=f"{simulator.url}/client/v4"
        )
        async with Control(settings, database_url, KeyRing([b"k" * 32])):
            await reaches(control, "later", READY)
            assert (await gateway_of(control, "acme")).state == SHARED, "an operator decided so"


async def test_another_account_has_none_of_them(
    simulator: Simulator, database_url: str, tmp_path: Path
) -> None:
    """When the account changes (from the simulator's to a real one, say), customers share until theirs are
    made
    again there."""
    async with tenancy(simulator, database_url, tmp_path) as control:
        await control.customer("acme")
        first = await reaches(control, "acme", READY)
        await control.replicas[0].provisioner.close()
        other = "f" * 32
        async with Simulator(Settings(port=0, account_id=other, drain_s=0.1)) as elsewhere:
            settings = replica_settings(
                tmp_path, cf_account_id=other, cf_api_token="t", cf_api_url=f"{elsewhere.url}/client/v4"
            )
            fault(elsewhere, method="POST", status=500)
            async with Control(settings, database_url, KeyRing([b"k" * 32])):
                await reaches(control, "acme", FAILED)
                cli = await control.cli()
                customer = await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme"))
                assert customer.cf_gateway_id == ""
                await due_now(control)
                await reaches(control, "acme", READY)
                assert made(elsewhere) == [first.gateway_id]


async def test_shared_mode_makes_none(simulator: Simulator, database_url: str, tmp_path: Path) -> None:
    """Everybody goes through the shared gateway; what is to be deleted still is."""
    async with tenancy(simulator, database_url, tmp_path, gateway_mode="shared") as control:
        customer = await control.customer("acme")
        assert customer.gateway_state == SHARED
        cli = await control.cli()
        with refused(Reason.INVALID_ARGUMENT):
            await cli.gateways.ProvisionGateway(ProvisionGatewayRequest(customer_id="acme"))
        await asyncio.sleep(0.2)
        assert made(simulator) == []
        async with control.database.write() as connection:
            await connection.execute(
                text(
                    "UPDATE customers SET gateway_id = 'tollkeeper-acme-1', gateway_state = 5,"
                    " gateway_try_time = now() WHERE slug = 'acme'"
                )
            )
        await reaches(control, "acme", SHARED)
        assert calls(simulator, "DELETE") == 1


async def test_a_restart_leaves_ready_gateways_alone(control: RunningControl, simulator: Simulator) -> None:
    """Nothing is asked of Cloudflare for what is done."""
    await control.customer("acme")
    await reaches(control, "acme", READY)
    asked = len(simulator.management.state()["calls"])
    provisioner = control.replicas[0].provisioner
    await provisioner.close()
    provisioner.start()
    await asyncio.sleep(0.3)
    assert len(simulator.management.state()["calls"]) == asked


async def test_gateways_are_listed_by_page_and_state(control: RunningControl, simulator: Simulator) -> None:
    """In the order their customers were made."""
    simulator.gateways.quota = 3
    for slug in ("a", "b"):
        await control.customer(slug)
        await reaches(control, slug, READY)
    await control.customer("c")
    gateways = (await control.cli()).gateways
    first = await gateways.ListGateways(ListGatewaysRequest(page_size=2))
    assert [each.customer_slug for each in first.gateways] == ["a", "b"]
    second = await gateways.ListGateways(ListGatewaysRequest(page_size=2, page_token=first.next_page_token))
    assert [each.customer_slug for each in second.gateways] == ["c"]
    ready = await gateways.ListGateways(ListGatewaysRequest(state=READY))
    assert [each.customer_slug for each in ready.gateways] == ["a", "b"]


async def test_what_has_no_gateway(control: RunningControl) -> None:
    """Unknown customers and the platform's own; owners can't look or steer."""
    gateways = (await control.cli()).gateways
    for unknown in (str(uuid7()), "nobody"):
        with refused(Reason.NOT_FOUND):
            await gateways.GetGateway(GetGatewayRequest(customer_id=unknown))
        with refused(Reason.NOT_FOUND):
            await gateways.ProvisionGateway(ProvisionGatewayRequest(customer_id=unknown))
        with refused(Reason.NOT_FOUND):
            await gateways.ReleaseGateway(ReleaseGatewayRequest(customer_id=unknown))
    for call in (
        gateways.ProvisionGateway(ProvisionGatewayRequest(customer_id="platform")),
        gateways.ReleaseGateway(ReleaseGatewayRequest(customer_id="platform")),
    ):
        with refused(Reason.INVALID_ARGUMENT):
            await call
    customer = await control.customer("acme")
    owner = await control.person(customer.customer_id, Role.OWNER)
    with refused(Reason.PERMISSION_DENIED):
        await owner.client.gateways.GetGateway(GetGatewayRequest(customer_id="acme"))


async def test_b5_models_that_cloudflare_offers(control: RunningControl, simulator: Simulator) -> None:
    """Anybody signed in sees id, name, description and task; Cloudflare is asked once for many."""
    customer = await control.customer("acme")
    await reaches(control, "acme", READY)
    member = await control.person(customer.customer_id, Role.MEMBER)
    asked = calls(simulator, "GET")
    request = GetCloudflareModelsRequest()
    answers = await asyncio.gather(*(member.client.models.GetCloudflareModels(request) for _ in range(5)))
    assert calls(simulator, "GET") == asked + 1
    names = [model.name for model in answers[0].models]
    assert names == sorted(names)
    [llama] = [model for model in answers[0].models if model.name == "@cf/meta/llama-3.1-8b-instruct"]
    assert (llama.task, bool(llama.id), bool(llama.description)) == ("Text Generation", True, True)


async def test_nothing_shows_the_token(
    control: RunningControl, simulator: Simulator, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in errors, logs or the settings' representation."""
    fault(simulator, method="POST", status=401, code=10000, message="Authentication error")
    await control.customer("acme")
    failed = await reaches(control, "acme", FAILED)
    assert failed.error == "Cloudflare: 401: Authentication error"
    said = capfd.readouterr()
    assert TOKEN not in said.err + said.out + repr(control.replicas[0]._settings)


@pytest.mark.parametrize("slug", ["acme", "a", "x" * 63, "a--b-c", "a" * 23 + "-b", "1-2-3"])
@pytest.mark.parametrize("prefix", ["tollkeeper", "t", "x" * 20])
def test_b1_ids_are_valid_and_the_customers_own(prefix: str, slug: str) -> None:
    """Cloudflare takes them, whatever the slug; another customer's is another one."""
    customer_id = str(uuid7())
    gateway_id = gateway_id_of(prefix, slug, customer_id)
    assert is_gateway_id(gateway_id)
    assert gateway_id == gateway_id_of(prefix, slug, customer_id)
    assert gateway_id != gateway_id_of(prefix, slug, str(uuid7()))


def test_retries_grow_and_stay_bounded() -> None:
    """Twice as long each time, up to ten minutes."""
    waits = [retry_after(tries, lambda low, high: high).total_seconds() for tries in (1, 2, 3, 8, 10_000)]
    assert waits == [5, 10, 20, 600, 600]
