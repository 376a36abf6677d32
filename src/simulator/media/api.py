"""The media endpoints of one vendor: dispatch, steering, bill."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson

from simulator.bill import Bill, Usage
from simulator.errors import VendorError
from simulator.http import JSON, Connection, Request, head
from simulator.media import audio, images
from simulator.media.batches import Batches
from simulator.media.call import MediaAnswer, MediaCall, read_form, read_json
from simulator.media.files import Files
from simulator.media.paths import MEDIA_PATHS
from simulator.steering import Steering


@dataclass(slots=True)
class Media:
    """Files and batches live as long as the simulator."""

    bill: Bill
    steering: Steering
    files: Files = field(default_factory=Files)
    batches: Batches = field(init=False)

    def __post_init__(self) -> None:
        self.batches = Batches(self.files, self.bill, self.steering)

    def clear(self) -> None:
        """Forgets what is kept."""
        self.files.clear()
        self.batches.clear()

    def handle(
        self,
        request: Request,
        connection: Connection,
        path: str,
        provider: str,
        event_id: str,
        headers: bytes,
    ) -> None:
        """Answer one request. Raises VendorError."""
        match = MEDIA_PATHS.fullmatch(path)
        assert match is not None
        parts = match[1].split("/")
        if parts[0] == "sim":
            self._echo(request, connection, provider, event_id, headers)
        elif parts[0] in ("files", "batches"):
            body, kind = self._kept(request, parts, provider, event_id)
            connection.respond(200, body, headers, kind)
        else:
            call, answer = self._made(request, parts)
            _fail_if_steered(call.steering)
            exchange = _Exchange(self.bill, connection, call, answer, provider, event_id, headers)
            if call.steering.first_byte_ms or call.steering.cut_body or answer.events:
                connection.start(exchange.play_slowly())
            else:
                exchange.play()

    def _made(self, request: Request, parts: list[str]) -> tuple[MediaCall, MediaAnswer]:
        if request.method != b"POST":
            raise VendorError(405, "Not allowed.", code="method_not_supported")
        reads_json = parts[1] in ("generations", "speech")
        call = (read_json if reads_json else read_form)(request, self.steering)
        if not call.model:
            raise VendorError(400, "you must provide a model parameter")
        if parts[0] == "images":
            return call, images.answer(call, parts[1])
        return call, audio.speech(call) if parts[1] == "speech" else audio.transcription(call, parts[1])

    def _kept(self, request: Request, parts: list[str], provider: str, event_id: str) -> tuple[bytes, bytes]:
        asked = request.method, parts[0], len(parts)
        query = request.target.partition(b"?")[2].decode("latin-1")
        if asked == (b"GET", "files", 3):
            return self.files.get(parts[1]).data, b"application/octet-stream"
        found: dict[str, Any]
        if asked == (b"POST", "files", 1):
            call = read_form(request, self.steering)
            filename, data = call.file("file")
            found = self.files.add(filename, call.text("purpose"), data).json()
        elif asked == (b"GET", "files", 1):
            purpose = query.removeprefix("purpose=") if query.startswith("purpose=") else ""
            found = _list([each.json() for each in self.files.all(purpose)])
        elif asked == (b"GET", "files", 2):
            found = self.files.get(parts[1]).json()
        elif asked == (b"DELETE", "files", 2):
            found = self.files.delete(parts[1])
        elif asked == (b"POST", "batches", 1):
            fields = read_json(request, self.steering).fields
            found = self.batches.create(fields, event_id, provider).json()
        elif asked == (b"GET", "batches", 1):
            found = _list([each.json() for each in self.batches.all()])
        elif asked == (b"GET", "batches", 2):
            found = self.batches.look(parts[1]).json()
        elif asked == (b"POST", "batches", 3):
            found = self.batches.cancel(parts[1]).json()
        else:
            raise VendorError(405, "Not allowed.", code="method_not_supported")
        return orjson.dumps(found), JSON

    def _echo(
        self, request: Request, connection: Connection, provider: str, event_id: str, headers: bytes
    ) -> None:
        """Billed as one request of the model `echo`."""
        self.bill.add(event_id, provider, "echo", Usage(0, 0), status=200, finish="complete", stream=False)
        said = {
            "method": request.method.decode(),
            "target": request.target.decode("latin-1"),
            "body": request.body.decode(errors="replace"),
        }
        connection.respond(200, orjson.dumps(said), headers)


@dataclass(slots=True)
class _Exchange:
    """One answer on its way out."""

    bill: Bill
    connection: Connection
    call: MediaCall
    answer: MediaAnswer
    provider: str
    event_id: str
    headers: bytes

    def play(self) -> None:
        """At once."""
        self._charge("complete")
        self.connection.respond(200, self.answer.body, self.headers, self.answer.content_type)

    async def play_slowly(self) -> None:
        """With the pauses and cuts that were asked for; events one by one."""
        steering = self.call.steering
        await asyncio.sleep(steering.first_byte_ms / 1000)
        if self.answer.events:
            await self._events()
        elif steering.cut_body:
            self._charge("cut")
            body, lines = self.answer.body, b"content-length: %d\r\n" % len(self.answer.body)
            self.connection.write(self._head(lines, self.answer.content_type) + body[: len(body) // 2])
            await self.connection.emptied()
            self.connection.cut()
        else:
            self.play()

    async def _events(self) -> None:
        steering = self.call.steering
        self.connection.write(self._head(b"transfer-encoding: chunked\r\n", b"text/event-stream"))
        for number, each in enumerate(self.answer.events):
            if number == steering.cut_after:
                self._charge("cut")
                await self.connection.emptied()
                self.connection.cut()
                return
            if number and steering.drip_ms:
                await asyncio.sleep(steering.drip_ms / 1000)
            self.connection.write(b"%x\r\n%b\r\n" % (len(each), each))
            await self.connection.flushed()
        self._charge("complete")
        self.connection.write(b"0\r\n\r\n")

    def _charge(self, finish: Any) -> None:
        usage = self.answer.usage
        if usage is not None:
            self.bill.add(
                self.event_id,
                self.provider,
                self.call.model,
                usage,
                status=200,
                finish=finish,
                stream=bool(self.answer.events),
                units=self.answer.units,
            )

    def _head(self, framing: bytes, content_type: bytes) -> bytes:
        return head(200, b"%bcontent-type: %b\r\n%b" % (self.headers, content_type, framing))


def _fail_if_steered(steering: Steering) -> None:
    if steering.status is not None:
        raise VendorError(steering.status, code=steering.error)


def _list(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": data, "has_more": False}
