"""Where requests go: Cloudflare's provider paths, /compat, or a vendor directly, with which credential."""

import json
from typing import Any

import pytest

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.stack import Stack
from tests.e2e.upstreams import MODEL, RATES, answers, vendor
from tests.e2e.wire import ask, chat, steered

ACCOUNT = "0" * 32
GATEWAY = f"/v1/{ACCOUNT}/default"
OURS = b'{"usage":{"prompt_tokens":7,"completion_tokens":5}}'
# Type, model asked for, path behind the gateway, model that arrives there.
THROUGH_GATEWAY = [
    ("openai", "gpt-4o-mini", "openai/chat/completions", "gpt-4o-mini"),
    ("groq", "own", "groq/chat/completions", "own"),
    ("mistral", "own", "mistral/v1/chat/completions", "own"),
    ("deepseek", "own", "deepseek/chat/completions", "own"),
    ("grok", "own", "grok/v1/chat/completions", "own"),
    ("openrouter", "vendor/own", "openrouter/v1/chat/completions", "vendor/own"),
    ("workers-ai", "@cf/own", "workers-ai/v1/chat/completions", "@cf/own"),
    ("perplexity", "own", "perplexity-ai/chat/completions", "own"),
    ("cohere", "own", "compat/chat/completions", "cohere/own"),
]


def key_for(tenant: Tenant, provider_type: str, model: str, **provider: Any) -> VirtualKey:
    """A key whose only route leads to a provider of this type; models that nobody sells get an own price."""
    provider_id = tenant.provider(provider_type, **provider)
    if model != "gpt-4o-mini":
        tenant.price(provider_id, model, **RATES)
    tenant.route(provider_id)
    return tenant.key()


@pytest.mark.parametrize(("provider_type", "model", "path", "sent_model"), THROUGH_GATEWAY)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a18_through_the_gateway(
    stack: Stack, tenant: Tenant, provider_type: str, model: str, path: str, sent_model: str, stream: bool
) -> None:
    """Path, model, credentials and event id as the gateway wants them; OpenAI's answer and an exact cost."""
    key = key_for(tenant, provider_type, model, credential="sk-of-vendor")
    reply = await ask(stack.edge, key.secret, chat(model=model, stream=stream))
    assert reply.status == 200, reply.body
    captured = stack.captured(1)[0]
    assert captured["target"] == f"{GATEWAY}/{path}"
    assert json.loads(captured["body"])["model"] == sent_model
    headers = dict(captured["headers"])
    assert headers["authorization"] == "Bearer sk-of-vendor"
    assert headers["cf-aig-authorization"] == "Bearer simulator"
    assert headers["cf-aig-event-id"] == reply.headers["x-tollkeeper-request-id"] + "-1"
    assert headers["cf-aig-skip-cache"] == "true"
    metadata = json.loads(headers["cf-aig-metadata"])
    assert (metadata["customer"], metadata["key"]) == (tenant.customer_id, key.key_id)
    assert key.secret not in json.dumps(captured)
    [row] = stack.bill(stack.billed() - 1)
    rate_in, rate_out = (150, 600) if model == "gpt-4o-mini" else (1, 2)
    assert tenant.settled(1)[0].cost_nanousd == (
        row["prompt_tokens"] * rate_in + row["completion_tokens"] * rate_out
    )


GEMINI = "gemini-own"
STEERING = "prompt=100 cached=40 tokens=9 reasoning=4"
CONTENT = json.dumps({"contents": [{"parts": [{"text": f"Hello [[sim {STEERING}]]"}]}]}).encode()
GENERATE, STREAM = f"models/{GEMINI}:generateContent", f"models/{GEMINI}:streamGenerateContent"


@pytest.mark.parametrize(
    ("path", "body", "sent"),
    [
        ("/v1/chat/completions", steered(STEERING, model=GEMINI), GENERATE),
        ("/v1/chat/completions", steered(STEERING, model=GEMINI, stream=True), f"{STREAM}?alt=sse"),
        (f"/v1beta/{GENERATE}", CONTENT, GENERATE),
        (f"/v1/{STREAM}?alt=sse", CONTENT, f"{STREAM}?alt=sse"),
        (f"/v1beta/{STREAM}", CONTENT, f"{STREAM}?alt=sse"),
    ],
    ids=["chat", "chat-stream", "native", "native-stream", "native-array"],
)
async def test_a18_gemini_through_the_gateway(
    stack: Stack, tenant: Tenant, path: str, body: bytes, sent: str
) -> None:
    """Google's own path and key header for OpenAI's clients and for Google's; thoughts and what was read from
    the cache are billed at their own rates, to the nano-dollar."""
    provider_id = tenant.provider("gemini", credential="sk-of-vendor")
    rates = {"cached_input": 100_000, "reasoning": 7_000_000}
    tenant.price(provider_id, GEMINI, **RATES, **rates)
    tenant.route(provider_id)
    key = tenant.key()
    reply = await ask(stack.edge, key.secret, body, path=path)
    assert reply.status == 200, reply.body
    captured = stack.captured(1)[0]
    assert captured["target"] == f"{GATEWAY}/google-ai-studio/v1beta/{sent}"
    headers = dict(captured["headers"])
    assert headers["x-goog-api-key"] == "sk-of-vendor"
    assert "authorization" not in headers
    assert headers["cf-aig-event-id"] == reply.headers["x-tollkeeper-request-id"] + "-1"
    assert key.secret not in json.dumps(captured)
    [entry] = tenant.settled(1)
    assert entry.cost_nanousd == 60 * 1 + 40 // 10 + 5 * 2 + 4 * 7


