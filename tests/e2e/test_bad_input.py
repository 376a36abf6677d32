"""Whatever a client gets wrong, it hears in OpenAI's shape, exactly as listed here."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.e2e.admin import Tenant
from tests.e2e.stack import Stack, found
from tests.e2e.wire import PATH, ask, chat
from tollkeeper.v1.keys_pb2 import RevokeKeyRequest
from tollkeeper.v1.prices_pb2 import ListMissingModelsRequest

REQUEST_ERROR = "invalid_request_error"
MESSAGES = [{"role": "user", "content": "Hello"}]
# Body, message, param, code; all of them 400.
BODIES: dict[str, tuple[bytes, str, str | None, str]] = {
    "an array": (b"[]", "The body must be a JSON object.", None, "invalid_json"),
    "a text": (b'"hello"', "The body must be a JSON object.", None, "invalid_json"),
    "no model": (
        json.dumps({"messages": MESSAGES}).encode(),
        "You must provide a model parameter.",
        "model",
        "missing_required_parameter",
    ),
    "model null": (
        chat(model=None),  # type: ignore[arg-type]
        "You must provide a model parameter.",
        "model",
        "missing_required_parameter",
    ),
    "model a number": (
        chat(model=4),  # type: ignore[arg-type]
        "'model' must be a text of 1 to 256 characters.",
        "model",
        "invalid_type",
    ),
    "model empty": (
        chat(model=""),
        "'model' must be a text of 1 to 256 characters.",
        "model",
        "invalid_type",
    ),
    "no messages": (
        b'{"model":"gpt-4o-mini"}',
        "Missing required parameter: 'messages'.",
        "messages",
        "missing_required_parameter",
    ),
    "messages a text": (
        chat(messages="Hello"),
        "'messages' must be an array of objects.",
        "messages",
        "invalid_type",
    ),
    "messages empty": (
        chat(messages=[]),
        "'messages' must hold at least one message.",
        "messages",
        "empty_array",
    ),
    "a message a text": (
        chat(messages=[*MESSAGES, "Hello"]),
        "'messages[1]' must be an object.",
        "messages[1]",
        "invalid_type",
    ),
    "stream a text": (chat(stream="yes"), "'stream' must be true or false.", "stream", "invalid_type"),
    "stream_options a list": (
        chat(stream=True, stream_options=[]),
        "'stream_options' must be an object.",
        "stream_options",
        "invalid_type",
    ),
    "include_usage a number": (
        chat(stream=True, stream_options={"include_usage": 1}),
        "'stream_options.include_usage' must be true or false.",
        "stream_options.include_usage",
        "invalid_type",
    ),
    "max_tokens zero": (
        chat(max_tokens=0),
        "'max_tokens' must be a whole number from 1 to 100000000.",
        "max_tokens",
        "invalid_value",
    ),
    "max_completion_tokens a fraction": (
        chat(max_completion_tokens=1.5),
        "'max_completion_tokens' must be a whole number from 1 to 100000000.",
        "max_completion_tokens",
        "invalid_type",
    ),
    "n too large": (chat(n=129), "'n' must be a whole number from 1 to 128.", "n", "invalid_value"),
    "n true": (chat(n=True), "'n' must be a whole number from 1 to 128.", "n", "invalid_type"),
    "an unknown model": (
        chat(model="gpt-unheard-of"),
        "The model 'gpt-unheard-of' has no price, so it can't be served. Ask for a price to be added.",
        "model",
        "model_not_priced",
    ),
}


def error(
    message: str, param: str | None, code: str, type_: str = REQUEST_ERROR, **more: Any
) -> dict[str, Any]:
    """The whole body of such an answer."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code, **more}}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_cannot_be_used(stack: Stack, tenant: Tenant, name: str) -> None:
    """400, the field named, nothing sent upstream, nothing booked."""
    body, message, param, code = BODIES[name]
    before = stack.billed()
    reply = await ask(stack.edge, tenant.key().secret, body)
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == error(message, param, code)
    assert stack.billed() == before
    assert tenant.usage() == []


