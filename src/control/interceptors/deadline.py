"""No call is served for ever: a caller that set no deadline, or a later one, gets ours."""

import asyncio
from collections.abc import AsyncIterator

from google.protobuf.message import Message

from control.interceptors.concern import Context, Stream, Unary
from tollkeeper.errors import Reason, TollkeeperError

# A Watch ends after a day at the latest; its edge opens another and learns what it missed.
STREAM_TIMEOUT_S = 24 * 3600.0


class Deadline:
    """Ends calls after `timeout_s`, and streams after a day. A caller's own deadline is gRPC's to keep."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def unary(self, method: str, inner: Unary) -> Unary:
        """DEADLINE_EXCEEDED when the time is over."""
        timeout_s = self._timeout_s

        async def handle(request: Message, context: Context) -> Message:
            remaining_s: float | None = context.time_remaining()
            if remaining_s is not None and remaining_s <= timeout_s:
                return await inner(request, context)
            try:
                async with asyncio.timeout(timeout_s) as timeout:
                    return await inner(request, context)
            except TimeoutError as error:
                if not timeout.expired():
                    raise
                raise TollkeeperError(
                    Reason.DEADLINE_EXCEEDED, f"Not done within {timeout_s:g} s."
                ) from error

        return handle

    def stream(self, method: str, inner: Stream) -> Stream:
        """UNAVAILABLE when the stream is too old, so that clients open it again."""

        async def handle(request: Message, context: Context) -> AsyncIterator[Message]:
            try:
                async with asyncio.timeout(STREAM_TIMEOUT_S) as timeout:
                    async for message in inner(request, context):
                        yield message
            except TimeoutError as error:
                if not timeout.expired():
                    raise
                raise TollkeeperError(Reason.UNAVAILABLE, "The stream is too old: open it again.") from error

        return handle
