"""Test connections: real calls to the simulator and to vendors of the test's own; no credential comes out."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson

import control.probe
from control.domain.identity import Role
from simulator import Settings, Simulator
from tests.control.gateway import make_provider, refused
from tests.control.harness import RunningControl, replica_count, running_control
from tests.e2e.upstreams import answers, vendor
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1 import providers_pb2
from tollkeeper.v1.providers_pb2 import Provider

ACCOUNT = "a" * 32
SECRET = "sk-invalid-0123456789abcdef"


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    """Cloudflare and all vendors."""
    settings = Settings(port=0, account_id=ACCOUNT, require_token="cf-token", drain_s=0.2)
    async with Simulator(settings) as running:
        yield running


@pytest.fixture
async def installed(database_url: str, tmp_path: Path, simulator: Simulator) -> AsyncIterator[RunningControl]:
    """A control plane whose Cloudflare is the simulator; vendors may live on this machine."""
    overrides: dict[str, Any] = {
        "cf_account_id": ACCOUNT,
        "cf_api_token": "cf-token",
        "cf_gateway_url": simulator.url,
        "cf_api_url": f"{simulator.url}/client/v4",
        "gateway_mode": "shared",
        "allow_private_base_urls": True,
    }
    async with running_control(database_url, tmp_path, **overrides) as running:
        yield running


async def probed(control: RunningControl, **request: Any) -> providers_pb2.TestProviderResponse:
    """What acme's administrator is told."""
    cli = await control.cli()
    return await cli.providers.TestProvider(providers_pb2.TestProviderRequest(customer_id="acme", **request))


async def test_a_saved_provider_through_cloudflare(installed: RunningControl, simulator: Simulator) -> None:
    """A2: it answers, in so many milliseconds, with some of the vendor's models; nothing is billed."""
    cli = await installed.cli()
    await installed.customer("acme")
    provider = await make_provider(cli, "acme", credential="sk-good-0123456789")
    told = await probed(installed, provider_id=provider.provider_id)
    assert (told.ok, told.http_status) == (True, 200)
    assert "gpt-4o-mini" in told.models
    assert 0 <= told.latency_ms < 10_000
    [sent] = simulator.captures.last(1)
    assert sent["target"] == f"/v1/{ACCOUNT}/default/openai/models"
    headers = dict(sent["headers"])
    assert headers["authorization"] == "Bearer sk-good-0123456789"
    assert headers["cf-aig-authorization"] == "Bearer cf-token"
    assert list(simulator.bill.rows()) == []


@pytest.mark.parametrize(
    ("fields", "model", "path"),
    [
        ({"provider_type": "groq", "credential": "k"}, "", "groq/models"),
        ({"provider_type": "mistral", "credential": "k"}, "m", "mistral/v1/chat/completions"),
        ({"provider_type": "anthropic", "credential": "k"}, "", "anthropic/v1/models"),
        ({"provider_type": "anthropic", "stored_key_alias": "a"}, "claude", "anthropic/v1/messages"),
        ({"provider_type": "gemini"}, "", "google-ai-studio/v1beta/models"),
        (
            {"provider_type": "google", "credential": "k"},
            "gemini-3-pro",
            "google-ai-studio/v1beta/models/gemini-3-pro:generateContent",
        ),
        ({"provider_type": "workers-ai"}, "@cf/m", "workers-ai/v1/chat/completions"),
        (
            {"provider_type": "azure-openai", "base_url": "https://ours.openai.azure.com", "credential": "k"},
            "a b",
            "azure-openai/ours/a%20b/chat/completions?api-version=2024-10-21",
        ),
    ],
)
async def test_settings_that_are_not_saved(
    installed: RunningControl, simulator: Simulator, fields: dict[str, Any], model: str, path: str
) -> None:
    """Each type where an edge would send its requests; a named model is asked for one token."""
    await installed.customer("acme")
    told = await probed(installed, provider=Provider(**fields), model=model)
    assert (told.ok, told.message) == (True, "It answers.")
    [sent] = simulator.captures.last(1)
    assert sent["target"] == f"/v1/{ACCOUNT}/default/{path}"
    headers = dict(sent["headers"])
    assert headers.get("cf-aig-byok-alias", "") == fields.get("stored_key_alias", "")
    shown = {"azure-openai": "api-key", "anthropic": "x-api-key", "google": "x-goog-api-key"}.get(
        fields["provider_type"], "authorization"
    )
    assert (shown in headers) == ("credential" in fields)
    if model:
        body = json.loads(sent["body"])
        limit = body["generationConfig"]["maxOutputTokens"] if "contents" in body else body["max_tokens"]
        assert limit == 1


