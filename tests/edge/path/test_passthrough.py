"""What goes through as it is: which paths, at what price, and how it arrives."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest

from edge.admission import UsageState
from tests.edge.fake_ledger import KEY, FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge
from tests.edge.path.test_naming_providers import trip

Start = Callable[..., Any]
FEE = {"input": 0, "output": 0, "request": 2_000_000_000}
PATHS = ["sim/echo", "sim/echo/*", "fine_tuning/*", "*"]
ROOT = "/v1/passthrough/openai"


@pytest.fixture
async def edge(start: Start) -> Edge:
    prices = price("sim/echo", **FEE), price("sim/echo/*", **FEE), price("unit", **FEE)
    ledger = FakeLedger(grant(rule("primary", passthrough_paths=PATHS)), *prices)
    made = await start(ledger)
    assert isinstance(made, Edge)
    return made


async def ask(edge: Edge, method: str, path: str, **sent: Any) -> httpx.Response:
    async with edge.client as client:
        answer = await client.request(method, path, **sent)
    await edge.idle()
    return answer


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_any_method(edge: Edge, method: str) -> None:
    """Method, path, query, body and its type arrive as they were sent; one request is billed."""
    answer = await ask(
        edge,
        method,
        f"{ROOT}/sim/echo/jobs/job-1?a=b&c=%20",
        content=None if method == "GET" else b"\x00 any bytes",
        headers={"content-type": "application/x-any"},
    )
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["method"] == method
    assert said["target"].endswith("/openai/sim/echo/jobs/job-1?a=b&c=%20")
    assert said["body"] == ("" if method == "GET" else "\x00 any bytes")
    [captured] = edge.simulator.captures.last(1)
    assert ["content-type", "application/x-any"] in captured["headers"]
    assert ["authorization", "Bearer sk-vendor"] in captured["headers"]
    [opened] = edge.ledger.opened
    assert (opened.plan.model, opened.plan.hold_nanousd) == ("sim/echo/*", 2_000)
    [ended] = opened.ended
    assert (ended.state, ended.cost_nanousd) == (UsageState.USAGE_STATE_REPORTED, 2_000)


async def test_large_bodies_stream(edge: Edge) -> None:
    """A large body goes as it comes, with its length where it told one."""
    data = bytes(range(128)) * 8000

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 50_000):
            yield data[start : start + 50_000]

    for content in (data, pieces()):
        answer = await ask(edge, "POST", f"{ROOT}/sim/echo", content=content)
        assert answer.json()["body"].encode() == data
        [captured] = edge.simulator.captures.last(1)
        headers = dict(captured["headers"])
        assert ("content-length" in headers) is (content is data)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/passthrough/openai/chat/completions", 501, "endpoint_not_supported"),
        ("/v1/passthrough/openai/v1/files", 501, "endpoint_not_supported"),
        ("/v1/passthrough/openai/V1/Files/file-1/content", 501, "endpoint_not_supported"),
        ("/v1/passthrough/openai/v1beta/models/m:generateContent", 501, "endpoint_not_supported"),
        ("/v1/passthrough/elsewhere/sim/echo", 501, "endpoint_not_supported"),
        ("/v1/passthrough/openai/sim/echo/../../files", 400, "invalid_value"),
        ("/v1/passthrough/openai/sim/echo/%2e%2e/files", 400, "invalid_value"),
        ("/v1/passthrough/openai/sim//echo", 400, "invalid_value"),
        ("/v1/passthrough/openai/sim/echo/a%0d%0ab", 400, "invalid_value"),
        ("/v1/passthrough/openai/sim/echo?" + "x" * 2049, 400, "invalid_value"),
        ("/v1/passthrough/openai/other", 400, "model_not_priced"),
        ("/v1/passthrough/openai", 404, "not_found"),
    ],
)
async def test_what_does_not_go_through(edge: Edge, path: str, status: int, code: str) -> None:
    """What the edge serves itself, paths that could mean another one, and what has no price."""
    # A client would tidy the path up.
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    error = orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert (int(answer[9:12]), error["code"]) == (status, code), answer
    assert edge.simulator.captures.last(1) == []


async def test_a_price_by_tokens_is_none(start: Start) -> None:
    """Nobody reads what goes through, so tokens can't be counted: only a price by the request will do."""
    ledger = FakeLedger(grant(rule("primary", passthrough_paths=["sim/echo"])), price("sim/echo", request=1))
    edge = await start(ledger)
    answer = await ask(edge, "POST", f"{ROOT}/sim/echo")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_not_priced")
    assert edge.ledger.missing_models.names == ["sim/echo"]


@pytest.mark.parametrize("tripped", [False, True])
async def test_a_rule_that_waits_for_a_failure(start: Start, tripped: bool) -> None:
    """It is the only one that lets the path through, so it doesn't wait; breakers or not."""
    lets = rule("second", condition="on_status", statuses=[503], passthrough_paths=["sim/echo"])
    edge = await start(FakeLedger(grant(rule("primary"), lets), price("sim/echo", **FEE)))
    if tripped:
        trip(edge)
    answer = await ask(edge, "POST", f"{ROOT}/sim/echo")
    assert (answer.status_code, answer.headers["x-tollkeeper-provider"]) == (200, "second")


async def test_lists_of_models_hold(start: Start) -> None:
    """A key that may use some models may not use other paths."""
    own = grant(rule("primary", passthrough_paths=["sim/echo"]), allowed_models=["gpt-*"])
    edge = await start(FakeLedger(own, price("sim/echo", **FEE)))
    answer = await ask(edge, "POST", f"{ROOT}/sim/echo")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")


@pytest.mark.parametrize(("shared", "status"), [(False, 404), (True, 501)])
async def test_kept_objects_of_shared_providers(start: Start, shared: bool, status: int) -> None:
    """At a provider that others share, nothing that may be theirs goes through."""
    given = rule("primary", passthrough_paths=["fine_tuning/*", "beta/*"], shared=shared)
    edge = await start(FakeLedger(grant(given), price("fine_tuning/*", **FEE), price("beta/*", **FEE)))
    for path in ("fine_tuning/jobs", "beta/threads/thread_1"):
        assert (await ask(edge, "GET", f"{ROOT}/{path}")).status_code == status


async def test_refusals_are_free(edge: Edge) -> None:
    """What the vendor refuses isn't billed."""
    edge.ledger._prices["*"] = edge.ledger._prices["sim/echo"]
    answer = await ask(edge, "POST", f"{ROOT}/nothing-here")
    assert answer.status_code == 404
    assert edge.ledger.opened[0].ended[0].state == UsageState.USAGE_STATE_VOIDED
