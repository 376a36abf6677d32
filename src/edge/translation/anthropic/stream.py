"""A stream of Messages events as chat completion chunks."""

from typing import Any

import orjson

from edge.errors import broken_off
from edge.translation.anthropic.answer import finish_of, refusal_of, tier_of
from edge.translation.anthropic.errors import envelope
from edge.translation.anthropic.fields import object_in, text_in
from edge.translation.anthropic.reasoning import detail_of
from edge.translation.anthropic.usage import counts, merged
from edge.translation.events import EventSplitter
from edge.translation.openai_answer import DONE, Chunks, error_body, error_event
from tollkeeper.cost import UsageCounts

_PING = b": ping\n\n"
_CUT_OFF = broken_off().message


class ChatStream:
    """One stream. `feed` what arrives and send on what it returns; `flush` at the end."""

    __slots__ = (
        "_blocks",
        "_call_count",
        "_chunks",
        "_detail_count",
        "_events",
        "_reported",
        "_text_chars",
        "_wants_usage",
        "done",
        "error",
        "finish",
        "model",
        "usage",
        "usage_is_final",
        "withheld_count",
    )

    def __init__(self, wants_usage: bool) -> None:
        """`wants_usage`: the client asked for a last chunk with the usage."""
        self._wants_usage = wants_usage
        self._events = EventSplitter()
        self._chunks: Chunks | None = None
        self._blocks: dict[int, dict[str, Any]] = {}
        """Blocks under way: thinking with its text so far, and calls with their index in OpenAI's list."""
        self._call_count = self._detail_count = self._text_chars = 0
        self._reported: dict[str, Any] = {}
        self.usage: UsageCounts | None = None
        self.usage_is_final = False
        self.model = ""
        self.finish = ""
        self.done = False
        self.error: object = None
        self.withheld_count = 0

    def feed(self, chunk: bytes) -> bytes:
        """Raises ValueError for an event that is too large."""
        return b"".join([self._translated(payload) for payload in self._events.feed(chunk)])

    def flush(self) -> bytes:
        """A stream that ends without its last event was cut off: it must not look complete."""
        rest = b"".join([self._translated(payload) for payload in self._events.flush()])
        if self.done or self.error is not None:
            return rest
        self.error = {"type": "upstream_disconnected", "message": _CUT_OFF}
        return rest + error_event(error_body(_CUT_OFF, "server_error", "upstream_disconnected"))

    def _translated(self, payload: bytes) -> bytes:
        if self.done or self.error is not None:
            return b""
        try:
            event = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return b""
        if type(event) is not dict:
            return b""
        kind, index = event.get("type"), event.get("index")
        if type(index) is int:
            if kind == "content_block_delta":
                return self._delta(index, object_in(event, "delta"))
            if kind == "content_block_start":
                return self._start(index, object_in(event, "content_block"))
            if kind == "content_block_stop":
                return self._stop(index)
        if kind == "ping":
            return _PING
        if kind == "message_start":
            return self._begin(object_in(event, "message"))
        if kind == "message_delta":
            return self._end(event)
        if kind == "message_stop":
            return self._close()
        if kind == "error":
            self.error = object_in(event, "error")
            return error_event(envelope(object_in(event, "error")))
        return b""  # newer kinds may come at any time, and are to be passed over

    def _begin(self, message: dict[str, Any]) -> bytes:
        usage = message.get("usage")
        self._report(usage)
        self.model = text_in(message, "model")
        self._chunks = Chunks(text_in(message, "id"), self.model, self._wants_usage, tier_of(usage))
        return self._chunks.delta({"role": "assistant", "content": "", "refusal": None})

    def _start(self, index: int, block: dict[str, Any]) -> bytes:
        kind = block.get("type")
        if kind == "tool_use":
            number = self._call_count
            self._call_count += 1
            self._blocks[index] = {"type": kind, "number": number}
            function = {"name": text_in(block, "name"), "arguments": ""}
            call = {"index": number, "id": text_in(block, "id"), "type": "function", "function": function}
            return self._piece({"tool_calls": [call]})
        if kind == "text":
            return self._text(text_in(block, "text"))
        if kind in ("thinking", "redacted_thinking"):
            offsets = {"text_offset": self._text_chars, "tool_offset": self._call_count}
            self._blocks[index] = block | offsets | {"pieces": []}
        return b""

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        kind = delta.get("type")
        if kind == "text_delta":
            return self._text(text_in(delta, "text"))
        block = self._blocks.get(index)
        if block is None:
            return b""
        if kind == "input_json_delta" and "number" in block:
            function = {"arguments": text_in(delta, "partial_json")}
            return self._piece({"tool_calls": [{"index": block["number"], "function": function}]})
        if kind == "thinking_delta" and "pieces" in block:
            text = text_in(delta, "thinking")
            block["pieces"].append(text)
            return self._piece({"reasoning_content": text}) if text else b""
        if kind == "signature_delta":
            block["signature"] = text_in(block, "signature") + text_in(delta, "signature")
        return b""

    def _stop(self, index: int) -> bytes:
        """Thinking comes whole once more, with the signature that lets it be handed back."""
        block = self._blocks.pop(index, None)
        if block is None or "pieces" not in block:
            return b""
        block["thinking"] = text_in(block, "thinking") + "".join(block["pieces"])
        detail = detail_of(block, self._detail_count, block["text_offset"], block["tool_offset"])
        self._detail_count += 1
        return self._piece({"reasoning_details": [detail]})

    def _end(self, event: dict[str, Any]) -> bytes:
        self._report(event.get("usage"))
        delta = object_in(event, "delta")
        reason = delta.get("stop_reason")
        if reason is None:
            return b""
        self.finish = finish_of(reason)
        self.usage_is_final = self.usage is not None
        explanation = refusal_of(delta.get("stop_details")) if self.finish == "content_filter" else None
        return self._piece({"refusal": explanation}) if explanation else b""

    def _close(self) -> bytes:
        self.done = True
        if self._chunks is None:
            return DONE
        last = self._chunks.finish(self.finish or "stop")
        if self._wants_usage and self.usage is not None:
            last += self._chunks.usage(self.usage)
        return last + DONE

    def _text(self, text: str) -> bytes:
        if not text:
            return b""
        self._text_chars += len(text)
        return self._piece({"content": text})

    def _piece(self, delta: dict[str, Any]) -> bytes:
        return b"" if self._chunks is None else self._chunks.delta(delta)

    def _report(self, usage: object) -> None:
        self._reported = merged(self._reported, usage)
        self.usage = counts(self._reported)