async def test_azure_through_the_gateway(stack: Stack, tenant: Tenant) -> None:
    """Resource and deployment are in the path, and the key has the vendor's own header."""
    fields = {"credential": "azure-key", "base_url": "https://ours.openai.azure.com"}
    key = key_for(tenant, "azure-openai", "my deployment", **fields)
    reply = await ask(stack.edge, key.secret, chat(model="my deployment"))
    assert reply.status == 200, reply.body
    captured = stack.captured(1)[0]
    path = "azure-openai/ours/my%20deployment/chat/completions?api-version=2024-10-21"
    assert captured["target"] == f"{GATEWAY}/{path}"
    headers = dict(captured["headers"])
    assert headers["api-key"] == "azure-key"
    assert "authorization" not in headers


async def test_a_key_stored_at_cloudflare(stack: Stack, tenant: Tenant) -> None:
    """Its alias goes instead of a credential: any provider header would replace the stored key."""
    key = key_for(tenant, "openai", "gpt-4o-mini", stored_key_alias="team-key")
    assert (await ask(stack.edge, key.secret, chat())).status == 200
    headers = dict(stack.captured(1)[0]["headers"])
    assert headers["cf-aig-byok-alias"] == "team-key"
    assert "authorization" not in headers


async def test_unified_billing(stack: Stack, tenant: Tenant) -> None:
    """Without credential and alias no provider header is sent at all."""
    key = key_for(tenant, "openai", "gpt-4o-mini")
    assert (await ask(stack.edge, key.secret, chat())).status == 200
    headers = dict(stack.captured(1)[0]["headers"])
    assert not {"authorization", "cf-aig-byok-alias", "x-api-key"} & headers.keys()


@pytest.mark.parametrize(
    ("base", "target"),
    [
        ("/v1", "/v1/chat/completions"),
        ("", "/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/deep/er/chat/completions", "/deep/er/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
    ],
)
async def test_a_custom_provider_is_called_directly(
    stack: Stack, tenant: Tenant, base: str, target: str
) -> None:
    """The base URL as it is when it ends in /chat/completions, else as an OpenAI base URL."""
    async with vendor(answers(OURS)) as upstream:
        upstream.base_url = upstream.base_url.removesuffix("/v1") + base
        key = upstream.key(tenant, credential="sk-direct")
        reply = await ask(stack.edge, key.secret, chat(model=MODEL))
    assert (reply.status, reply.body) == (200, OURS)
    assert upstream.heads[0].startswith(f"POST {target} HTTP/1.1\r\n".encode())
    assert tenant.settled(1)[0].cost_nanousd == 7 * 1 + 5 * 2


async def test_nothing_of_ours_reaches_a_vendor(stack: Stack, tenant: Tenant) -> None:
    """Its own credential and an id of the request; no header for Cloudflare, nothing the client sent."""
    private = {
        "cookie": "session=1",
        "x-api-key": "aig_else",
        "openai-organization": "org-1",
        "x-stainless-lang": "python",
        "cf-aig-cache-ttl": "60",
        "x-forwarded-for": "10.0.0.1",
    }
    async with vendor(answers(OURS)) as upstream:
        key = upstream.key(tenant, credential="sk-direct")
        reply = await ask(stack.edge, key.secret, chat(model=MODEL), headers=private)
    lines = upstream.heads[0].decode().split("\r\n")[1:-2]
    sent = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    usage_id = reply.headers["x-tollkeeper-request-id"]
    assert sent.pop("host") == upstream.base_url.removesuffix("/v1").removeprefix("http://")
    assert sent == {
        "authorization": "Bearer sk-direct",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "tollkeeper",
        "content-length": str(len(upstream.bodies[0])),
        "x-client-request-id": f"{usage_id}-1",
    }


async def test_a_custom_provider_without_credential(stack: Stack, tenant: Tenant) -> None:
    """The client's virtual key isn't sent in its place."""
    async with vendor(answers(OURS)) as upstream:
        key = upstream.key(tenant)
        assert (await ask(stack.edge, key.secret, chat(model=MODEL))).status == 200
    assert b"authorization" not in upstream.heads[0].lower()


async def test_a_refused_vendor_credential_is_not_shown(stack: Stack, tenant: Tenant) -> None:
    """Vendors quote the key they refuse; it is the provider's, so the client sees it masked."""
    key = key_for(tenant, "openai", "gpt-4o-mini", credential="sk-invalid-0123456789abcdef")
    reply = await ask(stack.edge, key.secret, chat())
    assert reply.status == 401
    assert b"sk-invalid" not in reply.body
