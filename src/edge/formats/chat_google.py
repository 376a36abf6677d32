"""Chat completions of Gemini models: translated to generateContent and back."""

from typing import Any

from edge.call import Call
from edge.formats import Changes, Reading, StreamReader
from edge.translation import exact_json
from edge.translation.google.answer import whole
from edge.translation.google.errors import openai_error
from edge.translation.google.request import request
from edge.translation.google.stream import ChatStream
from edge.upstream.cloudflare import Endpoint
from tollkeeper.operations import Operation


class ChatGoogle:
    """See `edge.formats.Format`."""

    def operation(self, stream: bool) -> Operation:
        """Streams have a method of their own."""
        return Operation.STREAM_GENERATE_CONTENT if stream else Operation.GENERATE_CONTENT

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """Raises INVALID_ARGUMENT with the name of what can't be carried."""
        limits = [limit for limit in (call.demand.asked_output, changes.output_limit) if limit]
        body = exact_json.loads(call.raw) if exact_json.has_long_number(call.raw) else call.body
        if call.provider is not None:
            body = body | {"provider": None}
        return exact_json.dumps(request(body, changes.model, min(limits, default=None)))

    def content_type(self, call: Call) -> bytes:
        """JSON."""
        return b"application/json"

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """The answer as OpenAI would have given it."""
        if parsed is None:
            return Reading()
        read = whole(parsed, call.model)
        return Reading(read.usage, read.model, read.finish, read.answer, read.failure)

    def stream(self, call: Call) -> StreamReader:
        """Translates the events."""
        return ChatStream(call.model, call.wants_usage, call.demand.choice_count)

    def error(self, status: int, body: bytes) -> bytes | None:
        """In OpenAI's envelope."""
        return openai_error(status, body)