@pytest.mark.parametrize("body", [b"", b"{", b'{"model":"gpt-4o-mini",}', b"\xff\xfe", b"[" * 5000])
async def test_broken_json(stack: Stack, tenant: Tenant, body: bytes) -> None:
    """400 `invalid_json`; the text says where."""
    reply = await ask(stack.edge, tenant.key().secret, body)
    assert reply.status == 400
    assert reply.error["message"].startswith("The body is not valid JSON: ")
    assert reply.json() == error(reply.error["message"], None, "invalid_json")


NO_KEY = "You didn't provide an API key. Send it as 'Authorization: Bearer <key>'."
NOT_BEARER = "The Authorization header must be 'Bearer' and a key."


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, NO_KEY),
        ({"authorization": "Basic dXNlcjpwYXNz"}, NOT_BEARER),
        ({"authorization": "aig_something"}, NOT_BEARER),
        ({"authorization": "Bearer "}, None),
        ({"authorization": "Bearer sk-of-a-vendor"}, None),
        ({"authorization": "Bearer aig_short"}, None),
        ({"authorization": "Bearer aig_" + "A" * 43}, None),
        ({"authorization": "Bearer aig_" + "é" * 43}, None),
        ({"authorization": "Bearer aig_" + "A" * 9000}, None),
        ({"x-api-key": "aig_" + "B" * 43}, None),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/ai/chat/completions", "/v1/models"])
async def test_a16_a_key_that_is_none(
    stack: Stack, headers: dict[str, str], message: str | None, path: str
) -> None:
    """401 `invalid_api_key`, also where the body is broken as well; the secret isn't repeated."""
    method = "GET" if path == "/v1/models" else "POST"
    reply = await ask(stack.edge, "", b"{", method=method, path=path, headers=headers)
    assert reply.status == 401
    assert reply.json() == error(message or reply.error["message"], None, "invalid_api_key")
    secret = "".join(headers.values()).rpartition(" ")[2]
    assert not secret or secret not in reply.error["message"]


async def test_a8_unpriced_models_are_listed(stack: Stack, tenant: Tenant) -> None:
    """Name and count, also of those asked for a moment ago."""
    key = tenant.key()
    for model in ("gpt-missing-1", "gpt-missing-2", "gpt-missing-1"):
        assert (await ask(stack.edge, key.secret, chat(model=model))).status == 400
    request = ListMissingModelsRequest(customer_id=tenant.customer_id)
    expected = [("gpt-missing-1", 2), ("gpt-missing-2", 1)]
    found(
        lambda: (
            [
                (each.model, each.request_count)
                for each in tenant.admin.prices.ListMissingModels(request).models
            ]
            == expected
        )
    )


async def test_a16_a_revoked_key(stack: Stack, tenant: Tenant) -> None:
    """Like one that never was."""
    key = tenant.key()
    tenant.admin.keys.RevokeKey(RevokeKeyRequest(customer_id=tenant.customer_id, key_id=key.key_id))
    revoked = await ask(stack.edge, key.secret, chat())
    unknown = await ask(stack.edge, "aig_" + "C" * 43, chat())
    assert revoked.status == 401
    assert revoked.json() == unknown.json()


# Method, path, status, message, code.
PLACES = [
    ("GET", "/v1/chat/completions", 405, "Not allowed to GET on /v1/chat/completions.", "method_not_allowed"),
    ("PUT", "/v1/chat/completions", 405, "Not allowed to PUT on /v1/chat/completions.", "method_not_allowed"),
    ("POST", "/v1/models", 405, "Not allowed to POST on /v1/models.", "method_not_allowed"),
    ("POST", "/v1/chat/x", 404, "Unknown request URL: POST /v1/chat/x.", "not_found"),
    ("POST", "/v1/chat/completion", 404, "Unknown request URL: POST /v1/chat/completion.", "not_found"),
    (
        "POST",
        "/v1/fine_tuning/jobs",
        501,
        "/v1/fine_tuning/jobs is not served by this gateway; /v1/chat/completions is.",
        "endpoint_not_supported",
    ),
]


