"""Anthropic's own API: POST /v1/messages, and /v1/messages/count_tokens."""

from typing import Any

from sanic.request import Request

from edge.call import (
    MAX_OUTPUT_TOKENS,
    Call,
    flag_of,
    invalid_field,
    is_ambiguous,
    json_object,
    model_of,
    provider_of,
    quoted,
)
from edge.dialects.anthropic import ANTHROPIC
from edge.families import Family, of_body
from edge.formats.messages_anthropic import CountTokensAnthropic, MessagesAnthropic
from edge.labels import MAX_END_USER_CHARS, clean
from edge.translation.anthropic.usage import STANDARD
from edge.worst_case import MAX_WEB_SEARCHES, NOTHING, TOOL_WORDS_TOKENS, Demand
from tollkeeper.operations import Wire

# The version and the betas that the client was written for.
_PASSED = ("anthropic-version", "anthropic-beta")
_DECIDING = quoted("model", "max_tokens", "stream")
_WEB_SEARCH = "web_search_"
_PRICED_BY_THE_HOUR = "code_execution_"


def parse(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a request for an answer. Raises INVALID_ARGUMENT, with the field's name as `param`."""
    body = json_object(raw)
    model = model_of(body)
    _check_messages(body)
    limit = _limit(body)
    return Call(
        MESSAGES,
        raw,
        body,
        model,
        demand(body, len(raw), limit),
        provider_of(body) if with_provider else None,
        flag_of(body, "stream"),
        end_user=_end_user(body),
        ambiguous=is_ambiguous(raw, body, _DECIDING),
        references=_references(body),
    )


def parse_count(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a request for a count, which is free. Raises INVALID_ARGUMENT."""
    body = json_object(raw)
    model = model_of(body)
    _check_messages(body)
    return Call(
        COUNT_TOKENS,
        raw,
        body,
        model,
        NOTHING,
        provider_of(body) if with_provider else None,
        ambiguous=is_ambiguous(raw, body, _DECIDING),
        references=_references(body),
    )


def demand(body: dict[str, Any], body_bytes: int, limit: int) -> Demand:
    """What a request may use: as for chat, with Anthropic's names."""
    images, image_bytes, beyond_body = 0, 0, "container" in body or "mcp_servers" in body
    for block in _blocks(body):
        kind = block.get("type")
        source = block.get("source")
        inline = source.get("data") if type(source) is dict else None
        if kind == "image":
            images += 1
            image_bytes += len(inline) if type(inline) is str and inline.isascii() else 0
        elif kind == "document" and (
            type(source) is not dict or source.get("type") not in ("text", "content")
        ):
            # A page costs its text and its picture, however well it is packed.
            beyond_body = True
    tools = body.get("tools")
    tools = [tool for tool in tools if type(tool) is dict] if type(tools) is list else []
    searches = sum(_searches(tool) for tool in tools)
    of_the_vendor = any(str(tool.get("type") or "custom") != "custom" for tool in tools)
    return Demand(
        body_bytes - image_bytes + TOOL_WORDS_TOKENS * len(tools),
        images,
        beyond_body or of_the_vendor,
        limit,
        1,
        0,
        searches,
        tier=_tier(body),
    )


def _tier(body: dict[str, Any]) -> str:
    """Speed and place that cost more, as usage names them."""
    told = [body.get("speed"), body.get("inference_geo")]
    return "-".join([each for each in told if type(each) is str and each not in STANDARD])


def _blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    """All blocks of content, those within tool results included."""
    found: list[dict[str, Any]] = []
    contents = [message.get("content") for message in body["messages"]]
    while contents:
        content = contents.pop()
        for block in content if type(content) is list else ():
            if type(block) is dict:
                found.append(block)
                if block.get("type") == "tool_result":
                    contents.append(block.get("content"))
    return found


def _references(body: dict[str, Any]) -> tuple[str, ...]:
    """Files and containers that the vendor keeps: whoever knows an id could read another's."""
    container = body.get("container")
    named = [container.get("id") if type(container) is dict else container]
    for block in _blocks(body):
        source = block.get("source")
        named += [block.get("file_id"), source.get("file_id") if type(source) is dict else None]
    return tuple(dict.fromkeys(each for each in named if type(each) is str))


def _searches(tool: dict[str, Any]) -> int:
    """The most that one tool of the vendor searches. Raises INVALID_ARGUMENT for one nobody could bill."""
    kind = tool.get("type")
    if type(kind) is not str:
        return 0
    if kind.startswith(_PRICED_BY_THE_HOUR):
        message = "Code execution is billed by the hour of its container, which nobody counts here."
        raise invalid_field(message, "tools", "unsupported_parameter")
    if not kind.startswith(_WEB_SEARCH):
        return 0
    most = tool.get("max_uses")
    return most if type(most) is int and most > 0 else MAX_WEB_SEARCHES


def _check_messages(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    if type(messages) is not list or not all(type(message) is dict for message in messages):
        raise invalid_field("'messages' must be an array of objects.", "messages", "invalid_type")


def _limit(body: dict[str, Any]) -> int:
    """`max_tokens`, which Anthropic wants to be told; 0 only fills the prompt cache."""
    limit = body.get("max_tokens")
    if type(limit) is not int or not 0 <= limit <= MAX_OUTPUT_TOKENS:
        message = f"'max_tokens' must be a whole number from 0 to {MAX_OUTPUT_TOKENS}."
        raise invalid_field(message, "max_tokens", "invalid_value")
    return limit


def _end_user(body: dict[str, Any]) -> str:
    metadata = body.get("metadata")
    user = metadata.get("user_id") if type(metadata) is dict else None
    return clean(user, MAX_END_USER_CHARS) if type(user) is str else ""


def _read_count(request: Request, with_provider: bool) -> Call:
    return parse_count(request.body, with_provider)


MESSAGES = Family("messages", of_body(parse), {Wire.ANTHROPIC: MessagesAnthropic()}, ANTHROPIC, _PASSED)
COUNT_TOKENS = Family(
    "count_tokens", _read_count, {Wire.ANTHROPIC: CountTokensAnthropic()}, ANTHROPIC, _PASSED
)
