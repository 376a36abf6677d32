"""Bodies: what is refused, and what goes upstream."""

import json
from typing import Any

import orjson
import pytest

from edge.call import Call
from edge.families.chat import parse
from edge.formats import Changes
from edge.upstream.body import upstream_body
from edge.upstream.cloudflare import (
    Credential,
    Endpoint,
    direct_destination,
    gateway_destination,
)
from tests.edge.test_endpoints import GATEWAY, chat_of
from tollkeeper.errors import Reason, TollkeeperError

MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
OWN_KEY = Credential("sk", "")
OPENAI = chat_of(gateway_destination(GATEWAY, "openai", "", "", OWN_KEY, {}))
MISTRAL = chat_of(gateway_destination(GATEWAY, "mistral", "", "", OWN_KEY, {}))
COHERE = chat_of(gateway_destination(GATEWAY, "cohere", "", "", OWN_KEY, {}))
CUSTOM = chat_of(direct_destination("custom", "https://llm.example.com/v1", OWN_KEY))


@pytest.mark.parametrize(
    ("raw", "param", "code"),
    [
        (b"", None, "invalid_json"),
        (b"{", None, "invalid_json"),
        (b"[]", None, "invalid_json"),
        (b'"text"', None, "invalid_json"),
        (b"\xff", None, "invalid_json"),
        (b"{}", "model", "missing_required_parameter"),
        (b'{"model":null}', "model", "missing_required_parameter"),
        (b'{"model":7}', "model", "invalid_type"),
        (b'{"model":""}', "model", "invalid_type"),
        (b'{"model":"' + b"m" * 257 + b'"}', "model", "invalid_type"),
        (b'{"model":"m"}', "messages", "missing_required_parameter"),
        (b'{"model":"m","messages":"hi"}', "messages", "invalid_type"),
        (b'{"model":"m","messages":{}}', "messages", "invalid_type"),
        (b'{"model":"m","messages":[]}', "messages", "empty_array"),
        (b'{"model":"m","messages":["hi"]}', "messages[0]", "invalid_type"),
        (b'{"model":"m","messages":[{},null]}', "messages[1]", "invalid_type"),
    ],
)
def test_unusable_bodies(raw: bytes, param: str | None, code: str) -> None:
    """400, with the field's name."""
    with pytest.raises(TollkeeperError) as caught:
        parse(raw)

    assert caught.value.reason == Reason.INVALID_ARGUMENT
    assert (caught.value.metadata.get("param"), caught.value.metadata["code"]) == (param, code)


@pytest.mark.parametrize(
    ("field", "value", "param", "code"),
    [
        ("stream", "yes", "stream", "invalid_type"),
        ("stream", 1, "stream", "invalid_type"),
        ("stream_options", True, "stream_options", "invalid_type"),
        ("stream_options", {"include_usage": 1}, "stream_options.include_usage", "invalid_type"),
        ("n", 0, "n", "invalid_value"),
        ("n", 129, "n", "invalid_value"),
        ("n", 1.5, "n", "invalid_type"),
        ("n", True, "n", "invalid_type"),
        ("max_tokens", 0, "max_tokens", "invalid_value"),
        ("max_tokens", -5, "max_tokens", "invalid_value"),
        ("max_tokens", "5", "max_tokens", "invalid_type"),
        ("max_tokens", 10**9, "max_tokens", "invalid_value"),
        ("max_completion_tokens", 10**30, "max_completion_tokens", "invalid_type"),
    ],
)
def test_unusable_fields(field: str, value: object, param: str, code: str) -> None:
    """What routing, holding and relaying read must be what they think it is."""
    # Not orjson: it refuses to write what clients may send.
    raw = json.dumps({"model": "m", "messages": MESSAGES, field: value}).encode()
    with pytest.raises(TollkeeperError) as caught:
        parse(raw)

    assert (caught.value.metadata["param"], caught.value.metadata["code"]) == (param, code)


@pytest.mark.parametrize("field", ["stream", "stream_options", "n", "max_tokens", "max_completion_tokens"])
def test_null_is_as_good_as_absent(field: str) -> None:
    """SDKs send nulls."""
    request = chat({field: None})

    assert (request.stream, request.wants_usage, request.demand.asked_output) == (False, False, None)


def chat(more: dict[str, Any], with_provider: bool = False) -> Call:
    """A request with these fields beside the two that must be there."""
    return parse(orjson.dumps({"model": "m", "messages": MESSAGES} | more), with_provider)


def sent(request: Call, endpoint: Endpoint, limit: int | None = None, model: str = "m") -> bytes:
    """What goes upstream."""
    return upstream_body(request, endpoint, Changes(model, limit))


def test_untouched_wherever_nothing_changes() -> None:
    """The client's own bytes, spaces, order and unknown fields included."""
    raw = b' { "messages" : [ {"role":"user","content":"h\\u00ef"} ],  "model":"m", "new_field": [1.0] }\n'

    assert sent(parse(raw), OPENAI) is raw
    assert sent(parse(raw), CUSTOM) is raw


