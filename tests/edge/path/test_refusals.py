"""Bad input and refusals: an error in OpenAI's shape each, and nothing sent upstream."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from tests.edge.fake_ledger import KEY, FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge, until
from tests.edge.path.test_answers import PATH, body, post
from tollkeeper.errors import Reason, TollkeeperError

Start = Callable[..., Any]
GOOD = orjson.dumps(body())
BEARER = {"authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status", "code"),
    [
        ("POST", PATH, {}, GOOD, 401, "invalid_api_key"),
        ("POST", PATH, {"authorization": ""}, GOOD, 401, "invalid_api_key"),
        ("POST", PATH, {"authorization": "Basic abc"}, GOOD, 401, "invalid_api_key"),
        ("POST", PATH, {"authorization": "Bearer"}, GOOD, 401, "invalid_api_key"),
        ("POST", PATH, {"authorization": "Bearer aig_unknown"}, GOOD, 401, "invalid_api_key"),
        ("POST", PATH, {"x-api-key": "aig_unknown"}, GOOD, 401, "invalid_api_key"),
        ("POST", PATH, {}, b"{", 401, "invalid_api_key"),
        ("POST", PATH, BEARER, b"", 400, "invalid_json"),
        ("POST", PATH, BEARER, b"{", 400, "invalid_json"),
        ("POST", PATH, BEARER, b'{"model":"m"}', 400, "missing_required_parameter"),
        ("POST", PATH, BEARER, orjson.dumps(body(model="unknown")), 400, "model_not_priced"),
        ("POST", PATH, BEARER, b"x" * 2_000_000, 413, "request_too_large"),
        ("GET", PATH, BEARER, b"", 405, "method_not_allowed"),
        ("PUT", PATH, BEARER, GOOD, 405, "method_not_allowed"),
        ("GET", "/v1/models", {}, b"", 401, "invalid_api_key"),
        ("GET", "/v1/models/none", BEARER, b"", 404, "model_not_found"),
        ("GET", "/v1/chat/nothing", BEARER, b"", 404, "not_found"),
        ("POST", "/v1/chat", BEARER, GOOD, 404, "not_found"),
        ("POST", "/v1/fine_tuning/jobs", BEARER, GOOD, 501, "endpoint_not_supported"),
        ("GET", "/v1/realtime?model=gpt-realtime", BEARER, b"", 501, "endpoint_not_supported"),
        ("POST", "/v1/ai/vector_stores", BEARER, GOOD, 501, "endpoint_not_supported"),
        ("DELETE", "/v1/assistants/asst_1", BEARER, b"", 501, "endpoint_not_supported"),
        ("POST", "/v1/files", BEARER, b"{}", 400, "invalid_form"),
    ],
)
async def test_bad_input(
    start: Start, method: str, path: str, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    """Status and code of each; the four keys are always there; no body is ever a traceback."""
    edge = await start(max_body_bytes=1_000_000)
    async with httpx.AsyncClient(base_url=edge.url) as client:
        answer = await client.request(method, path, headers=headers, content=content)
    error = answer.json()["error"]

    assert (answer.status_code, error["code"]) == (status, code)
    assert {"message", "type", "param", "code"} <= set(error)
    assert error["message"]
    assert edge.ledger.opened == []
    assert edge.simulator.bill.rows() == []


async def test_a_wrong_method_names_the_right_ones(edge: Edge) -> None:
    """In `allow`."""
    async with edge.client as client:
        answer = await client.delete(PATH)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/nowhere", 404, {"error": "Not found"}),
        (
            "DELETE",
            "/healthz",
            405,
            {"error": "Not allowed to DELETE on /healthz.", "reason": "METHOD_NOT_ALLOWED"},
        ),
    ],
)
async def test_outside_v1(edge: Edge, method: str, path: str, status: int, expected: object) -> None:
    """The plain shape."""
    async with edge.client as client:
        answer = await client.request(method, path)

    assert (answer.status_code, answer.json()) == (status, expected)


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: nine\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 20_000 + b"\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_broken_http(edge: Edge, raw: bytes) -> None:
    """An error answer and a closed connection; the next client is served."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(raw)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await writer.wait_closed()

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
    assert b"Traceback" not in answer
    assert (await post(edge)).status_code == 200


