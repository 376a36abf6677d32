"""B2: the client of Cloudflare's management API against the simulator, over real HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from control.cloudflare.api import Api
from control.cloudflare.errors import CloudflareError, Problem, error_of
from control.cloudflare.gateways import Gateways, GatewaySettings, is_gateway_id
from control.cloudflare.models import ModelCatalogue, list_models
from simulator import Settings, Simulator
from tollkeeper.errors import Reason

ACCOUNT = "0123456789abcdef0123456789abcdef"
TOKEN = "cf-token-never-shown"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """An account that only the token opens."""
    settings = Settings(port=0, account_id=ACCOUNT, require_token=TOKEN, drain_s=0.1)
    async with Simulator(settings) as running:
        yield running


@pytest.fixture
async def api(simulator: Simulator) -> AsyncIterator[Api]:
    """A client with small pages, so that lists have several."""
    async with Api(f"{simulator.url}/client/v4", ACCOUNT, TOKEN, page_size=2) as opened:
        yield opened


async def order(simulator: Simulator, *faults: dict[str, Any]) -> None:
    """The next management calls go wrong."""
    async with httpx.AsyncClient(base_url=simulator.url) as client:
        (await client.post("/_sim/management/faults", json=list(faults))).raise_for_status()


def calls(simulator: Simulator) -> list[tuple[str, int]]:
    """Method and status of the calls so far."""
    return [(call["method"], call["status"]) for call in simulator.management.state()["calls"]]


async def problem_of(call: Any) -> CloudflareError:
    """The error a call ends with."""
    with pytest.raises(CloudflareError) as caught:
        await call
    assert TOKEN not in f"{caught.value!r} {caught.value.message} {caught.value.metadata}"
    return caught.value


async def test_b2_a_gateway_is_made_with_everything_off(api: Api) -> None:
    """No logs, no cache, no rate limit, and closed to callers without a token."""
    made = await Gateways(api).create("acme-1")
    assert made.settings == GatewaySettings(False, 0, 0, 0, True)
    assert made.create_time is not None
    assert await Gateways(api).get("acme-1") == made


async def test_b2_update_and_delete(api: Api) -> None:
    """All settings are replaced; deleting twice is no error, and tells so."""
    gateways = Gateways(api)
    await gateways.create("acme-1")
    settings = GatewaySettings(collect_logs=True, cache_ttl_s=60, rate_limit=10, rate_interval_s=60)
    assert (await gateways.update("acme-1", settings)).settings == settings
    assert await gateways.delete("acme-1")
    assert not await gateways.delete("acme-1")
    assert (await problem_of(gateways.get("acme-1"))).problem is Problem.NOT_FOUND


async def test_b2_lists_follow_the_pages(api: Api, simulator: Simulator) -> None:
    """Gateways and models beyond the first page come too; a search narrows."""
    gateways = Gateways(api)
    for number in range(4):
        await gateways.create(f"acme-{number}")
    assert [each.gateway_id for each in await gateways.list()] == [
        "default",
        *(f"acme-{n}" for n in range(4)),
    ]
    assert [each.gateway_id for each in await gateways.list("acme-3")] == ["acme-3"]
    models = await list_models(api)
    assert len(models) == 15
    assert {model.task for model in models} >= {"Text Generation", "Text Embeddings"}
    assert all(model.model_id and model.name.startswith("@cf/") for model in models)


@pytest.mark.parametrize(
    ("status", "code", "text", "problem", "reason"),
    [
        (400, 7001, "Input Validation Error", Problem.REFUSED, Reason.CLOUDFLARE_REFUSED),
        (400, 7001, "Maximum number of gateways reached", Problem.QUOTA, Reason.CLOUDFLARE_REFUSED),
        (403, 7009, "Gateway quota exceeded", Problem.QUOTA, Reason.CLOUDFLARE_REFUSED),
        (400, 7001, "A gateway with this id already exists", Problem.EXISTS, Reason.CLOUDFLARE_REFUSED),
        (409, 7001, "Conflict", Problem.EXISTS, Reason.CLOUDFLARE_REFUSED),
        (401, 10000, "Authentication error", Problem.UNAUTHORIZED, Reason.CLOUDFLARE_REFUSED),
        (403, 10000, "Authentication error", Problem.UNAUTHORIZED, Reason.CLOUDFLARE_REFUSED),
        (400, 9106, "Missing X-Auth-Key", Problem.UNAUTHORIZED, Reason.CLOUDFLARE_REFUSED),
        (404, 7003, "Could not route", Problem.NOT_FOUND, Reason.CLOUDFLARE_REFUSED),
        (429, 971, "Please wait", Problem.THROTTLED, Reason.CLOUDFLARE_UNAVAILABLE),
        (500, 1, "Oops", Problem.UNAVAILABLE, Reason.CLOUDFLARE_UNAVAILABLE),
    ],
)
async def test_b2_errors_say_status_and_text(
    api: Api, simulator: Simulator, status: int, code: int, text: str, problem: Problem, reason: Reason
) -> None:
    """Each refusal of a create has its kind, Cloudflare's status, code and text, and is not sent again."""
    await order(simulator, {"status": status, "code": code, "message": text, "times": 9})
    error = await problem_of(Gateways(api).create("acme-1"))
    assert (error.problem, error.reason) == (problem, reason)
    assert error.message == f"Cloudflare: {status}: {text}"
    assert error.metadata == {"problem": problem.value, "status": str(status), "code": str(code)}
    assert calls(simulator) == [("POST", status)]


