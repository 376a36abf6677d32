"""Estimates where no vendor told: streams by what came, the hold where that says too little."""

import json

import pytest

from edge.call import Call
from edge.estimate import (
    HELD_BYTES,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    MOST_THINKERS,
    EstimatePolicy,
    Estimates,
    Relayed,
    prompt_tokens,
)
from edge.families.chat import CHAT, parse
from edge.grants import RuleView
from edge.text_tokens import Vocabulary, text_tokens
from tollkeeper.cost import UsageCounts
from tollkeeper.v1.edge_pb2 import Rule

MODEL = "gpt-4o"


def chunk(text: str, **more: object) -> bytes:
    """One event of a stream in OpenAI's format."""
    delta = {"content": text, **more}
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def relayed(*chunks: bytes) -> Relayed:
    """An answer of which this came."""
    made = Relayed(MODEL)
    for each in chunks:
        made.add(each)
    return made


def test_a_token_a_piece() -> None:
    """Each event that carries text is a token at least."""
    assert relayed(*(chunk(letter) for letter in "word")).tokens() == 4
    assert relayed(chunk(""), chunk("a")).tokens() == 1
    assert relayed().tokens() == 0


@pytest.mark.parametrize(
    "events",
    [
        [chunk("The quick brown fox"), chunk(" jumps over the lazy dog.")],
        [chunk("", reasoning_content="The quick brown fox"), chunk(" jumps over the lazy dog.")],
        [
            b'event: content_block_delta\ndata: {"delta":{"type":"text_delta",'
            b'"text":"The quick brown fox"}}\n\n',
            b'data: {"delta": {"type": "thinking_delta", "thinking": " jumps over the lazy dog."}}\n\n',
        ],
        [
            b'data: {"candidates":[{"content":{"parts":[{"text":"The quick brown fox"}]}}]}\n\n',
            b'data: {"candidates":[{"content":{"parts":[{"text":" jumps over the lazy dog."}]}}]}\n\n',
        ],
        [
            b'event: response.output_text.delta\ndata: {"delta":"The quick brown fox"}\n\n',
            b'data: {"type":"response.output_text.delta","delta":" jumps over the lazy dog."}\n\n',
            b'data: {"type":"response.output_text.done","text":"The quick brown fox jumps"}\n\n',
        ],
        [b'data: {"choices":[{"text":"The quick brown fox jumps over the lazy dog."}]}\n\n'],
        [
            b'data: {"tool_calls":[{"function":{"arguments":"The quick brown fox jumps"}}]}\n\n'
            b'data: {"tool_calls":[{"function":{"arguments":" over the lazy dog."}}]}\n\n'
        ],
    ],
    ids=["openai", "reasoning", "anthropic", "google", "responses", "completions", "tools"],
)
def test_every_format(events: list[bytes]) -> None:
    """The same text is as many tokens in each vendor's events."""
    assert relayed(*events).tokens() == 10


def test_text_that_changes_its_place() -> None:
    """A long answer that goes on in another field, and one that is repeated under another name."""
    tool = b'data: {"delta":{"tool_calls":[{"function":{"arguments":"word "}}]}}\n\n'
    made = relayed(*[chunk("word ")] * 600, *[tool] * 600, *[chunk("word ")] * 600)
    assert abs(made.tokens() - 1800) < 180
    delta = b'data: {"type":"response.output_text.delta","delta":"word "}\n\n'
    done = b'data: {"type":"response.output_text.done","text":"' + b"word " * 300 + b'"}\n\n'
    assert relayed(*[delta] * 50, *[done] * 2).tokens() == 50


def test_escapes() -> None:
    """What JSON writes longer isn't more: quotes, line breaks, and characters by their numbers."""
    text = 'Да, "quoted" \\ back'
    plain = json.dumps({"content": text}, ensure_ascii=False).encode()
    escaped = json.dumps({"content": text}).encode()
    counted = text_tokens(text, Vocabulary.OPENAI)
    assert relayed(plain).tokens() == relayed(escaped).tokens() == counted
    assert relayed(b'{"content":"half \\ud83d').tokens() <= 1


def test_vocabularies() -> None:
    """The same number is more tokens for a model that reads it by its digits; prompts as well."""
    made = {model: Relayed(model) for model in ("gpt-4o", "gemini-2.5-flash")}
    asked = call(messages=[{"role": "user", "content": "123456789"}])
    for each in made.values():
        each.add(chunk("123456789"))
    assert {model: each.tokens() for model, each in made.items()} == {"gpt-4o": 3, "gemini-2.5-flash": 9}
    prompts = {model: prompt_tokens(asked, model) for model in made}
    assert prompts == {"gpt-4o": 3 + MESSAGE_TOKENS + 2, "gemini-2.5-flash": 9 + MESSAGE_TOKENS + 2}


