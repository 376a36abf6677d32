"""A stream reaches the client byte for byte, as it comes, but for the usage that it didn't ask for."""

import asyncio
import re

import pytest

from tests.e2e.admin import Tenant
from tests.e2e.stack import Stack
from tests.e2e.upstreams import MODEL, answers, send_chunks, vendor
from tests.e2e.wire import Connection, ask, chat, steered

ROLE = (
    b'{"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],'
    b'"usage":null}'
)
# Keys in an odd order, blanks, escapes: whoever parses and writes it again changes it.
WORD = '{ "choices":[{"delta":{"content":"Brücke \\u6a4b 🌉"},"index":0}], "id" : "c1","extra":1.0 }'.encode()
FINISH = b'{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}'
USAGE = b'{"id":"c1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}'
DONE = b"[DONE]"
COST_NANOUSD = 7 * 1 + 5 * 2


def framed(payloads: list[bytes], eol: bytes = b"\n", before: bytes = b"") -> list[bytes]:
    """Each payload as an event."""
    return [before + b"data: " + payload + eol + eol for payload in payloads]


def split(stream: bytes, size: int) -> list[bytes]:
    """Pieces of a few bytes, which cut characters and line ends."""
    return [stream[start : start + size] for start in range(0, len(stream), size)]


PLAIN = [ROLE, WORD, FINISH]
# Name → pieces the vendor sends, and what the client gets that didn't ask for usage.
STREAMS = {
    "as OpenAI sends it": (framed([*PLAIN, USAGE, DONE]), framed([*PLAIN, DONE])),
    "CR LF": (framed([*PLAIN, USAGE, DONE], b"\r\n"), framed([*PLAIN, DONE], b"\r\n")),
    "split within characters": (split(b"".join(framed([*PLAIN, USAGE, DONE])), 3), framed([*PLAIN, DONE])),
    "CR LF split": (
        split(b"".join(framed([*PLAIN, USAGE, DONE], b"\r\n")), 5),
        framed([*PLAIN, DONE], b"\r\n"),
    ),
    "all in one piece": ([b"".join(framed([*PLAIN, USAGE, DONE]))], framed([*PLAIN, DONE])),
    "comments": (
        [b": ping\n\n", *framed([ROLE]), b": ping\n\n", *framed([WORD, FINISH, USAGE, DONE])],
        [b": ping\n\n", *framed([ROLE]), b": ping\n\n", *framed([WORD, FINISH, DONE])],
    ),
    "no [DONE]": (framed([*PLAIN, USAGE]), framed(PLAIN)),
    "no [DONE], no last blank line": ([*framed(PLAIN), b"data: " + USAGE], framed(PLAIN)),
    "other fields": (
        [b"event: message\nid: 4\ndata: " + WORD + b"\n\n", *framed([FINISH, USAGE, DONE])],
        [b"event: message\nid: 4\ndata: " + WORD + b"\n\n", *framed([FINISH, DONE])],
    ),
    "no blank after the colon": (
        [b"data:" + each + b"\n\n" for each in [*PLAIN, USAGE, DONE]],
        [b"data:" + each + b"\n\n" for each in [*PLAIN, DONE]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
async def test_bytes_but_for_withheld_usage(stack: Stack, tenant: Tenant, name: str) -> None:
    """The usage event is the only difference, and it is what was booked."""
    sent, expected = STREAMS[name]
    async with vendor(lambda writer: send_chunks(writer, sent)) as upstream:
        key = upstream.key(tenant)
        reply = await ask(stack.edge, key.secret, chat(model=MODEL, stream=True))
    assert reply.body == b"".join(expected)
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.headers["x-request-id"] == "vendor-1"
    assert b'"include_usage":true' in upstream.bodies[0]
    assert tenant.settled(1)[0].cost_nanousd == COST_NANOUSD


@pytest.mark.parametrize("name", STREAMS)
async def test_all_bytes_with_usage(stack: Stack, tenant: Tenant, name: str) -> None:
    """Who asks for usage gets every byte, and the vendor gets the client's own body."""
    sent, _ = STREAMS[name]
    body = chat(model=MODEL, stream=True, stream_options={"include_usage": True})
    async with vendor(lambda writer: send_chunks(writer, sent)) as upstream:
        key = upstream.key(tenant)
        reply = await ask(stack.edge, key.secret, body)
    assert reply.body == b"".join(sent)
    assert upstream.bodies == [body]
    assert tenant.settled(1)[0].cost_nanousd == COST_NANOUSD


def _same_for_all(stream: bytes) -> bytes:
    """Without what differs between two answers to the same request."""
    return re.sub(rb'"id":"chatcmpl-[^"]*"|"created":\d+', b"", stream)


@pytest.mark.parametrize(
    "pairs", ["", "crlf", "ping", "split utf8", "usage_every_chunk", "no_done", "drip_ms=1"]
)
async def test_bytes_through_the_gateway(stack: Stack, tenant: Tenant, pairs: str) -> None:
    """What the client gets is what the gateway's host itself answers to the same request."""
    body = steered(f"tokens=4 {pairs}", stream=True, stream_options={"include_usage": True})
    key = tenant.key()
    reply = await ask(stack.edge, key.secret, body)
    path = f"/v1/{'0' * 32}/default/openai/chat/completions"
    direct = await ask(
        stack.simulator, "sk-direct", body, path=path, headers={"cf-aig-authorization": "Bearer x"}
    )
    assert direct.status == 200
    assert _same_for_all(reply.body) == _same_for_all(direct.body)


async def test_the_first_event_comes_before_the_second_is_sent(stack: Stack, tenant: Tenant) -> None:
    """The vendor holds the second event back until the client has the first."""
    key = tenant.key()
    gate = f"gate-{tenant.customer_id}"
    async with Connection(stack.edge, key.secret) as connection, asyncio.timeout(20):
        await connection.send(steered(f"tokens=3 gate={gate}", stream=True))
        status, headers = await connection.head()
        assert status == 200
        pieces = connection.pieces(headers)
        first = await anext(pieces)
        assert first.count(b"data: ") == 1
        assert b'"role":"assistant"' in first
        stack.open_gate(gate)
        rest = b"".join([piece async for piece in pieces])
    assert rest.endswith(b"data: [DONE]\n\n")
    assert rest.count(b"data: ") == 5


async def test_a_plain_answer_keeps_its_bytes(stack: Stack, tenant: Tenant) -> None:
    """Blanks, key order and unknown fields of a body included."""
    body = b'{ "usage" : {"prompt_tokens":7, "completion_tokens":5}, "new":[1.0, null],"choices":[ ] }\n'
    async with vendor(answers(body, "application/json; charset=utf-8")) as upstream:
        reply = await ask(stack.edge, upstream.key(tenant).secret, chat(model=MODEL))
    assert reply.body == body
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert tenant.settled(1)[0].cost_nanousd == COST_NANOUSD
