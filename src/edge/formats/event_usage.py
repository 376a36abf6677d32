"""Streams of OpenAI's newer endpoints, whose last event tells the usage; everything passes."""

from collections.abc import Callable
from typing import Any

from edge.sse import Watcher
from tollkeeper.cost import UsageCounts


class EventUsage(Watcher):
    """Reads `usage` out of whichever event has one."""

    __slots__ = ("_read", "_usage")
    # The last event holds the whole image or text beside it.
    max_event_bytes = 33_554_432

    def __init__(self, read: Callable[[dict[str, Any]], UsageCounts | None]) -> None:
        """`read` gets an event that has a `usage`."""
        super().__init__(withhold_usage=False)
        self._read = read
        self._usage: UsageCounts | None = None

    @property
    def usage(self) -> UsageCounts | None:
        """As last reported."""
        return self._usage

    @staticmethod
    def _is_telling(chunk: bytes) -> bool:
        return b'"usage"' in chunk or b'"error"' in chunk or b"[DONE]" in chunk

    def _look(self, event: bytes) -> bool:
        if self._is_telling(event) and (told := self._said(event)) is not None:
            if told.get("error") or told.get("type") == "error":
                self.error = told.get("error") or told
            elif isinstance(told.get("usage"), dict):
                self._usage = self._read(told)
                self.usage_is_final = True
        return True
