"""A vendor's stream cut into the payloads of its events."""

import re

from edge.sse import event_end

_LINE_END = re.compile(rb"\r\n|\n|\r")
# Larger than any event of a vendor's but one that holds a whole image or tool input.
MAX_EVENT_BYTES = 33_554_432


class EventSplitter:
    """Feed what arrives; get the `data` of each event that is complete."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Raises ValueError for an event that grows past MAX_EVENT_BYTES."""
        # Only the seam can complete an event that was pending; looking again at all of it would be quadratic.
        scan_from = max(0, len(self._pending) - 3)
        data = self._pending + chunk
        payloads: list[bytes] = []
        start = 0
        while (end := event_end(data, scan_from)) >= 0:
            _append(payloads, data[start:end])
            start = scan_from = end
        self._pending = data[start:]
        if len(self._pending) > MAX_EVENT_BYTES:
            raise ValueError("an event is too large to be translated")
        return payloads

    def flush(self) -> list[bytes]:
        """What is left when the upstream has ended: an event without its blank line."""
        payloads: list[bytes] = []
        rest, self._pending = self._pending, b""
        _append(payloads, rest)
        return payloads


def _append(payloads: list[bytes], event: bytes) -> None:
    """The event's data lines joined, one leading space removed from each; comments have none. Gemini's errors
    come as bare JSON."""
    if event.startswith((b"{", b"[")):
        payloads.append(event)
        return
    lines = [line[5:].removeprefix(b" ") for line in _LINE_END.split(event) if line.startswith(b"data:")]
    if lines:
        payloads.append(b"\n".join(lines))
