"""Gemini's own formats, for Gemini's own clients: what they said goes on as it came, and only usage is
read."""

from typing import Any

import orjson

from edge.call import Call
from edge.dialects.google import envelope, event_google
from edge.errors import broken_off
from edge.formats import Changes, Reading, StreamReader
from edge.sse import Watcher
from edge.translation import exact_json
from edge.translation.events import EventSplitter
from edge.translation.google.answer import candidates_of, index_of, parts_of, text
from edge.translation.google.errors import read_error
from edge.translation.google.finish import FAILED, blocked, finish_reason
from edge.translation.google.usage import searches, usage_counts
from edge.upstream.cloudflare import Endpoint
from edge.upstream.faults import gateway_error
from tollkeeper.cost import UsageCounts
from tollkeeper.operations import Operation

_TELLING = (b'"usageMetadata"', b'"finishReason"', b'"groundingMetadata"', b'"promptFeedback"', b'"error"')
_CONFIG = "generationConfig", "generation_config"
_LIMIT = "maxOutputTokens", "max_output_tokens"


class ContentGoogle:
    """See `edge.formats.Format`."""

    def operation(self, stream: bool) -> Operation:
        """Streams have a method of their own."""
        return Operation.STREAM_GENERATE_CONTENT if stream else Operation.GENERATE_CONTENT

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """The client's own bytes wherever nothing has to change."""
        limit, asked = changes.output_limit, call.demand.asked_output
        lowers = limit is not None and (asked is None or limit < asked)
        if not lowers and not call.ambiguous and "model" not in call.body:
            return call.raw
        exact = exact_json.has_long_number(call.raw)
        body: dict[str, Any] = exact_json.loads(call.raw) if exact else dict(call.body)
        if "model" in body:
            body["model"] = f"models/{changes.model}"
        if lowers:
            name = next((name for name in _CONFIG if name in body), _CONFIG[0])
            config = dict(body.get(name) or {})
            config[next((each for each in _LIMIT if each in config), _LIMIT[0])] = limit
            body[name] = config
        return exact_json.dumps(body)

    def content_type(self, call: Call) -> bytes:
        """JSON."""
        return b"application/json"

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Usage, served model and why it stopped, in OpenAI's word."""
        if parsed is None:
            return Reading()
        model = text(parsed.get("modelVersion"))
        candidates = candidates_of(parsed)
        usage = usage_counts(parsed.get("usageMetadata"), searches(candidates, model or call.model))
        finish = finish_of(candidates[0]) if candidates else ""
        return Reading(usage, model, finish)

    def stream(self, call: Call) -> StreamReader:
        """Passes all events on."""
        return ContentWatcher(call.model, call.demand.choice_count)

    def error(self, status: int, body: bytes) -> bytes | None:
        """As it came, but for Cloudflare's own."""
        return cloudflares_error(status, body)


class ContentArrayGoogle(ContentGoogle):
    """The same for clients that asked for one growing array: the vendor is asked for events either way."""

    def stream(self, call: Call) -> StreamReader:
        """Puts the events into an array."""
        return ContentArray(call.model, call.demand.choice_count)


class CountTokensGoogle(ContentGoogle):
    """Tokens are only counted, which costs nothing."""

    def operation(self, stream: bool) -> Operation:
        """Its own method."""
        return Operation.COUNT_CONTENT_TOKENS

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """The model may be named inside once more."""
        name = next((name for name in COUNTED if name in call.body), None)
        if name is None or changes.model == call.model:
            return call.raw
        return exact_json.dumps(call.body | {name: call.body[name] | {"model": f"models/{changes.model}"}})

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Nothing is used."""
        return Reading(UsageCounts(requests=0), call.model)


COUNTED = "generateContentRequest", "generate_content_request"


class ContentWatcher(Watcher):
    """Learns the usage of one stream of Gemini's events, which go on as they came. It is on nearly every
    event and grows: the last one counts."""

    __slots__ = ("_answered", "_asked_model", "_choice_count", "_finished", "_grounded")

    def __init__(self, asked_model: str, choice_count: int) -> None:
        super().__init__(withhold_usage=False)
        self._asked_model = asked_model
        self._choice_count = choice_count
        self._finished: set[int] = set()
        self._grounded: list[dict[str, Any]] = []

    @property
    def usage(self) -> UsageCounts | None:
        """As last reported, with all searches."""
        return usage_counts(self._reported, searches(self._grounded, self.model or self._asked_model))

    def flush(self) -> bytes:
        """A stream without a finish was cut off; it has no other end that a client could miss."""
        rest = super().flush()
        if self._finished or self.error is not None:
            return rest
        return rest + self._fail()

    def _fail(self) -> bytes:
        error = broken_off()
        self.error = error.message
        return event_google(error)

    @staticmethod
    def _is_telling(chunk: bytes) -> bool:
        return any(word in chunk for word in _TELLING)

    def _look(self, event: bytes) -> bool:
        if self._is_telling(event):
            events = EventSplitter()
            for payload in events.feed(event) + events.flush():
                self._learn(payload)
        return True

    def _learn(self, payload: bytes) -> None:
        try:
            given = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return
        if read_error(given) is not None:
            self.error = given
        if type(given) is not dict:
            return
        if type(given.get("usageMetadata")) is dict:
            self._reported = given["usageMetadata"]
        self.model = text(given.get("modelVersion")) or self.model
        for candidate in candidates_of(given):
            if "groundingMetadata" in candidate:
                self._grounded.append({"groundingMetadata": candidate["groundingMetadata"]})
            if candidate.get("finishReason"):
                self._finished.add(index_of(candidate))
                self.finish = self.finish or finish_of(candidate)
        if blocked(given.get("promptFeedback")) is not None:
            self._finished.update(range(self._choice_count))
            self.finish = "content_filter"
        self.usage_is_final = len(self._finished) >= self._choice_count and self.usage is not None


class ContentArray(ContentWatcher):
    """The same, with the events as the elements of one array."""

    __slots__ = ("_events", "_opened")

    def __init__(self, asked_model: str, choice_count: int) -> None:
        super().__init__(asked_model, choice_count)
        self._events = EventSplitter()
        self._opened = False

    def feed(self, chunk: bytes) -> bytes:
        """The elements that a chunk completes. Raises ValueError for an event that is too large."""
        return b"".join([self._element(payload) for payload in self._events.feed(chunk)])

    def flush(self) -> bytes:
        """The end of the array."""
        out = b"".join([self._element(payload) for payload in self._events.flush()])
        if not self._finished and self.error is None:
            out += self._element(self._fail().strip())
        return out + (b"\n]" if self._opened else b"[]")

    def _element(self, payload: bytes) -> bytes:
        self._learn(payload)
        start = b"\n,\r\n" if self._opened else b"["
        self._opened = True
        return start + payload


def finish_of(candidate: dict[str, Any]) -> str:
    """Why a candidate ended, in OpenAI's word; Google's where OpenAI has none."""
    reason = text(candidate.get("finishReason"))
    if not reason or reason in FAILED:
        return reason.lower()
    return finish_reason(reason, any("functionCall" in part for part in parts_of(candidate)))


def cloudflares_error(status: int, body: bytes) -> bytes | None:
    """An error of Cloudflare's gateway in Google's envelope; None for any other."""
    parsed = gateway_error(body)
    if parsed is None:
        return None
    message = f"Cloudflare AI Gateway: {text(parsed.get('message')) or 'no message'}"
    return orjson.dumps(envelope(status, message, f"CLOUDFLARE_{parsed.get('internalCode')}", {}))