@pytest.mark.parametrize(("method", "path", "status", "message", "code"), PLACES)
async def test_a_wrong_method_or_path(
    stack: Stack, tenant: Tenant, method: str, path: str, status: int, message: str, code: str
) -> None:
    """405 tells what is allowed, 404 what was asked, 501 what isn't served."""
    reply = await ask(stack.edge, tenant.key().secret, chat(), method=method, path=path)
    assert (reply.status, reply.json()) == (status, error(message, None, code))
    assert ("allow" in reply.headers) == (status == 405)


async def test_outside_of_v1_errors_are_plain(stack: Stack) -> None:
    """The management surface's shape: `error` is a text."""
    reply = await ask(stack.edge, "", b"", method="GET", path="/nowhere")
    assert (reply.status, reply.json()) == (404, {"error": "Not found"})


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_of_50_mb(stack: Stack, tenant: Tenant, chunked: bool) -> None:
    """413 although the client is still sending; the edge serves the next request."""
    key = tenant.key()
    megabyte = b" " * 1_000_000
    body: Any = (megabyte for _ in range(50)) if chunked else megabyte * 50
    answer = httpx.post(
        f"{stack.edge}{PATH}", content=body, headers={"authorization": f"Bearer {key.secret}"}
    )
    assert answer.status_code == 413
    message = "The request is larger than the 20971520 bytes this gateway takes."
    assert answer.json() == error(message, None, "request_too_large")
    assert asyncio.run(ask(stack.edge, key.secret, chat())).status == 200


async def test_a_body_just_within_the_limit(stack: Stack, tenant: Tenant) -> None:
    """19 MB are forwarded whole."""
    body = chat("x" * 19_000_000)
    reply = await ask(stack.edge, tenant.key().secret, body)
    assert reply.status == 200, reply.body[:300]
    assert stack.captured(1)[0]["body_bytes"] == len(body)


async def test_unknown_fields_are_forwarded(stack: Stack, tenant: Tenant) -> None:
    """Byte for byte: new fields appear every month, and large numbers stay exact."""
    body = (
        b'{"model":"gpt-4o-mini", "messages":[{"role":"user","content":"Hi","new_part":{"a":[1,null]}}],'
        b' "future_field":{"b":12345678901234567890123,"c":1.10}, "seed":9007199254740993}'
    )
    reply = await ask(stack.edge, tenant.key().secret, body)
    assert reply.status == 200, reply.body
    assert stack.captured(1)[0]["body"].encode() == body


async def test_unknown_fields_are_forwarded_in_streams(stack: Stack, tenant: Tenant) -> None:
    """Where `stream_options` has to change, everything else stays what it was."""
    body = chat(stream=True, stream_options={"include_obfuscation": False}, big=2**70, future=[{}])
    reply = await ask(stack.edge, tenant.key().secret, body)
    assert reply.status == 200
    sent = json.loads(stack.captured(1)[0]["body"])
    assert sent.pop("stream_options") == {"include_obfuscation": False, "include_usage": True}
    expected = json.loads(body)
    del expected["stream_options"]
    assert sent == expected


async def test_a_body_with_a_field_twice(stack: Stack, tenant: Tenant) -> None:
    """Parsers disagree about which one counts: the vendor gets the one that was checked and held for."""
    body = (
        b'{"model":"gpt-4o-mini","max_tokens":5,"messages":[{"role":"user","content":"[[sim tokens=max]]"}],'
        b'"max_tokens":7}'
    )
    reply = await ask(stack.edge, tenant.key().secret, body)
    assert stack.captured(1)[0]["body"].count('"max_tokens"') == 1
    assert reply.json()["usage"]["completion_tokens"] == 7
