"""Chat completions of Anthropic's models: translated to the Messages API and back."""

from typing import Any

from edge.call import Call
from edge.formats import Changes, Reading, StreamReader
from edge.translation import exact_json
from edge.translation.anthropic import API_VERSION
from edge.translation.anthropic.answer import chat_completion, finish_of
from edge.translation.anthropic.errors import translated
from edge.translation.anthropic.models import capability
from edge.translation.anthropic.request import messages_request
from edge.translation.anthropic.stream import ChatStream
from edge.translation.anthropic.usage import counts
from edge.upstream.cloudflare import Endpoint
from tollkeeper.operations import Operation

VERSION_LINE = f"anthropic-version: {API_VERSION}\r\n".encode()


class ChatAnthropic:
    """See `edge.formats.Format`."""

    def operation(self, stream: bool) -> Operation:
        """One path for whole answers and streams."""
        return Operation.MESSAGES

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """Raises INVALID_ARGUMENT with the name of what can't be carried."""
        takes = capability(changes.model)
        limits = [limit for limit in (call.demand.asked_output, changes.output_limit) if limit]
        limit = min(limits) if limits else min(changes.held_output, takes.max_output_tokens)
        body = exact_json.loads(call.raw) if exact_json.has_long_number(call.raw) else call.body
        if call.provider is not None:
            body = body | {"provider": None}
        return exact_json.dumps(messages_request(body, changes.model, limit, takes))

    def content_type(self, call: Call) -> bytes:
        """JSON."""
        return b"application/json"

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """The answer as OpenAI would have given it."""
        if parsed is None or parsed.get("type") != "message":
            return Reading()
        model, finish = str(parsed.get("model") or ""), finish_of(parsed.get("stop_reason"))
        return Reading(counts(parsed.get("usage")), model, finish, chat_completion(parsed))

    def stream(self, call: Call) -> StreamReader:
        """Translates the events."""
        return ChatStream(call.wants_usage)

    def error(self, status: int, body: bytes) -> bytes | None:
        """In OpenAI's envelope."""
        return translated(body)
