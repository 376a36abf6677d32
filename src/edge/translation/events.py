"""A vendor's stream cut into the payloads of its events."""

from edge.sse import event_end

# Larger than any event of a vendor's but one that holds a whole image or tool input.
MAX_EVENT_BYTES = 33_554_432


class EventSplitter:
    """Feed what arrives; get the `data` of each event that is complete."""

    __slots__ = ("_bytes", "_pieces", "_tail")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._tail = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Raises ValueError for an event that grows past MAX_EVENT_BYTES."""
        # Only the seam can complete an event that was pending. Pieces of a large one are put together once:
        # doing so with each would be quadratic.
        seam = self._tail + chunk
        end = event_end(seam, 0)
        self._pieces.append(chunk)
        if end >= 0:
            data = b"".join(self._pieces)
            return self._cut(data, len(data) - len(seam) + end)
        self._tail = seam[-3:]
        self._bytes += len(chunk)
        self._check()
        return []

    def flush(self) -> list[bytes]:
        """What is left when the upstream has ended: an event without its blank line."""
        payloads: list[bytes] = []
        _append(payloads, b"".join(self._pieces))
        self._keep(b"")
        return payloads

    def _cut(self, data: bytes, end: int) -> list[bytes]:
        """All events, the first of which ends at `end`."""
        payloads: list[bytes] = []
        start = 0
        while end >= 0:
            _append(payloads, data[start:end])
            start = end
            end = event_end(data, start)
        self._keep(data[start:])
        self._check()
        return payloads

    def _keep(self, rest: bytes) -> None:
        self._pieces = [rest] if rest else []
        self._bytes = len(rest)
        self._tail = rest[-3:]

    def _check(self) -> None:
        if self._bytes > MAX_EVENT_BYTES:
            raise ValueError("an event is too large to be translated")


def _append(payloads: list[bytes], event: bytes) -> None:
    """The event's data lines joined, one leading space removed from each; comments have none. Gemini's errors
    come as bare JSON."""
    if event.startswith((b"{", b"[")):
        payloads.append(event)
        return
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    if lines:
        payloads.append(b"\n".join(lines))
