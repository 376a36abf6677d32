"""Cloudflare's gateway in front: paths, checks in their order, envelopes, headers."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from simulator import Settings, Simulator

ACCOUNT = "0123456789abcdef0123456789abcdef"


def ask(model: str = "gpt-4o-mini", text: str = "hello") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


@pytest.fixture
async def guarded() -> AsyncIterator[httpx.AsyncClient]:
    """A client to a simulator with one account, one gateway and a required token."""
    settings = Settings(port=0, account_id=ACCOUNT, gateways=frozenset({"team-a"}), require_token="aig-token")
    async with Simulator(settings) as running, httpx.AsyncClient(base_url=running.url) as opened:
        yield opened


def assert_gateway_error(answer: httpx.Response, status: int, code: int) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["name"], body["internalCode"]) == (status, "AiGatewayError", code)
    assert body["error"] == [{"code": code, "message": body["message"]}]
    assert (body["success"], body["httpCode"]) == (False, status)
    return body


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("openai/chat/completions", "openai"),
        ("openai/v1/chat/completions", "openai"),
        ("groq/chat/completions", "groq"),
        ("mistral/v1/chat/completions", "mistral"),
        ("deepseek/chat/completions", "deepseek"),
        ("grok/v1/chat/completions", "grok"),
        ("openrouter/chat/completions", "openrouter"),
        ("workers-ai/v1/chat/completions", "workers-ai"),
        ("cerebras/chat/completions", "cerebras"),
        ("perplexity-ai/chat/completions", "perplexity-ai"),
        ("azure-openai/resource/deployment/chat/completions?api-version=2026-01-01", "azure-openai"),
        ("custom-acme/api/v1/chat/completions", "custom-acme"),
    ],
)
async def test_provider_paths(
    client: httpx.AsyncClient, simulator: Simulator, gateway: str, path: str, provider: str
) -> None:
    """Each provider answers below its slug, and the bill names it."""
    answer = await client.post(f"{gateway}/{path}", json=ask(), headers={"cf-aig-event-id": "event-1"})
    assert answer.status_code == 200
    [row] = simulator.bill.rows()
    assert (row["provider"], row["event_id"], row["model"]) == (provider, "event-1", "gpt-4o-mini")
    assert answer.headers["cf-aig-event-id"] == "event-1"
    assert answer.headers["cf-aig-step"] == "0"
    assert answer.headers["cf-aig-cache-status"] == "MISS"
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", answer.headers["cf-aig-log-id"])
    assert "cf-ray" in answer.headers


@pytest.mark.parametrize(
    "path", ["openai/models", "mistral/v1/models", "google-ai-studio/v1beta/openai/models"]
)
async def test_a_vendors_own_list_of_models(
    client: httpx.AsyncClient, simulator: Simulator, gateway: str, path: str
) -> None:
    """Below its slug, with bare names; a wrong key is the vendor's 401, and nothing is billed."""
    answer = await client.get(f"{gateway}/{path}")
    assert "gpt-4o-mini" in [row["id"] for row in answer.json()["data"]]
    refused = await client.get(f"{gateway}/{path}", headers={"x-api-key": "sk-invalid-1234567890"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert (await client.get(f"{gateway}/perplexity-ai/models")).status_code == 404
    assert list(simulator.bill.rows()) == []


@pytest.mark.parametrize(
    "path", ["groq/v1/chat/completions", "mistral/chat/completions", "openai/v1/v1/chat/completions"]
)
async def test_a_wrong_v1_is_the_vendors_404(client: httpx.AsyncClient, gateway: str, path: str) -> None:
    """The gateway appends the path as it is, so a `v1` too many or too few is no URL of the vendor."""
    answer = await client.post(f"{gateway}/{path}", json=ask())
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("perplexity/sonar", "perplexity-ai", "sonar"),
        ("workers-ai/@cf/meta/llama", "workers-ai", "@cf/meta/llama"),
        ("@cf/meta/llama", "workers-ai", "@cf/meta/llama"),
        ("custom-acme/m", "custom-acme", "m"),
    ],
)
async def test_compat(
    client: httpx.AsyncClient, simulator: Simulator, gateway: str, model: str, provider: str, name: str
) -> None:
    """/compat takes the provider from the model's prefix and hands the vendor the bare name."""
    answer = await client.post(f"{gateway}/compat/chat/completions", json=ask(model))
    assert answer.json()["model"] == name
    [row] = simulator.bill.rows()
    assert (row["provider"], row["model"]) == (provider, name)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("compat/chat/completions", ask("gpt-4o-mini"), 2019),
        ("compat/chat/completions", ask("nobody/gpt-4o-mini"), 2008),
        ("compat/chat/completions", {"model": "openai/gpt-4o-mini"}, 2019),
        ("compat/moderations", {}, 2019),
        ("nobody/chat/completions", ask(), 2008),
    ],
)
async def test_gateway_refuses(
    client: httpx.AsyncClient, simulator: Simulator, gateway: str, path: str, body: dict[str, Any], code: int
) -> None:
    """What the gateway can't route never reaches a vendor, so it isn't billed."""
    assert_gateway_error(await client.post(f"{gateway}/{path}", json=body), 400, code)
    assert simulator.bill.last_seq == 0


