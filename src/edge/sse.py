"""Watches a stream of OpenAI's events on its way to the client.

Bytes pass through as they came. Only events that may carry usage, an error or the end are parsed, and exactly
one kind is kept from the client: the usage chunk (`choices: []`) that it didn't ask for. Everything else a
vendor does (usage on every chunk or in the finish chunk, comments, CR LF, no `[DONE]`) goes on untouched.
"""

import re
from typing import Any

import orjson

from edge.usage import counts
from tollkeeper.cost import UsageCounts

# Blank lines end events. The group is atomic, or the two halves of one CR LF would count as two line ends.
_EVENT_END = re.compile(rb"(?>\r\n|\n|\r){2}")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"([a-z_]{1,32})"')
# How a chunk ends that cuts no event.
_WHOLE = (b"\n\n", b"\r\n\r\n")
# An event that grows past this goes on unparsed: what it holds can't be usage.
MAX_EVENT_BYTES = 1_048_576


class Watcher:
    """One stream. `feed` what arrives and send on what it returns; `flush` at the end."""

    __slots__ = (
        "_pending",
        "_reported",
        "_service_tier",
        "_web_searches",
        "_withhold",
        "done",
        "error",
        "finish",
        "model",
        "usage_is_final",
        "withheld_count",
    )
    max_event_bytes = MAX_EVENT_BYTES

    def __init__(self, withhold_usage: bool, web_searches: int = 0) -> None:
        """`web_searches` are billed with the usage: vendors don't report them."""
        self._withhold = withhold_usage
        self._web_searches = web_searches
        self._pending = b""
        self._reported: dict[str, Any] | None = None
        self._service_tier: object = None
        self.usage_is_final = False
        """It came with or after the finish, so that a stream which breaks now has told everything."""
        self.model = ""
        self.finish = ""
        self.done = False
        """`[DONE]` has passed."""
        self.error: object = None
        """What the vendor's error event held."""
        self.withheld_count = 0

    @property
    def usage(self) -> UsageCounts | None:
        """The last non-null usage; reports are never added up."""
        return counts(self._reported, self._web_searches, self._service_tier)

    def feed(self, chunk: bytes) -> bytes:
        """What to send on now. An event cut by the network waits for its rest: the client can't use half of
        one."""
        if not self._pending and chunk.endswith(_WHOLE) and not self._is_telling(chunk):
            return chunk
        return self._feed_slowly(chunk)

    def flush(self) -> bytes:
        """What is left when the upstream has ended: an event without its blank line."""
        rest, self._pending = self._pending, b""
        return rest if not rest or self._look(rest) else b""

    @staticmethod
    def _is_telling(chunk: bytes) -> bool:
        """Whether a chunk may hold usage, an error, a finish or the end. `"usage":null` rides on every
        chunk."""
        return (
            chunk.count(b'"usage"') != chunk.count(b'"usage":null')
            or b"[DONE]" in chunk
            or b'"error"' in chunk
            or b'"finish_reason":"' in chunk
        )

    def _feed_slowly(self, chunk: bytes) -> bytes:
        data = self._pending + chunk
        start, kept = 0, []
        # Only the seam can complete an event that was pending; looking again at all of it would be quadratic.
        scan_from = max(0, len(self._pending) - 3)
        end = data.rfind(b"\n\n", scan_from) + 2
        if end > 1 and b"\r" not in data and not self._is_telling(data[:end]):
            # Cut by the network, and nothing to learn from what is complete.
            kept.append(data[:end])
            start = scan_from = end
        while (end := event_end(data, scan_from)) >= 0:
            event = data[start:end]
            if self._look(event):
                kept.append(event)
            start = scan_from = end
        self._pending = data[start:]
        if len(self._pending) > self.max_event_bytes:
            kept.append(self._pending)
            self._pending = b""
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def _look(self, event: bytes) -> bool:
        """Learn from one event; False: the client must not get it."""
        if not self._is_telling(event):
            return True
        if (finish := _FINISH.search(event)) is not None:
            self.finish = finish[1].decode()
        chunk = self._said(event)
        if chunk is None:
            return True
        if chunk.get("error"):
            self.error = chunk["error"]
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return True
        self._reported = usage
        self._service_tier = chunk.get("service_tier")
        self.usage_is_final = bool(self.finish) or chunk.get("choices") == []
        model = chunk.get("model")
        if isinstance(model, str):
            self.model = model
        if self._withhold and chunk.get("choices") == []:
            self.withheld_count += 1
            return False
        return True

    def _said(self, event: bytes) -> dict[str, Any] | None:
        """The object in an event; None for what can't be read, and for the end, which is noted."""
        payload = data_of(event)
        if payload.startswith(b"[DONE]"):
            self.done = True
            return None
        try:
            said = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return None
        return said if isinstance(said, dict) else None


def event_end(data: bytes, at: int) -> int:
    """Where the first event ends that is complete from `at` on; -1: none is."""
    end = data.find(b"\n\n", at)
    if data.find(b"\r", at, end if end >= 0 else len(data)) < 0:
        return end + 2 if end >= 0 else -1
    # The pattern alone would do, but takes ten times as long.
    match = _EVENT_END.search(data, at)
    if match is None or (match.end() == len(data) and data.endswith(b"\n\r")):
        return -1  # the LF of this CR is still to come
    return match.end()


def data_of(event: bytes) -> bytes:
    """The `data` field of an event: its lines joined, one leading space removed from each."""
    if event.startswith(b"data: ") and event.endswith(b"\n\n") and event.count(b"\n") == 2:
        return event[6:-2].rstrip(b"\r")
    lines = [line[5:].removeprefix(b" ") for line in _LINE_END.split(event) if line.startswith(b"data:")]
    return b"\n".join(lines)
