"""Sends an answer: at once where nothing asks for time, else step by step, and bills it on the way."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from itertools import pairwise

from simulator.bill import Bill, Finish
from simulator.chat import Answer
from simulator.gates import Gates
from simulator.http import JSON, Connection, head
from simulator.shapes import Shape
from simulator.steering import Steering
from simulator.stream import Script
from simulator.whole import GARBAGE

AT_ONCE_BYTES = 256 * 1024
"""Streams up to this size are written in one go."""
SPLIT_BYTES = 7
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(slots=True)
class Exchange:
    """One request that reached the vendor, and where its answer and its bill row go."""

    connection: Connection
    bill: Bill
    gates: Gates
    answer: Answer
    event_id: str
    provider: str
    headers: bytes
    """Header lines of the answer, but for its type and length."""
    chunks_understood: bool
    wait_limit_s: float
    shape: Shape
    billed: bool = False

    @property
    def steering(self) -> Steering:
        return self.answer.call.steering

    def charge(self, produced: int, finish: Finish, status: int = 200) -> None:
        """Write the bill's row, once: a second call changes nothing."""
        if self.billed:
            return
        self.billed = True
        call = self.answer.call
        self.bill.add(
            self.event_id,
            self.provider,
            call.model,
            self.answer.usage.so_far(produced),
            status=status,
            finish=finish,
            stream=call.stream,
        )

    def play(self) -> None:
        """Answer now, or start answering."""
        if self.answer.call.stream:
            self._play_stream(self.shape.script(self.answer))
        elif self.steering.paced:
            self.connection.start(self._slow_whole())
        else:
            self._send_whole()
            self._settle_connection()

    def _send_whole(self) -> None:
        self.charge(self.answer.usage.completion, "error" if self.steering.garbage else "complete")
        if self.steering.garbage:
            self.connection.respond(200, GARBAGE, self.headers, b"text/html")
        else:
            self.connection.respond(200, self.shape.whole(self.answer), self.headers)

    async def _slow_whole(self) -> None:
        steering, connection = self.steering, self.connection
        try:
            await asyncio.sleep(steering.first_byte_ms / 1000)
            if steering.stall_after is not None:
                await self._held(asyncio.Event().wait())
            if steering.gate:
                await self._held(self.gates.passed(steering.gate))
        except asyncio.CancelledError:
            self.charge(0, self._gone())
            raise
        except TimeoutError:
            self.charge(0, "cut")
            return connection.cut(reset=steering.rst)
        if steering.cut_after == 0:
            self.charge(0, "cut")
            return connection.cut(reset=steering.rst)
        if steering.cut_body or steering.cut_after is not None:
            return await self._cut_whole()
        if not steering.split:
            self._send_whole()
        else:
            self.charge(self.answer.usage.completion, "complete")
            body = self.shape.whole(self.answer)
            await self._write(self._head(b"content-length: %d\r\n" % len(body), JSON) + body)
        self._settle_connection()
        return None

    async def _cut_whole(self) -> None:
        """Send half of the body, though the length promises all of it."""
        self.charge(self.answer.usage.completion, "cut")
        body = self.shape.whole(self.answer)
        await self._write(self._head(b"content-length: %d\r\n" % len(body), JSON) + body[: len(body) // 2])
        await self.connection.emptied()
        self.connection.cut(reset=self.steering.rst)

    def _play_stream(self, made: Script) -> None:
        if not self.chunks_understood:
            self.connection.close_after_answer()
        size = sum(map(len, made.events))
        if self.steering.paced or made.cut or size > AT_ONCE_BYTES:
            self.connection.start(self._slow_stream(made))
            return
        self.charge(made.billed_tokens, made.finish)
        framed = [self._framed(event) for event in made.events]
        if self.chunks_understood:
            framed.append(_LAST_CHUNK)
        self.connection.write(self._stream_head() + b"".join(framed))
        self._settle_connection()

    async def _slow_stream(self, made: Script) -> None:
        produced = 0
        try:
            await asyncio.sleep(self.steering.first_byte_ms / 1000)
            if made.events:
                await self._write(self._stream_head())
            for number, event in enumerate(made.events):
                if number == made.billed_before:
                    self.charge(made.billed_tokens, made.finish)
                await self._paced(number)
                # Before the write: what the client may have seen has been produced.
                produced = made.produced[number]
                await self._write(self._framed(event))
            self.charge(made.billed_tokens, made.finish)
            if made.cut:
                await self.connection.emptied()
                self.connection.cut(reset=self.steering.rst)
                return
            if self.chunks_understood:
                await self._write(_LAST_CHUNK)
        except asyncio.CancelledError:
            self.charge(produced, self._gone())
            raise
        except TimeoutError:
            self.charge(produced, "cut")
            self.connection.cut(reset=self.steering.rst)
            return
        self._settle_connection()

    async def _paced(self, number: int) -> None:
        """Take the time asked for before event `number`. Raises TimeoutError when held too long."""
        steering = self.steering
        if number == steering.stall_after:
            await self._held(asyncio.Event().wait())
        if not number:
            return
        if number == 1 and steering.gate:
            await self._held(self.gates.passed(steering.gate))
        if steering.drip_ms is not None:
            await asyncio.sleep(steering.drip_ms / 1000)

    async def _held(self, waiting: Awaitable[object]) -> None:
        async with asyncio.timeout(self.wait_limit_s):
            await waiting

    async def _write(self, data: bytes) -> None:
        if self.steering.split:
            places = [*range(0, len(data), SPLIT_BYTES), len(data)]
            for start, end in pairwise(places):
                self.connection.write(data[start:end])
                # One turn of the loop, so that each piece is a write of its own to the kernel.
                await asyncio.sleep(0)
        else:
            self.connection.write(data)
        await self.connection.flushed()

    def _gone(self) -> Finish:
        return "cut" if self.connection.server_stops else "hangup"

    def _framed(self, event: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(event), event) if self.chunks_understood else event

    def _stream_head(self) -> bytes:
        return self._head(
            b"transfer-encoding: chunked\r\n" if self.chunks_understood else b"", self.shape.stream_type
        )

    def _head(self, framing: bytes, content_type: bytes) -> bytes:
        closing = b"" if self.connection.keeps_alive else b"connection: close\r\n"
        return head(200, b"%bcontent-type: %b\r\n%b%b" % (self.headers, content_type, framing, closing))

    def _settle_connection(self) -> None:
        """`drop`: end the connection without having said so, as servers do that time out idle ones."""
        if self.steering.drop:
            self.connection.close_after_answer()