async def test_a_credential_that_is_refused_is_not_repeated(installed: RunningControl) -> None:
    """The vendor quotes it, the answer doesn't; through Cloudflare and directly."""
    await installed.customer("acme")
    quoting = json.dumps({"error": {"message": f"Bad key {SECRET}\n{SECRET[:14]}***"}}).encode()
    head = b"HTTP/1.1 401 No\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(quoting)

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(head + quoting)

    async with vendor(script) as upstream:
        direct = await probed(
            installed,
            provider=Provider(provider_type="custom", base_url=upstream.base_url, credential=SECRET),
            model="m",
        )
    through = await probed(installed, provider=Provider(provider_type="openai", credential=SECRET))
    for told in (direct, through):
        assert (told.ok, told.http_status) == (False, 401)
        assert "[credential]" in told.message
        assert "sk-invalid" not in MessageToJson(told)


async def test_redirects_are_not_followed(installed: RunningControl) -> None:
    """They would carry the credential elsewhere."""
    await installed.customer("acme")

    async def script(writer: asyncio.StreamWriter) -> None:
        location = upstream.base_url.encode()
        writer.write(b"HTTP/1.1 307 Go\r\nlocation: %b/else\r\ncontent-length: 0\r\n\r\n" % location)

    async with vendor(script) as upstream:
        settings = Provider(provider_type="custom", base_url=upstream.base_url, credential="sk-direct")
        told = await probed(installed, provider=settings, model="m")
        assert len(upstream.heads) == 1
    assert (told.ok, told.http_status) == (False, 307)
    assert "redirect" in told.message


async def test_what_never_answers_ends_in_time(
    installed: RunningControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor that is silent, and one that isn't there: an answer, not an error."""
    monkeypatch.setattr(control.probe, "TIMEOUT_S", 0.3)
    await installed.customer("acme")

    async def script(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with vendor(script) as upstream:
        settings = Provider(provider_type="custom", base_url=upstream.base_url)
        silent = await probed(installed, provider=settings, model="m")
    gone = await probed(installed, provider=settings, model="m")
    assert (silent.ok, silent.message) == (False, "No answer within 0.3 s.")
    assert (gone.ok, gone.http_status) == (False, 0)
    assert "127.0.0.1" not in gone.message


async def test_private_addresses_are_refused_at_connect(
    control: RunningControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public name that leads to a private address gets no connection."""
    await control.customer("acme")

    async def resolve(*arguments: Any, **named: Any) -> list[Any]:
        return [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("10.0.0.7", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    settings = Provider(provider_type="custom", base_url="https://llm.example.com/v1")
    told = await probed(control, provider=settings, model="m")
    assert (told.ok, told.message) == (False, "The name leads to a private or local address.")


async def test_tests_that_make_no_sense(control: RunningControl) -> None:
    """By reason: nothing to test, settings that can't be, a model that is needed, one that isn't there."""
    await control.customer("acme")
    for bad in (
        {},
        {"provider": Provider(provider_type="nobody")},
        {"provider": Provider(provider_type="custom")},
        {"provider": Provider(provider_type="custom", base_url="https://10.0.0.1/v1")},
        {"provider": Provider(provider_type="parallel", direct=True, credential="k")},
        {"provider": Provider(provider_type="openai", credential="a\nb")},
    ):
        with refused(Reason.INVALID_ARGUMENT):
            await probed(control, **bad)
    with refused(Reason.NOT_FOUND):
        await probed(control, provider_id=str(uuid7()))
    told = await probed(control, provider=Provider(provider_type="openai", credential="k"))
    assert (told.ok, "CF_ACCOUNT_ID" in told.message) == (False, True)
    manager = await control.person((await control.customer("other")).customer_id, Role.MANAGER)
    with refused(Reason.PERMISSION_DENIED):
        await manager.client.providers.TestProvider(providers_pb2.TestProviderRequest())


@pytest.mark.skipif(replica_count() > 1, reason="each replica counts its own")
async def test_only_so_many_tests_at_a_time(
    installed: RunningControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond that callers are told to come back."""
    monkeypatch.setattr(control.probe, "MAX_RUNNING", 1)
    await installed.customer("acme")
    release = asyncio.Event()

    async def script(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await answers(b"{}")(writer)

    async with vendor(script) as upstream:
        settings = Provider(provider_type="custom", base_url=upstream.base_url)
        first = asyncio.create_task(probed(installed, provider=settings, model="m"))
        while not upstream.heads:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)
        with refused(Reason.UNAVAILABLE):
            await probed(installed, provider=settings, model="m")
        release.set()
        assert (await first).ok


async def test_a_model_is_needed_where_there_is_no_list(installed: RunningControl) -> None:
    """The refusal says so."""
    await installed.customer("acme")
    with refused(Reason.INVALID_ARGUMENT) as refusal:
        await probed(installed, provider=Provider(provider_type="perplexity", credential="k"))
    assert refusal.metadata["field"] == "model"
