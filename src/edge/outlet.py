"""A streamed answer's way to its client: its head once, its bytes as fast as they are read, and a sign of
life when there has been silence.

Signs of life (heartbeats) go out between events only, and also before the first one: then they bring the
head with them, and whatever fails afterwards has to be told inside the stream (docs/streams.md).
"""

import asyncio
from contextlib import suppress
from time import monotonic

import orjson
from sanic.exceptions import RequestCancelled
from sanic.request import Request

from edge import metrics
from edge.answer import Answer
from edge.client_connection import EdgeProtocol
from edge.hangup import Client
from tollkeeper.errors import Reason, TollkeeperError

EVENT_STREAM = b"text/event-stream"
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class Outlet:
    """Of one request."""

    __slots__ = (
        "_answer",
        "_beating",
        "_client",
        "_early_lines",
        "_heartbeat",
        "_interval_s",
        "_protocol",
        "_request",
        "_room",
        "_tail",
        "_timer",
    )

    def __init__(self, request: Request, protocol: EdgeProtocol, client: Client) -> None:
        self._request = request
        self._client = client
        self._protocol = protocol
        self._room = protocol.room
        self._answer: Answer | None = None
        self._tail = b"\n\n"
        self._timer: asyncio.TimerHandle | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """The head has gone out: nothing can be said by a status any more."""
        return self._answer is not None

    async def begin(self, answer: Answer) -> None:
        """Makes this the answer, unless a heartbeat began one."""
        if self._answer is None:
            self._answer = answer
            await self._request.respond(answer)

    async def send(self, data: bytes) -> None:
        """To the client, if it is still there."""
        if self._client.gone:
            return
        assert self._answer is not None
        try:
            await self._answer.send(data)
        except RequestCancelled:
            # The connection is closing, and Sanic hasn't told us yet.
            task = asyncio.current_task()
            if task is None or not self._client.lost(task):
                raise
        self._tail = data[-4:]

    async def until_room(self) -> None:
        """Until the client has read most of what it was sent, or is gone. Hold nothing large meanwhile."""
        if not self._room.is_set():
            await self._room.wait()

    async def end(self) -> None:
        """The answer is complete."""
        self.stop_heartbeats()
        if not self._client.gone and self._answer is not None:
            with suppress(RequestCancelled):
                await self._answer.send(end_stream=True)

    async def break_off(self, last: bytes) -> None:
        """Events end with an error; any other body must not look complete, so its connection is cut."""
        if last:
            await self.send(last)
            await self.end()
        elif not self._client.gone:
            self._protocol.abort()

    # Heartbeats

    def keep_alive(self, interval_s: float, heartbeat: bytes, lines: bytes) -> None:
        """Sends `heartbeat` after so much silence. `lines` are the headers where it is the first."""
        self._interval_s, self._heartbeat, self._early_lines = interval_s, heartbeat, lines
        self._timer = asyncio.get_running_loop().call_later(interval_s, self._look)

    def stop_heartbeats(self) -> None:
        """What follows isn't made of events, or nothing follows. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._beating is not None:
            self._beating.cancel()

    def _look(self) -> None:
        if self._client.gone:
            return
        loop = asyncio.get_running_loop()
        due_s = self._protocol.quiet_since + self._interval_s - monotonic()
        if due_s > 0:
            self._timer = loop.call_later(due_s, self._look)
            return
        self._timer = loop.call_later(self._interval_s, self._look)
        if self._room.is_set() and self._tail.endswith(_EVENT_ENDS):
            self._beating = loop.create_task(self._beat())

    async def _beat(self) -> None:
        """Never suspends, since there is room: so it can't come between two halves of anything."""
        metrics.heartbeat()
        await self.begin(Answer(200, EVENT_STREAM, self._early_lines, b""))
        assert self._answer is not None
        with suppress(RequestCancelled):
            await self._answer.send(self._heartbeat)


def unstreamed() -> TollkeeperError:
    """A client that was promised events by a heartbeat can't be given a whole body."""
    return TollkeeperError(Reason.ALL_PROVIDERS_FAILED, "The provider did not answer with a stream.")


def told_late(answer: Answer) -> bytes | TollkeeperError:
    """A whole answer for a client that has been promised events: one event of a success (some models don't
    stream though they are asked to), an error of a vendor's refusal."""
    try:
        parsed = orjson.loads(answer.body or b"")
    except orjson.JSONDecodeError:
        parsed = None
    if answer.status < 400:
        return b"data: %b\n\n" % orjson.dumps(parsed) if type(parsed) is dict else unstreamed()
    error = parsed.get("error") if type(parsed) is dict else None
    told = error if type(error) is dict else {}
    reason = Reason.INVALID_ARGUMENT if answer.status < 500 else Reason.ALL_PROVIDERS_FAILED
    message = told.get("message") or f"The provider answered with status {answer.status}."
    metadata = {name: value for name in ("code", "param") if type(value := told.get(name)) is str}
    return TollkeeperError(reason, str(message), metadata)
