"""Misbehaviour on the wire, and what the bill says of it."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from simulator import Settings, Simulator

DIRECT = "/v1/chat/completions"


def ask(steering: str = "", **fields: object) -> dict[str, Any]:
    text = f"hello [[sim {steering}]]" if steering else "hello"
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **fields}


def post(body: dict[str, Any], version: str = "1.1") -> bytes:
    payload = json.dumps(body).encode()
    head = f"POST {DIRECT} HTTP/{version}\r\nhost: sim\r\ncontent-length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


async def raw(simulator: Simulator, body: dict[str, Any], version: str = "1.1") -> tuple[bytes, str]:
    """All bytes of one answer, and how its connection ended: eof or reset."""
    url = urlsplit(simulator.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(post(body, version))
    received = bytearray()
    end = "eof"
    try:
        while piece := await asyncio.wait_for(reader.read(65536), 20):
            received += piece
    except ConnectionResetError:
        end = "reset"
    finally:
        writer.close()
    return bytes(received), end


async def last_row(simulator: Simulator, rows: int = 1) -> dict[str, Any]:
    """The last of `rows` rows, waited for: a hang-up reaches the bill a moment later."""
    for _ in range(200):
        if simulator.bill.last_seq >= rows:
            break
        await asyncio.sleep(0.01)
    found = simulator.bill.rows()
    assert len(found) == rows
    return found[-1]


@pytest.mark.parametrize(
    ("steering", "status", "error_type", "code"),
    [
        ("status=401", 401, "invalid_request_error", "invalid_api_key"),
        ("status=404", 404, "invalid_request_error", "model_not_found"),
        ("status=429", 429, "requests", "rate_limit_exceeded"),
        ("status=429 error=insufficient_quota", 429, "insufficient_quota", "insufficient_quota"),
        ("status=500", 500, "server_error", None),
        ("status=503 first_byte_ms=5", 503, "service_unavailable_error", "server_is_overloaded"),
        ("status=529", 529, "server_error", None),
    ],
)
async def test_errors_bill_nothing(
    client: httpx.AsyncClient,
    simulator: Simulator,
    steering: str,
    status: int,
    error_type: str,
    code: str | None,
) -> None:
    """An error asked for comes in OpenAI's shape, streamed or not, and isn't billed."""
    for stream in (False, True):
        answer = await client.post(DIRECT, json=ask(steering, stream=stream))
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["code"]) == (status, error_type, code)
    assert simulator.bill.last_seq == 0


async def test_billed_error_costs_the_prompt(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """`billed` makes a failure cost its prompt, as when a vendor dies after it read it."""
    answer = await client.post(DIRECT, json=ask("status=502 billed prompt=9 retry_after=3"))
    assert (answer.status_code, answer.headers["retry-after"]) == (502, "3")
    row = await last_row(simulator)
    assert (row["prompt_tokens"], row["completion_tokens"], row["status"], row["finish"]) == (
        9,
        0,
        502,
        "error",
    )


@pytest.mark.parametrize(
    ("steering", "events", "tokens", "finish"),
    [
        ("tokens=5 cut_after=1", 1, 0, "cut"),
        ("tokens=5 cut_after=3", 3, 2, "cut"),
        ("tokens=5 cut_after=3 reasoning=2", 3, 4, "cut"),
        ("tokens=5 cut_after=6", 6, 5, "cut"),
        ("tokens=5 cut_after=7", 7, 5, "cut"),
        ("tokens=5 cut_after=8", 8, 5, "complete"),
    ],
)
async def test_cut_stream_bills_what_was_produced(
    simulator: Simulator, steering: str, events: int, tokens: int, finish: str
) -> None:
    """A stream cut after k events has sent exactly those, no end of its chunks, and bills their tokens."""
    received, end = await raw(simulator, ask(steering, stream=True) | {"model": "m+close"})
    assert received.count(b"data: ") == events
    assert received.endswith(b"0\r\n\r\n") == (finish == "complete")
    assert end == "eof"
    row = await last_row(simulator)
    assert (row["completion_tokens"], row["finish"]) == (tokens, finish)


async def test_cut_with_reset(simulator: Simulator) -> None:
    """`rst` ends a cut with a TCP reset instead of an orderly close."""
    received, end = await raw(simulator, ask("cut_after=2 rst", stream=True))
    assert (received.count(b"data: "), end) == (2, "reset")


async def test_cut_sends_large_events_first(simulator: Simulator) -> None:
    """Events before a cut arrive whole, even when they are more than the kernel takes at once."""
    received, _ = await raw(simulator, ask("bytes=8000000 cut_after=2", stream=True))
    assert received.count(b"x" * 8_000_000) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_cut_before_the_first_byte(simulator: Simulator, stream: bool) -> None:
    """`cut_after=0` closes without a single byte; the prompt was read, so it is billed."""
    received, _ = await raw(simulator, ask("cut_after=0", stream=stream))
    assert received == b""
    row = await last_row(simulator)
    assert (row["completion_tokens"], row["finish"]) == (0, "cut")


async def test_cut_body(simulator: Simulator) -> None:
    """`cut_body` sends half of the bytes it promised, and bills all of the answer."""
    received, _ = await raw(simulator, ask("cut_body"))
    head, _, body = received.partition(b"\r\n\r\n")
    promised = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert len(body) == promised // 2
    row = await last_row(simulator)
    assert (row["completion_tokens"], row["finish"]) == (16, "cut")


async def test_gate_holds_the_second_event(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """The first event arrives while the second waits for its gate to be opened over HTTP."""
    async with client.stream("POST", DIRECT, json=ask("gate=one", stream=True)) as answer:
        events = answer.aiter_lines()
        assert json.loads((await anext(events)).removeprefix("data: "))["choices"][0]["delta"]["role"]
        assert (await client.get("/_sim/gates")).json() == {"one": {"open": False, "waiting": 1}}
        assert simulator.bill.last_seq == 0
        await client.post("/_sim/gates/one/open")
        assert [line async for line in events if line][-1] == "data: [DONE]"


@pytest.mark.parametrize(
    ("steering", "wait_for_events", "tokens"),
    [("stall_after=4", 4, 3), ("stall", 1, 0), ("drip_ms=2000", 1, 0), ("gate=never reasoning=2", 1, 2)],
)
async def test_hang_up_bills_what_was_produced(
    client: httpx.AsyncClient, simulator: Simulator, steering: str, wait_for_events: int, tokens: int
) -> None:
    """A client that goes away in the middle is billed the prompt and all produced so far."""
    async with client.stream("POST", DIRECT, json=ask(f"prompt=8 {steering}", stream=True)) as answer:
        seen = 0
        async for line in answer.aiter_lines():
            seen += line.startswith("data: ")
            if seen == wait_for_events:
                break
    row = await last_row(simulator)
    assert (row["prompt_tokens"], row["completion_tokens"], row["finish"]) == (8, tokens, "hangup")


async def test_hang_up_before_the_first_byte(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """Whoever gives up before the answer begins is billed the prompt."""
    for rows, stream in enumerate((False, True), start=1):
        with pytest.raises(httpx.ReadTimeout):
            await client.post(DIRECT, json=ask("first_byte_ms=5000 reasoning=9", stream=stream), timeout=0.1)
        row = await last_row(simulator, rows)
        assert (row["completion_tokens"], row["reasoning_tokens"]) == (0, 0)
        assert (row["finish"], row["stream"]) == ("hangup", stream)


async def test_a_row_is_billed_before_the_last_byte(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """Before a client can have read an answer to its end, its row is in the bill's file."""
    path = simulator.settings.bill
    assert path is not None
    for number, stream in enumerate((False, True, True), start=1):
        await client.post(DIRECT, json=ask("drip_ms=0" if number == 3 else "", stream=stream))
        assert [json.loads(line)["seq"] for line in path.read_bytes().splitlines()] == list(
            range(1, number + 1)
        )


