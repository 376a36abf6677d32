"""Takes in requests whose bodies aren't held in memory: `Uploads`, one per worker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from sanic.exceptions import BadRequest, PayloadTooLarge
from sanic.request import Request

from edge.answer import Answer
from edge.call import Call
from edge.client_framing import EdgeHttp
from edge.uploads.form import Form
from edge.uploads.raw import RawBody
from edge.uploads.spool import Spools
from tollkeeper.errors import Reason, TollkeeperError

ReadForm = Callable[[Form, bool], Awaitable[Call]]


class Uploads:
    """What a worker's uploads share."""

    def __init__(self, spools: Spools, max_bytes: int) -> None:
        """`max_bytes` bounds one request's body."""
        self._spools = spools
        self._max_bytes = max_bytes

    async def receive(self, request: Request, read: ReadForm, with_provider: bool) -> Call:
        """The call that a form makes, with the form, which its taker closes. Raises INVALID_ARGUMENT,
        REQUEST_TOO_LARGE, UNAVAILABLE (no room on the disk)."""
        announced = self._announced(request)
        content_type = request.headers.get("content-type", "")
        form = await Form.begin(self._pieces(request), content_type, self._spools, announced)
        try:
            call = await read(form, with_provider)
        except BaseException:
            form.close()
            raise
        call.form = form
        return call

    async def raw(self, request: Request) -> RawBody | None:
        """A body of any kind; None where there is none. Raises INVALID_ARGUMENT, REQUEST_TOO_LARGE."""
        if not isinstance(request.stream, EdgeHttp) or not request.stream.request_body:
            return None
        return await RawBody.begin(self._pieces(request), self._announced(request))

    def _announced(self, request: Request) -> int | None:
        length = request.headers.get("content-length")
        announced = int(length) if length is not None else None
        if announced is not None and announced > self._max_bytes:
            raise self._too_large()
        return announced

    async def finish(self, request: Request, answer: Answer | None) -> Answer | None:
        """Answers before the body's end: sends the answer and reads what is still coming, and nobody wants.

        Sanic would close the connection on a client that is sending more than it reads, and the client would
        see a broken connection, not the answer, and send all of it again. None: it has been sent.
        """
        stream = request.stream
        if answer is None or not isinstance(stream, EdgeHttp) or not stream.request_body:
            return answer
        await request.respond(answer)
        await answer.send(end_stream=True)
        with suppress(TollkeeperError):
            async for _ in self._pieces(request):
                continue
        return None

    async def _pieces(self, request: Request) -> AsyncIterator[bytes]:
        stream = request.stream
        assert isinstance(stream, EdgeHttp)
        stream.request_max_size = self._max_bytes
        try:
            async for piece in stream:
                yield piece
        except PayloadTooLarge:
            raise self._too_large() from None
        except BadRequest as error:
            raise TollkeeperError(Reason.INVALID_ARGUMENT, str(error)) from None

    def _too_large(self) -> TollkeeperError:
        message = f"The request is larger than the {self._max_bytes} bytes this gateway takes as an upload."
        return TollkeeperError(Reason.REQUEST_TOO_LARGE, message)
