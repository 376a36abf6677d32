"""Chat completions: POST /v1/chat/completions."""

from typing import Any

from edge.call import (
    MAX_CHOICES,
    MAX_OUTPUT_TOKENS,
    Call,
    check_count,
    flag_of,
    invalid_field,
    is_ambiguous,
    json_object,
    model_of,
    provider_of,
    quoted,
    wants_usage_of,
)
from edge.families import Family, of_body
from edge.formats.chat_anthropic import VERSION_LINE, ChatAnthropic
from edge.formats.chat_google import ChatGoogle
from edge.formats.chat_openai import ChatOpenai
from edge.labels import end_user_of
from edge.worst_case import demand
from tollkeeper.operations import Wire

_COUNTS = (
    ("n", MAX_CHOICES),
    ("max_tokens", MAX_OUTPUT_TOKENS),
    ("max_completion_tokens", MAX_OUTPUT_TOKENS),
)
_DECIDING = quoted("model", "n", "max_tokens", "max_completion_tokens", "stream")


def parse(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a body. Raises INVALID_ARGUMENT, with the field's name as `param`."""
    body = json_object(raw)
    model = model_of(body)
    _check_messages(body)
    stream = flag_of(body, "stream")
    wants_usage = wants_usage_of(body)
    for name, most in _COUNTS:
        if name in body:
            check_count(body, name, most)
    needed = demand(body, len(raw))
    return Call(
        CHAT,
        raw,
        body,
        model,
        needed,
        provider_of(body) if with_provider else None,
        stream,
        wants_usage,
        end_user_of(body),
        is_ambiguous(raw, body, _DECIDING),
        _files_of(body) if needed.beyond_body else (),
    )


def _files_of(body: dict[str, Any]) -> tuple[str, ...]:
    """Ids of files that the messages name instead of bringing."""
    files: dict[str, None] = {}
    for message in body["messages"]:
        content = message.get("content")
        for part in content if type(content) is list else ():
            file = part.get("file") if type(part) is dict else None
            file_id = file.get("file_id") if type(file) is dict else None
            if type(file_id) is str:
                files[file_id] = None
    return tuple(files)


def _check_messages(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    if messages is None:
        raise invalid_field(
            "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"
        )
    if type(messages) is not list:
        raise invalid_field("'messages' must be an array of objects.", "messages", "invalid_type")
    if not messages:
        raise invalid_field("'messages' must hold at least one message.", "messages", "empty_array")
    for index, message in enumerate(messages):
        if type(message) is not dict:
            name = f"messages[{index}]"
            raise invalid_field(f"'{name}' must be an object.", name, "invalid_type")


CHAT = Family(
    "chat",
    of_body(parse),
    {Wire.OPENAI: ChatOpenai(), Wire.ANTHROPIC: ChatAnthropic(), Wire.GOOGLE: ChatGoogle()},
    cacheable=True,
    wire_headers={Wire.ANTHROPIC: VERSION_LINE},
)
