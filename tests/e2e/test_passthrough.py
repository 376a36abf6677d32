"""Paths that a provider lets through, from its settings to the ledger."""

import httpx
import pytest

from tests.e2e.admin import Tenant
from tests.e2e.stack import Stack, found
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.edge_pb2 import UsageState


def test_b6_a_path_of_the_vendors_own(stack: Stack) -> None:
    """A path that is listed and priced goes through, for the price of a request; taken off the list it
    doesn't, a second later."""
    tenant = stack.admin.customer()
    provider_id = tenant.provider(
        "custom",
        base_url=f"{stack.simulator}/v1",
        credential="sk-own",
        passthrough_paths=["sim/echo/*", "sim/unpriced"],
    )
    tenant.route(provider_id)
    tenant.price(provider_id, "sim/echo/*", input=0, output=0, request=2_000_000_000_000)
    key = tenant.key()
    root = f"{stack.edge}/v1/passthrough/{provider_id}"
    headers = {"authorization": f"Bearer {key.secret}"}
    answer = httpx.put(f"{root}/sim/echo/a?b=c", content=b"body", headers=headers)
    assert answer.json() == {"method": "PUT", "target": "/v1/sim/echo/a?b=c", "body": "body"}
    [entry] = tenant.settled(1)
    assert (entry.state, entry.cost_nanousd) == (UsageState.USAGE_STATE_REPORTED, 2_000_000)
    assert entry.requested_model == "sim/echo/*"
    assert tenant.entries(entry.usage_id) == [("post", 2_000_000)]
    refused = httpx.post(f"{root}/sim/unpriced", headers=headers)
    assert refused.json()["error"]["code"] == "model_not_priced"
    tenant.update_provider(provider_id, passthrough_paths=["sim/unpriced"])
    found(lambda: httpx.put(f"{root}/sim/echo/a", headers=headers).status_code == 501)


@pytest.mark.parametrize(
    "path", ["/sim/echo", "a//b", "a/../b", "", "a b", "a?b=c", "a%2fb", "x" * 201, "https://elsewhere/a"]
)
def test_paths_that_cannot_be_listed(tenant: Tenant, path: str) -> None:
    """What could mean another path is refused with its field."""
    with pytest.raises(TollkeeperError) as raised:
        tenant.provider("openai", credential="sk-1", name="other", passthrough_paths=[path])
    assert raised.value.reason == Reason.INVALID_ARGUMENT
    assert raised.value.metadata["field"] == "passthrough_paths"
