"""The simulated vendor's reading of a chat request, and its decision what to answer.

Prompt tokens are the characters of all message text divided by four, rounded down, plus three a message: at
least 1 and never more than the bytes of the body. Completion tokens are words, one each.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from simulator.bill import Usage
from simulator.errors import STEERING_CODE, VendorError
from simulator.steering import MARKER, Steering, SteeringError, from_message, from_model, parse

DEFAULT_TOKENS = 16
UNLIMITED_TOKENS = 4096
"""What `tokens=max` means for a request without a limit."""
CHOICES_LIMIT = 128
TOOL_CALLS_LIMIT = 2
TOKENS_LIMIT = 1_000_000
"""Most tokens answered to one request, over all its choices: an answer is built in memory."""
CACHED_WORDS = 1024
"""Texts up to this many words are kept ready."""

_SENTENCE = (
    "the toll is paid at every bridge and the keeper writes it down before anyone may pass so that no coin "
    "is lost when night falls over river and road until the morning bell rings again"
)
_WORDS = _SENTENCE.split()
_UTF8_WORDS = ("Brücke", "ποταμός", "мост", "橋", "🌉", "naïve", "Zöllner", "料金", "€", "नदी")


@dataclass(slots=True)
class Call:
    """A chat request, checked."""

    model: str
    """The model's plain name, without steering."""
    steering: Steering
    prompt_tokens: int
    stream: bool
    include_usage: bool
    choices: int
    limit: int | None
    """Output limit of one choice, in tokens."""
    tools: list[str]
    """Names of the functions to call; empty when the answer is text."""


@dataclass(slots=True)
class Answer:
    """What the vendor produces for one call, before any misbehaviour on the wire."""

    call: Call
    usage: Usage
    words: int
    """Visible words of one choice: its completion tokens without the reasoning."""
    finish_reason: str


def read_call(body: bytes, header: bytes | None, base: Steering, deployment: str = "") -> Call:
    """Check a request's body; `header` is its x-sim header. Raises VendorError."""
    request = body_of(body)
    model = request.get("model") or deployment
    if not isinstance(model, str) or not model:
        raise VendorError(400, "you must provide a model parameter")
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise VendorError(
            400, "Missing or wrong parameter: 'messages'.", param="messages", code="invalid_type"
        )
    stream = flag_of(request, "stream")
    options = request.get("stream_options")
    if options is not None and not (stream and isinstance(options, dict)):
        raise VendorError(400, "'stream_options' needs 'stream'.", param="stream_options")
    model, steering = steer(body, model, messages, header, base)
    return Call(
        model=model,
        steering=steering,
        prompt_tokens=prompt_tokens(messages, len(body)) if steering.prompt is None else steering.prompt,
        stream=stream,
        include_usage=options is not None and options.get("include_usage") is True,
        choices=_count(request, "n", CHOICES_LIMIT) or 1,
        limit=_count(request, "max_completion_tokens") or _count(request, "max_tokens"),
        tools=_tools(request, model, steering) if "tools" in request else [],
    )


def decide(call: Call) -> Answer:
    """Decide how much is answered. Raises VendorError when it is too much to build."""
    steering, limit = call.steering, call.limit
    tokens = steering.tokens
    if steering.tokens_max:
        tokens = limit or UNLIMITED_TOKENS
    elif tokens is None:
        tokens = DEFAULT_TOKENS
    if limit is not None and tokens > limit and not steering.uncapped:
        tokens = limit
    if tokens * call.choices > TOKENS_LIMIT:
        raise VendorError(400, f"sim: more than {TOKENS_LIMIT} tokens", code=STEERING_CODE)
    reasoning = min(steering.reasoning, tokens)
    cached = min(steering.cached, call.prompt_tokens)
    written = min(max(steering.cache_write, steering.cache_write_1h), call.prompt_tokens - cached)
    usage = Usage(
        prompt=call.prompt_tokens,
        completion=tokens * call.choices,
        cached=cached,
        cache_write=written,
        reasoning=reasoning * call.choices,
        cache_write_1h=min(steering.cache_write_1h, written),
        web_searches=steering.web_searches,
    )
    reason = "tool_calls" if call.tools else "length" if limit is not None and tokens >= limit else "stop"
    return Answer(call, usage, tokens - reasoning, steering.finish or reason)