async def test_an_unexpected_fault_tells_nothing(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed text, no detail, and no retry by the SDK."""

    async def fail(_: str) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(edge.ledger, "authorize", fail)
    answer = await post(edge)

    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert answer.headers["x-should-retry"] == "false"
    assert "secret detail" not in answer.text


async def test_a_model_without_a_price_is_counted(edge: Edge) -> None:
    """So that somebody can add one."""
    await post(edge, model="brand-new")

    assert edge.ledger.missing_models.names == ["brand-new"]


def quota(fits_nanousd: int) -> TollkeeperError:
    """The control plane's refusal."""
    metadata = {
        "scope": "key",
        "scope_id": "key-1",
        "limit_nanousd": "10000000",
        "spent_nanousd": "9990000",
        "held_nanousd": "0",
        "fits_nanousd": str(fits_nanousd),
        "reset_time": "2026-12-01T00:00:00Z",
    }
    return TollkeeperError(Reason.INSUFFICIENT_QUOTA, "No.", metadata)


async def test_quota_says_what_would_fit(start: Start) -> None:
    """The largest limit that the client could have asked for."""
    ledger = FakeLedger(grant(rule("a")), price("gpt-4o-mini", input=0, output=1_000_000))
    edge = await start(ledger)
    ledger.refuse.append(quota(12))
    answer = await post(edge, max_tokens=100)
    details = answer.json()["error"]["tollkeeper"]

    assert answer.status_code == 429
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    assert (details["largest_max_tokens"], details["hold_usd"]) == (12, "0.0000001")


async def test_clamp_lowers_the_limit_and_says_so(start: Start) -> None:
    """A key that opted in is served with what its budget covers."""
    ledger = FakeLedger(grant(rule("a"), clamp_output=True), price("gpt-4o-mini", input=0, output=1_000_000))
    edge = await start(ledger)
    ledger.refuse.append(quota(3))
    answer = await post(edge, "tokens=max", max_tokens=100)

    assert answer.status_code == 200
    assert answer.headers["x-tollkeeper-clamped-max-tokens"] == "3"
    assert answer.json()["usage"]["completion_tokens"] == 3
    assert ledger.opened[0].plan.hold_nanousd == 3


async def test_clamp_of_a_request_without_a_limit(start: Start) -> None:
    """The limit in force was the model's own."""
    ledger = FakeLedger(grant(rule("a"), clamp_output=True), price("gpt-4o-mini", input=0, output=1_000_000))
    edge = await start(ledger)
    ledger.refuse.append(quota(3))
    answer = await post(edge, "tokens=max", max_tokens=None)

    assert answer.headers["x-tollkeeper-clamped-max-tokens"] == "3"
    assert answer.json()["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("fits", [0, 1_000_000])
async def test_no_clamp_where_it_can_not_help(start: Start, fits: int) -> None:
    """Nothing fits, or the limit isn't what is in the way."""
    ledger = FakeLedger(grant(rule("a"), clamp_output=True), price("gpt-4o-mini", input=0, output=1_000_000))
    edge = await start(ledger)
    ledger.refuse.append(quota(fits))

    assert (await post(edge, max_tokens=5)).status_code == 429


async def test_the_default_limit_is_sent(start: Start) -> None:
    """Where the client names none; the hold is for it, too."""
    ledger = FakeLedger(
        grant(rule("a"), default_output_limit=4), price("gpt-4o-mini", input=0, output=1_000_000)
    )
    edge = await start(ledger)
    without = await post(edge, "tokens=max", max_tokens=None)
    named = await post(edge, "tokens=max", max_tokens=6)

    assert without.json()["usage"]["completion_tokens"] == 4
    assert "x-tollkeeper-clamped-max-tokens" not in without.headers
    assert named.json()["usage"]["completion_tokens"] == 6
    assert [opened.plan.hold_nanousd for opened in ledger.opened] == [4, 6]


async def test_a_full_worker_says_come_back(start: Start) -> None:
    """503 with a wait of a second, at once."""
    edge = await start(max_in_flight=1)
    async with edge.client as client:
        slow = asyncio.create_task(client.post(PATH, json=body(), headers={"x-sim": "gate=slow"}))
        await until(lambda: edge.pipeline.in_flight)
        refused = await client.post(PATH, json=body())
        edge.simulator.gates.open("slow")
        served = await slow

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.headers["x-should-retry"] == "true"
    assert served.status_code == 200


async def test_models(start: Start) -> None:
    """Those with a price that the key may ask for, in OpenAI's shape."""
    ledger = FakeLedger(
        grant(rule("a"), allowed_models=["gpt-*"]), price("gpt-4o"), price("gpt-4o-mini"), price("o3")
    )
    edge = await start(ledger)
    async with edge.client as client:
        for prefix in ("/v1/models", "/v1/ai/models"):
            listing = (await client.get(prefix)).json()
            one = (await client.get(f"{prefix}/gpt-4o")).json()
            assert listing["object"] == "list"
            assert [model["id"] for model in listing["data"]] == ["gpt-4o", "gpt-4o-mini"]
            assert one == listing["data"][0]
            assert (one["object"], one["owned_by"]) == ("model", "openai")


async def test_health(edge: Edge) -> None:
    """For people, for the process supervisor and for load balancers."""
    async with edge.client as client:
        home, alive, ready = [(await client.get(path)) for path in ("/", "/healthz", "/readyz")]

    assert set(home.json()) == {"message", "version", "status"}
    assert home.json()["status"] == "healthy"
    assert (alive.status_code, ready.status_code) == (200, 200)


async def test_a_refusal_with_a_key_is_noted_for_the_log(edge: Edge) -> None:
    """A5: what was asked, by whom and under which labels; the answer names the row of the log."""
    content = orjson.dumps(body(model="unknown", user="ann", stream=True))
    headers = {**BEARER, "x-tollkeeper-tags": "nightly, eval"}
    async with edge.client as client:
        answer = await client.post(PATH, headers=headers, content=content)
        unknown = await client.post(PATH, headers={"authorization": "Bearer aig_unknown"}, content=content)

    ((reason, told),) = edge.ledger.refusals.notes
    assert reason == "MODEL_NOT_PRICED"
    assert (told["requested_model"], told["stream"], told["end_user"], told["tags"]) == (
        "unknown",
        True,
        "ann",
        ("nightly", "eval"),
    )
    assert answer.headers["x-tollkeeper-request-id"] == "refusal-1"
    assert "x-tollkeeper-request-id" not in unknown.headers


async def test_labels_of_a_request_go_to_the_ledger(edge: Edge) -> None:
    """The app's user from the body, tags from the header."""
    content = orjson.dumps(body(safety_identifier="s-1"))
    async with edge.client as client:
        await client.post(PATH, headers={**BEARER, "x-tollkeeper-tags": "a,b"}, content=content)

    (opened,) = edge.ledger.opened
    assert (opened.end_user, opened.tags) == ("s-1", ("a", "b"))