def test_usage_is_asked_for_by_an_insertion() -> None:
    """Nothing else of a streamed body changes."""
    raw = b'\n {"model":"m","messages":[{"role":"user","content":"{"}],"stream":true}'

    assert sent(parse(raw), OPENAI) == (
        b'\n {"stream_options":{"include_usage":true},"model":"m",'
        b'"messages":[{"role":"user","content":"{"}],"stream":true}'
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include_usage": True}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        (
            {"include_obfuscation": False},
            {"include_obfuscation": False, "include_usage": True},
        ),
        (None, {"include_usage": True}),
    ],
)
def test_stream_options_of_the_client_are_kept(options: object, expected: object) -> None:
    """But for the one thing that must be on."""
    body = orjson.loads(sent(chat({"stream": True, "stream_options": options}), OPENAI))

    assert body["stream_options"] == expected


@pytest.mark.parametrize(
    ("endpoint", "asked", "limit", "expected"),
    [
        (OPENAI, {}, None, {}),
        (OPENAI, {}, 9, {"max_completion_tokens": 9}),
        (CUSTOM, {}, 9, {"max_tokens": 9}),
        (COHERE, {}, 9, {"max_tokens": 9}),
        (OPENAI, {"max_tokens": None}, 9, {"max_tokens": None, "max_completion_tokens": 9}),
        (OPENAI, {"max_tokens": 50}, 9, {"max_tokens": 9}),
        (OPENAI, {"max_completion_tokens": 50}, 9, {"max_completion_tokens": 9}),
        (
            OPENAI,
            {"max_completion_tokens": 50, "max_tokens": 5},
            9,
            {"max_completion_tokens": 9, "max_tokens": 5},
        ),
        (MISTRAL, {"max_completion_tokens": 50}, None, {"max_tokens": 50}),
        (MISTRAL, {"max_completion_tokens": 50, "max_tokens": 5}, None, {"max_tokens": 5}),
        (MISTRAL, {"max_completion_tokens": 50}, 9, {"max_tokens": 9}),
        (CUSTOM, {"max_completion_tokens": 50}, None, {"max_completion_tokens": 50}),
    ],
)
def test_output_limits(
    endpoint: Endpoint, asked: dict[str, Any], limit: int | None, expected: dict[str, Any]
) -> None:
    """Under the name the client used, or the one the vendor knows."""
    body = orjson.loads(sent(chat(asked), endpoint, limit))

    assert {name: body[name] for name in body if name.startswith("max_")} == expected


def test_compat_names_vendor_and_model() -> None:
    """In the model's name."""
    assert orjson.loads(sent(chat({}), COHERE))["model"] == "cohere/m"
    assert orjson.loads(sent(chat({}), OPENAI, model="other"))["model"] == "other"


def test_provider_is_consumed_only_where_it_chooses() -> None:
    """And an object of that name belongs to the vendor."""
    chosen, plain = chat({"provider": "openai"}, with_provider=True), chat({"provider": "openai"})
    foreign = chat({"provider": {"order": ["x"]}}, with_provider=True)

    assert chosen.provider == "openai"
    assert "provider" not in orjson.loads(sent(chosen, OPENAI))
    assert orjson.loads(sent(plain, OPENAI))["provider"] == "openai"
    assert foreign.provider is None
    assert orjson.loads(sent(foreign, OPENAI))["provider"] == {"order": ["x"]}


def test_large_integers_survive_a_rewrite() -> None:
    """A seed beyond 64 bits isn't turned into a float."""
    raw = b'{"model":"m","messages":[{"content":"\xc3\xbc"}],"seed":123456789012345678901234567890}'

    assert sent(parse(raw), COHERE) == (
        b'{"model":"cohere/m","messages":[{"content":"\xc3\xbc"}],"seed":123456789012345678901234567890}'
    )


def test_a_deciding_field_hidden_by_escapes_goes_on_once() -> None:
    """Parsers that keep the first of two read another limit than the one that was held for."""
    raw = b'{"model":"m","max_\\u0074okens":9000,"max_tokens":5,"messages":[{"content":"\\u00e9"}]}'
    first = b'{"model":"m","max_tokens":5,"max_\\u0074okens":9000,"messages":[{"content":"\\u00e9"}]}'
    plain = b'{"model":"m","max_tokens":5,"messages":[{"content":"\\u00e9"}]}'

    assert orjson.loads(sent(parse(raw), OPENAI))["max_tokens"] == 5
    assert parse(first).demand.asked_output == 9000
    assert b"u0074" not in sent(parse(raw), OPENAI) + sent(parse(first), OPENAI)
    assert sent(parse(plain), OPENAI) == plain


@pytest.mark.parametrize("field", ["model", "n", "max_tokens", "max_completion_tokens", "stream"])
def test_a_deciding_field_written_twice_goes_on_once(field: str) -> None:
    """Parsers disagree about which one counts: the vendor must see what was held for."""
    values = {"model": (b'"a"', b'"m"'), "stream": (b"true", b"false")}.get(field, (b"7", b"1"))
    pairs = b",".join(b'"%b":%b' % (field.encode(), value) for value in values)
    rest = b'"messages":[{"role":"user","content":"hi"}]'
    raw = b'{"model":"m",%b,%b}' % (pairs, rest) if field != "model" else b"{%b,%b}" % (pairs, rest)
    body = sent(parse(raw), OPENAI)

    assert body.count(b'"%b"' % field.encode()) == 1
    assert orjson.loads(body) == orjson.loads(raw)