async def test_check_order(guarded: httpx.AsyncClient) -> None:
    """Credential first, then account and gateway, then the request."""
    path, headers = (
        f"/v1/{ACCOUNT}/team-a/compat/chat/completions",
        {"cf-aig-authorization": "Bearer aig-token"},
    )
    bad = ask("no-slash")
    other_gateway = f"/v1/{ACCOUNT}/team-b/compat/chat/completions"
    other_account = f"/v1/{'0' * 32}/team-a/compat/chat/completions"
    assert_gateway_error(await guarded.post(other_gateway, json=bad), 401, 2009)
    wrong = {"cf-aig-authorization": "Bearer other"}
    assert_gateway_error(await guarded.post(other_gateway, json=bad, headers=wrong), 401, 2009)
    refused = await guarded.post(other_gateway, json=bad, headers=headers)
    assert_gateway_error(refused, 400, 2001)
    assert "cf-aig-log-id" not in refused.headers
    assert_gateway_error(await guarded.post(other_account, json=bad, headers=headers), 400, 2001)
    assert_gateway_error(await guarded.post(path, json=bad, headers=headers), 400, 2019)
    good = ask("openai/gpt-4o-mini")
    assert (await guarded.post(path, json=good, headers=headers)).status_code == 200
    default = f"/v1/{ACCOUNT}/default/openai/chat/completions"
    assert (await guarded.post(default, json=ask(), headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("code", "status"), [(2003, 429), (2005, 400), (2009, 401), (2021, 402), (2041, 429)]
)
async def test_gateway_errors_on_demand(
    client: httpx.AsyncClient, simulator: Simulator, gateway: str, code: int, status: int
) -> None:
    """`code` answers with the gateway's own envelope and bills nothing."""
    answer = await client.post(f"{gateway}/openai/chat/completions", json=ask(text=f"[[sim code={code}]]"))
    assert_gateway_error(answer, status, code)
    assert simulator.bill.last_seq == 0


async def test_vendor_errors_pass_through(client: httpx.AsyncClient, gateway: str) -> None:
    """A vendor's refusal keeps its own body behind the gateway, and gets the gateway's headers."""
    answer = await client.post(
        f"{gateway}/openai/chat/completions", json=ask(), headers={"authorization": "Bearer sk-invalid-1"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "cf-aig-log-id" in answer.headers


async def test_direct_vendor(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """The vendor's own path has no gateway headers and takes its event id from x-client-request-id."""
    for path in ("/v1/chat/completions", "/chat/completions"):
        answer = await client.post(path, json=ask(), headers={"x-client-request-id": "attempt-1"})
        assert not [name for name in answer.headers if name.startswith("cf-")]
    assert [row["event_id"] for row in simulator.bill.rows()] == ["attempt-1"] * 2
    assert (await client.get("/v1/chat/completions")).status_code == 405
    assert (await client.get("/v1/engines")).status_code == 404


async def test_models(client: httpx.AsyncClient, gateway: str) -> None:
    """The model lists name models with a provider's prefix on /compat and without at the vendor."""
    compat = (await client.get(f"{gateway}/compat/models")).json()["data"]
    assert "openai/gpt-4o-mini" in [row["id"] for row in compat]
    direct = (await client.get("/v1/models")).json()["data"]
    assert "gpt-4o-mini" in [row["id"] for row in direct]