async def test_wait_limit_ends_a_stall() -> None:
    """A stalled stream is cut when the limit is over, and billed as cut."""
    async with Simulator(Settings(port=0, wait_limit_s=0.05)) as simulator:
        received, _ = await raw(simulator, ask("stall_after=2", stream=True))
        assert received.count(b"data: ") == 2
        row = await last_row(simulator)
        assert (row["completion_tokens"], row["finish"]) == (1, "cut")


async def test_error_event(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """An error inside a stream ends it without [DONE]; what came before it is billed."""
    answer = await client.post(DIRECT, json=ask("error_event_after=3", stream=True))
    events = answer.text.strip().split("\n\n")
    assert len(events) == 4
    assert json.loads(events[3].removeprefix("data: "))["error"]["code"] == "upstream_disconnected"
    row = await last_row(simulator)
    assert (row["completion_tokens"], row["finish"]) == (2, "error")


async def test_framing_variants_carry_the_same_content(client: httpx.AsyncClient) -> None:
    """CRLF, comments, tiny segments, drip, padding and a missing [DONE] change bytes, not the chunks."""
    expected = None
    for steering in ("utf8", "utf8 crlf", "utf8 ping", "utf8 split", "utf8 drip_ms=0", "utf8 no_done"):
        answer = await client.post(DIRECT, json=ask(steering, stream=True))
        lines = [line for line in answer.text.splitlines() if line.startswith("data: {")]
        deltas = [json.loads(line.removeprefix("data: "))["choices"] for line in lines]
        expected = expected or deltas
        assert deltas == expected
        assert ("data: [DONE]" in answer.text) == ("no_done" not in steering)
        assert ("\r\n\r\n" in answer.text) == ("crlf" in steering)
        assert (": ping" in answer.text) == ("ping" in steering)
    split = await client.post(DIRECT, json=ask("split"))
    assert split.json()["usage"]["completion_tokens"] == 16
    assert len((await client.post(DIRECT, json=ask("bytes=300000", stream=True))).content) > 300000


@pytest.mark.parametrize("stream", [False, True])
async def test_garbage(client: httpx.AsyncClient, simulator: Simulator, stream: bool) -> None:
    """Garbage comes with status 200 and is billed in full."""
    answer = await client.post(DIRECT, json=ask("garbage", stream=stream))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == ("text/event-stream" if stream else "text/html")
    row = await last_row(simulator)
    assert (row["completion_tokens"], row["finish"]) == (16, "error")


async def test_drop_closes_without_saying_so(simulator: Simulator) -> None:
    """`drop` ends a connection after a whole answer that didn't announce it; `close` announces it."""
    for steering, announced in (("drop", False), ("close", True)):
        for stream in (False, True):
            received, end = await raw(simulator, ask(steering, stream=stream))
            assert (b"connection: close" in received, end) == (announced, "eof")


async def test_http_1_0_gets_no_chunks(simulator: Simulator) -> None:
    """A client of HTTP/1.0 reads a stream up to the end of its connection."""
    received, _ = await raw(simulator, ask(stream=True), version="1.0")
    assert b"transfer-encoding" not in received
    assert received.endswith(b"data: [DONE]\n\n")


async def test_large_streams_respect_a_slow_reader(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """A long stream isn't produced ahead of a reader who went away after its first events."""
    body = ask("tokens=200000", stream=True)
    async with client.stream("POST", DIRECT, json=body) as answer:
        await anext(answer.aiter_raw())
    row = await last_row(simulator)
    assert row["finish"] == "hangup"
    assert 0 < row["completion_tokens"] < 200_000
