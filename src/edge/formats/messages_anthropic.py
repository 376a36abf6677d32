"""Anthropic's own formats, for Anthropic's own clients: bytes go on as they came, and only usage is read."""

from typing import Any

import orjson

from edge.call import Call
from edge.dialects.anthropic import ANTHROPIC
from edge.errors import broken_off
from edge.formats import Changes, Reading, StreamReader
from edge.sse import Watcher
from edge.translation import exact_json
from edge.translation.anthropic.answer import finish_of
from edge.translation.anthropic.usage import counts, merged
from edge.translation.events import EventSplitter
from edge.upstream.cloudflare import Endpoint
from edge.upstream.faults import gateway_error
from tollkeeper.cost import UsageCounts
from tollkeeper.operations import Operation

_TELLING = (b'"message_start"', b'"message_delta"', b'"message_stop"', b'"error"')


class MessagesAnthropic:
    """See `edge.formats.Format`."""

    def operation(self, stream: bool) -> Operation:
        """One path for whole answers and streams."""
        return Operation.MESSAGES

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """The client's own bytes wherever nothing has to change."""
        lowers = changes.output_limit is not None and changes.output_limit < (call.demand.asked_output or 0)
        if changes.model == call.model and call.provider is None and not call.ambiguous and not lowers:
            return call.raw
        exact = exact_json.has_long_number(call.raw)
        body: dict[str, Any] = exact_json.loads(call.raw) if exact else dict(call.body)
        body["model"] = changes.model
        if call.provider is not None:
            del body["provider"]
        if lowers:
            body["max_tokens"] = changes.output_limit
        return exact_json.dumps(body)

    def content_type(self, call: Call) -> bytes:
        """JSON."""
        return b"application/json"

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Usage, served model and why it stopped, in OpenAI's word."""
        if parsed is None:
            return Reading()
        model = parsed.get("model")
        finish = finish_of(parsed.get("stop_reason"))
        return Reading(counts(parsed.get("usage")), model if type(model) is str else "", finish)

    def stream(self, call: Call) -> StreamReader:
        """Passes all events on."""
        return MessagesWatcher()

    def error(self, status: int, body: bytes) -> bytes | None:
        """As it came, but for Cloudflare's own."""
        return cloudflares_error(body)


class CountTokensAnthropic(MessagesAnthropic):
    """The same, where tokens are only counted, which costs nothing."""

    def operation(self, stream: bool) -> Operation:
        """Its own path."""
        return Operation.COUNT_TOKENS

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Nothing is used."""
        return Reading(UsageCounts(requests=0), call.model)


class MessagesWatcher(Watcher):
    """Learns the usage of one stream of Messages events."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(withhold_usage=False)
        self._reported = {}

    @property
    def usage(self) -> UsageCounts | None:
        """Of all reports; a later one replaces what it repeats."""
        return counts(self._reported)

    def flush(self) -> bytes:
        """A stream that ends without its last event was cut off: it must not look complete."""
        rest = super().flush()
        if self.done or self.error is not None:
            return rest
        error = broken_off()
        self.error = error.message
        return (rest + b"\n\n" if rest else b"") + ANTHROPIC.event(error)

    @staticmethod
    def _is_telling(chunk: bytes) -> bool:
        return any(word in chunk for word in _TELLING)

    def _look(self, event: bytes) -> bool:
        if self._is_telling(event):
            for payload in EventSplitter().feed(event):
                self._learn(payload)
        return True

    def _learn(self, payload: bytes) -> None:
        try:
            event = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return
        kind = event.get("type") if type(event) is dict else None
        if kind == "message_start" and type(event.get("message")) is dict:
            message = event["message"]
            self._reported = merged(self._reported or {}, message.get("usage"))
            self.model = str(message.get("model") or "")
        elif kind == "message_delta":
            self._reported = merged(self._reported or {}, event.get("usage"))
            delta = event.get("delta")
            reason = delta.get("stop_reason") if type(delta) is dict else None
            if reason is not None:
                self.finish = finish_of(reason)
                self.usage_is_final = self.usage is not None
        elif kind == "message_stop":
            self.done = True
        elif kind == "error":
            self.error = event.get("error") or "error"


def cloudflares_error(body: bytes) -> bytes | None:
    """An error of Cloudflare's gateway in Anthropic's envelope; None for any other."""
    parsed = gateway_error(body)
    if parsed is None:
        return None
    message, code = parsed.get("message"), parsed.get("internalCode")
    error = {
        "type": "api_error",
        "message": f"Cloudflare AI Gateway: {message if type(message) is str else 'no message'}",
        "details": {"error_code": f"cloudflare_{code}" if type(code) is int else "cloudflare"},
    }
    return orjson.dumps({"type": "error", "error": error})