def words(steering: Steering, number: int) -> list[str]:
    """The words of one choice; each but the first begins with a blank."""
    source = _UTF8_WORDS if steering.utf8 else _WORDS
    chosen = [f" {source[place % len(source)]}" if place else source[0] for place in range(number)]
    if steering.bytes and chosen:
        chosen[0] += "x" * steering.bytes
    return chosen


def text(steering: Steering, number: int) -> str:
    """The words of one choice as one string."""
    if not steering.bytes and number <= CACHED_WORDS:
        return _short_text(steering.utf8, number)
    return "".join(words(steering, number))


@lru_cache(maxsize=256)
def _short_text(utf8: bool, number: int) -> str:
    return "".join(words(Steering(utf8=utf8), number))


def tool_arguments(answer: Answer) -> list[list[str]]:
    """For each tool call the pieces of its JSON arguments, one token each."""
    calls = min(len(answer.call.tools), TOOL_CALLS_LIMIT, max(1, answer.words))
    share, extra = divmod(answer.words, calls)
    return [_argument_pieces(answer, share + (1 if place < extra else 0)) for place in range(calls)]


def _argument_pieces(answer: Answer, tokens: int) -> list[str]:
    if tokens < 3:
        return ["{}", ""][:tokens]
    return ['{"text":"', *words(answer.call.steering, tokens - 2), '"}']


def usage_json(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def body_of(body: bytes) -> dict[str, Any]:
    """A request's body. Raises VendorError."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise VendorError(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(request, dict):
        raise VendorError(400, "The JSON body must be an object.")
    return request


def steer(
    body: bytes, model: str, messages: list[dict[str, Any]], header: bytes | None, base: Steering
) -> tuple[str, Steering]:
    """The model's plain name, and the steering by name, then message, then header: the later one wins.
    Raises VendorError."""
    try:
        if "+" in model:
            model, base = from_model(model, base)
        if MARKER.encode() in body:
            for message in reversed(messages):
                if message.get("role") == "user":
                    base = from_message(_message_text(message), base)
                    break
        if header is not None:
            base = parse(header.decode("latin-1"), base)
    except SteeringError as error:
        raise VendorError(400, str(error), code=STEERING_CODE) from error
    return model, base


def _message_text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return ""


def prompt_tokens(messages: list[dict[str, Any]], body_bytes: int) -> int:
    """Of all text in these messages."""
    characters = sum([len(_message_text(message)) for message in messages])
    return min(max(1, characters // 4 + 3 * len(messages)), body_bytes)


def _tools(request: dict[str, Any], model: str, steering: Steering) -> list[str]:
    choice = request.get("tool_choice")
    wanted = steering.tool or "tool" in model or choice == "required" or isinstance(choice, dict)
    tools = request["tools"]
    if not wanted or choice == "none" or not isinstance(tools, list):
        return []
    functions = [tool.get("function") for tool in tools if isinstance(tool, dict)]
    names = [
        each["name"] for each in functions if isinstance(each, dict) and isinstance(each.get("name"), str)
    ]
    if isinstance(choice, dict) and isinstance(function := choice.get("function"), dict):
        names = [name for name in names if name == function.get("name")]
    return names[:1] if request.get("parallel_tool_calls") is False else names


def flag_of(request: dict[str, Any], name: str) -> bool:
    """A field that is true or false. Raises VendorError."""
    value = request.get(name)
    if value is not None and not isinstance(value, bool):
        raise VendorError(
            400, f"Invalid type for '{name}': expected a boolean.", param=name, code="invalid_type"
        )
    return value is True


def _count(request: dict[str, Any], name: str, limit: int = 1 << 31) -> int | None:
    value = request.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise VendorError(
            400, f"Invalid type for '{name}': expected an integer.", param=name, code="invalid_type"
        )
    if not 1 <= value <= limit:
        raise VendorError(400, f"Invalid value for '{name}'.", param=name, code="invalid_value")
    return value