async def test_a_field_at_fault_is_named(api: Api) -> None:
    """A validation error is never taken for a full account, whatever the field is called."""
    error = await problem_of(Gateways(api).create("acme-1", GatewaySettings(rate_limit=-1)))
    assert error.problem is Problem.REFUSED
    assert "body.rate_limiting_limit" in error.message


@pytest.mark.parametrize(
    "body", [None, [], "text", {"errors": None}, {"errors": ["text"]}, {"errors": [{"code": "x"}]}]
)
def test_any_body_makes_an_error(body: object) -> None:
    """Proxies and outages answer in shapes of their own."""
    assert error_of(400, body, None).problem is Problem.REFUSED
    assert error_of(502, body, None).problem is Problem.UNAVAILABLE


async def test_reads_and_deletes_are_tried_again(api: Api, simulator: Simulator) -> None:
    """Two failures are survived, a third is told; a long retry-after is left to the caller."""
    gateways = Gateways(api)
    await gateways.create("acme-1")
    await order(simulator, {"method": "GET", "status": 503}, {"method": "GET", "cut": True})
    assert (await gateways.get("acme-1")).gateway_id == "acme-1"
    await order(simulator, {"method": "DELETE", "status": 500, "times": 3})
    assert (await problem_of(gateways.delete("acme-1"))).problem is Problem.UNAVAILABLE
    await order(simulator, {"method": "GET", "status": 429, "retry_after": "60", "times": 3})
    error = await problem_of(gateways.get("acme-1"))
    assert (error.problem, error.retry_after_s) == (Problem.THROTTLED, 60)
    assert [call for call in calls(simulator) if call == ("GET", 429)] == [("GET", 429)]


async def test_creates_are_sent_once(api: Api, simulator: Simulator) -> None:
    """An answer that got lost is told as such; the gateway may exist."""
    await order(simulator, {"method": "POST", "lost": True})
    assert (await problem_of(Gateways(api).create("acme-1"))).problem is Problem.UNAVAILABLE
    assert (await problem_of(Gateways(api).create("acme-1"))).problem is Problem.EXISTS


async def test_silence_ends_in_time(api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that doesn't come is given up."""
    monkeypatch.setattr("control.cloudflare.api.TIMEOUT_S", 0.1)
    await order(simulator, {"method": "POST", "delay_ms": 60_000})
    error = await problem_of(Gateways(api).create("acme-1"))
    assert (error.problem, error.message) == (Problem.UNAVAILABLE, "Cloudflare: no answer within 0.1 s")


async def test_wrong_token_account_and_address(simulator: Simulator) -> None:
    """Each is told for what it is."""
    url = f"{simulator.url}/client/v4"
    for account, token, where, problem in (
        (ACCOUNT, "wrong", url, Problem.UNAUTHORIZED),
        ("f" * 32, TOKEN, url, Problem.UNAUTHORIZED),
        (ACCOUNT, TOKEN, "http://127.0.0.1:9/client/v4", Problem.UNAVAILABLE),
        (ACCOUNT, TOKEN, f"{simulator.url}/client/v5", Problem.NOT_FOUND),
    ):
        async with Api(where, account, token) as api:
            error = await problem_of(Gateways(api).create("acme-1"))
            assert error.problem is problem


async def test_html_is_no_answer(api: Api, simulator: Simulator) -> None:
    """A page of a proxy is a failure, not a crash."""
    await order(simulator, {"garbage": True, "times": 9})
    assert (await problem_of(Gateways(api).list())).problem is Problem.UNAVAILABLE


async def test_models_are_asked_for_once_in_a_while(api: Api, simulator: Simulator) -> None:
    """Within the time to live the list is kept; when asking fails later, the old one serves."""
    now_s = 0.0
    catalogue = ModelCatalogue(api, 60, lambda: now_s)
    await order(simulator, {"status": 500, "times": 3})
    assert (await problem_of(catalogue.list())).problem is Problem.UNAVAILABLE
    first = await catalogue.list()
    asked = len(calls(simulator))
    assert await catalogue.list() is first
    assert len(calls(simulator)) == asked
    now_s = 61.0
    await order(simulator, {"status": 401})
    assert await catalogue.list() is first
    now_s = 122.0
    assert await catalogue.list() is not first


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        *(("a", True), ("a-b_c-1", True), ("a" * 64, True), ("", False), ("A", False), ("a--b", False)),
        *(("-a", False), ("a-", False), ("a" * 65, False), ("a/b", False), ("a\n", False)),
    ],
)
def test_gateway_ids(text: str, valid: bool) -> None:
    """Cloudflare's rule."""
    assert is_gateway_id(text) is valid
