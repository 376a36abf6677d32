"""B1 end to end: registered over HTTP, served through a gateway of its own, deleted with the customer."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.admin import Tenant
from tests.e2e.stack import Stack, audited, found
from tests.e2e.wire import ask, chat
from tollkeeper.v1.customers_pb2 import DeleteCustomerRequest

ACCOUNT = "0" * 32


@pytest.fixture(scope="module")
def tenancy() -> Iterator[Stack]:
    """A product whose customers have gateways of their own; at its Cloudflare there is room for few."""
    settings = {"TOLLKEEPER_GATEWAY_MODE": "per_customer", "TOLLKEEPER_SIMULATOR_GATEWAY_QUOTA": "4"}
    with audited(settings) as stack:
        yield stack


def gateways(stack: Stack) -> list[str]:
    """Ids at the simulated Cloudflare."""
    return list(stack.http.get(f"{stack.simulator}/_sim/management").json()["gateways"])


def register(stack: Stack, name: str) -> dict[str, Any]:
    """POST /v1/customers/register as the operator."""
    secret = (stack.up.data_dir / "cli.credential").read_text().strip()
    answer = stack.http.post(
        f"{stack.edge}/v1/customers/register",
        json={"email": f"{name}@example.com", "name": name},
        headers={"authorization": f"Bearer {secret}"},
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def target_of(stack: Stack, marker: str) -> tuple[str, dict[str, str]]:
    """Path and headers of the request with this text that reached the simulator last."""
    [request] = [each for each in stack.captured(20) if marker in each["body"]][-1:]
    return request["target"], dict(request["headers"])


async def test_b1_requests_go_through_the_customers_own_gateway(tenancy: Stack) -> None:
    """The answer of the registration names it, the requests pass it, and its end is the customer's."""
    customer = register(tenancy, "acme")
    gateway_id = customer["cf_gateway_id"]
    assert gateway_id in gateways(tenancy)
    tenant = Tenant(tenancy.admin, customer["id"])
    tenant.route(tenant.provider("openai", credential="sk-vendor"))
    key = tenant.key()
    reply = await ask(tenancy.edge, key.secret, chat("through my own"))
    assert reply.status == 200, reply.body
    target, headers = target_of(tenancy, "through my own")
    assert target == f"/v1/{ACCOUNT}/{gateway_id}/openai/chat/completions"
    assert json.loads(headers["cf-aig-metadata"])["customer"] == customer["id"]
    [shown] = [each for each in tenancy.cli_json("gateways", "list") if each["customer_slug"] == "acme"]
    assert (shown["state"], shown["gateway_id"]) == ("ready", gateway_id)
    assert tenancy.cli_json("gateways", "check")["orphan_gateway_ids"] == []

    request = DeleteCustomerRequest(customer_id=customer["id"], force=True)
    tenancy.admin.customers.DeleteCustomer(request)
    found(lambda: gateway_id not in gateways(tenancy), timeout_s=20)


async def test_b1_released_and_past_the_quota_customers_share(tenancy: Stack) -> None:
    """Requests move to the shared gateway, told apart by their metadata; room is used when there is some."""
    first = register(tenancy, "first")
    second = register(tenancy, "second")
    third = register(tenancy, "third")
    assert first["cf_gateway_id"]
    assert third["cf_gateway_id"] is None
    tenant = Tenant(tenancy.admin, third["id"])
    tenant.route(tenant.provider("openai", credential="sk-vendor"))
    key = tenant.key()
    assert (await ask(tenancy.edge, key.secret, chat("past the quota"))).status == 200
    target, headers = target_of(tenancy, "past the quota")
    assert target == f"/v1/{ACCOUNT}/default/openai/chat/completions"
    assert json.loads(headers["cf-aig-metadata"])["customer"] == third["id"]
    shown = tenancy.cli_json("gateways", "show", "third")
    assert (shown["state"], "Maximum number" in shown["error"]) == ("shared", True)

    tenancy.admin.customers.DeleteCustomer(DeleteCustomerRequest(customer_id=second["id"]))
    found(lambda: tenancy.cli_json("gateways", "show", "third")["state"] == "ready", timeout_s=20)
    own = tenancy.cli_json("gateways", "show", "third")["gateway_id"]
    number = 0

    async def moved() -> bool:
        nonlocal number
        number += 1
        await ask(tenancy.edge, key.secret, chat(f"moved {number}."))
        return f"/{own}/" in target_of(tenancy, f"moved {number}.")[0]

    async with asyncio.timeout(20):
        while not await moved():  # noqa: ASYNC110 - nothing tells when an edge knows
            await asyncio.sleep(0.05)

    released = tenancy.cli_json("gateways", "release", "third")
    assert released["state"] == "deleting"


def test_b1_cloudflare_down_does_not_stop_registrations(tenancy: Stack) -> None:
    """201 with a null gateway; made later."""
    faults = {"method": "POST", "path": "/gateways", "status": 503, "message": "Down"}
    tenancy.http.post(f"{tenancy.simulator}/_sim/management/quota?n=50")
    tenancy.http.post(f"{tenancy.simulator}/_sim/management/faults", json=faults)
    customer = register(tenancy, "patient")
    assert customer["cf_gateway_id"] is None
    found(lambda: tenancy.cli_json("gateways", "show", "patient")["state"] == "ready", timeout_s=30)


def test_b5_models_over_http(tenancy: Stack) -> None:
    """What Cloudflare offers, on the command line and at /v1/ai/models."""
    secret = (tenancy.up.data_dir / "cli.credential").read_text().strip()
    answer = httpx.get(f"{tenancy.edge}/v1/ai/models", headers={"authorization": f"Bearer {secret}"})
    names = [model["name"] for model in answer.json()["models"]]
    assert "@cf/meta/llama-3.1-8b-instruct" in names
    assert [model["name"] for model in tenancy.cli_json("models", "list")] == names


def test_open_registration_counts_each_client() -> None:
    """Anybody may over HTTP, each address so often, also those behind a proxy that is trusted."""
    settings = {
        "TOLLKEEPER_OPEN_REGISTRATION": "true",
        "TOLLKEEPER_TRUSTED_PROXIES": "127.0.0.1",
        "TOLLKEEPER_REGISTRATIONS_PER_HOUR": "12",
    }
    with audited(settings) as stack:

        def status(number: int, address: str) -> int:
            body = {"email": f"{number}@example.com", "name": "Open"}
            url = f"{stack.edge}/v1/customers/register"
            return stack.http.post(url, json=body, headers={"x-forwarded-for": address}).status_code

        assert [status(number, "192.0.2.1") for number in range(6)] == [201] * 5 + [429]
        assert status(7, "192.0.2.2") == 201