def test_long_streams_are_sampled() -> None:
    """A quarter of the events is read, and the estimate is within a block's worth of the whole."""
    relayed, words = Relayed(MODEL), 5_000
    for _ in range(words):
        relayed.add(b'data: {"id":"c","choices":[{"index":0,"delta":{"content":" word"}}]}\n\n')
    assert abs(relayed.tokens() - words) < words / 100


def test_memory_is_bounded() -> None:
    """However long the stream, only so much of it is held, and a part stands for the rest."""
    made = Relayed(MODEL)
    for _ in range(1000):
        made.add(chunk("word "))
        assert made._held_bytes <= HELD_BYTES
    assert abs(made.tokens() - 1000) < 20


def call(**fields: object) -> Call:
    """A chat request."""
    messages = [{"role": "user", "content": "The quick brown fox jumps over the lazy dog."}]
    body = {"model": "m", "messages": messages, "stream": True, **fields}
    return parse(json.dumps(body).encode())


def test_prompts() -> None:
    """Text, what surrounds a message, tools as written, pictures by the piece and not by their bytes."""
    plain = prompt_tokens(call(), MODEL)
    assert plain is not None
    assert 10 + MESSAGE_TOKENS <= plain <= 12 + MESSAGE_TOKENS
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert prompt_tokens(call(tools=tools), MODEL) > plain + 10  # type: ignore[operator]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "Look:"}, image]}]
    seen = prompt_tokens(call(messages=messages), MODEL)
    assert seen is not None
    assert IMAGE_TOKENS < seen < IMAGE_TOKENS + 30


def test_what_is_not_in_the_body() -> None:
    """A file that is only named: nobody here knows its length."""
    part = {"type": "file", "file": {"file_id": "file-1"}}
    assert prompt_tokens(call(messages=[{"role": "user", "content": [part]}]), MODEL) is None


RULE = RuleView(Rule(provider_id="provider", provider_type="openai"))


def estimated(estimates: Estimates, asked: Call, made: Relayed, told: UsageCounts | None = None) -> object:
    """Its verdict for one model."""
    return estimates.usage(asked, made, RULE, "m", told)


def test_usage() -> None:
    """Prompt and output; what the vendor told before it broke off counts more."""
    estimates = Estimates(EstimatePolicy.RELAYED)
    made = relayed(chunk("Hello, world!"))
    usage = estimates.usage(call(), made, RULE, "m", None)
    assert usage is not None
    assert (usage.output_tokens, usage.input_tokens) == (4, prompt_tokens(call(), MODEL))
    told = UsageCounts(input_tokens=70, cached_input_tokens=30, output_tokens=1)
    assert estimated(estimates, call(), made, told) == told._replace(output_tokens=4)
    more = UsageCounts(input_tokens=70, output_tokens=90)
    assert estimated(estimates, call(), made, more) == more


def test_where_the_hold_stands() -> None:
    """By setting; without any text; for a model that thinks unseen, whether asked to or known to; where the
    vendor goes on in the background."""
    made = relayed(chunk("Hello, world!"))
    assert estimated(Estimates(EstimatePolicy.HOLD), call(), made) is None
    estimates = Estimates(EstimatePolicy.RELAYED)
    assert estimated(estimates, call(), relayed()) is None
    assert estimated(estimates, call(), relayed(b"<html>Oops</html>")) is None
    assert estimated(estimates, call(reasoning_effort="high"), made) is None
    assert estimated(estimates, call(background=True), made) is None
    assert estimated(estimates, call(), made) is not None
    estimates.reported(call(), made, RULE, "m", UsageCounts(output_tokens=9, reasoning_tokens=5))
    assert estimated(estimates, call(), made) is None
    other = RuleView(Rule(provider_id="other", provider_type="openai"))
    assert estimates.usage(call(), made, other, "m", None) is not None, "another's server is believed"


def test_thinkers_are_bounded() -> None:
    """The model heard of longest ago is forgotten."""
    estimates = Estimates(EstimatePolicy.RELAYED)
    for number in range(MOST_THINKERS + 1):
        estimates.reported(call(), relayed(), RULE, f"m{number}", UsageCounts(reasoning_tokens=1))
    assert len(estimates._thinkers) == MOST_THINKERS
    assert (RULE.provider_id, "m0") not in estimates._thinkers


def test_family() -> None:
    """The requests of these tests are chat's."""
    assert call().family is CHAT
