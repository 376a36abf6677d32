"""Answers whose header lines are bytes already: Sanic would encode and check each of them again on every
request."""

from collections.abc import Iterator

from sanic.response import HTTPResponse

from edge.errors import JSON, Rendered


class Answer(HTTPResponse):
    """Status, content type, header lines (each with its CR LF) and body. Sanic adds length or chunking, and
    connection."""

    __slots__ = ("lines", "media_type")

    def __init__(self, status: int, media_type: bytes, lines: bytes, body: bytes) -> None:
        # Not the base class's: it builds a header map that nothing here needs.
        self.asgi = False
        self.stream = None
        self.content_type = None
        self._cookies = None
        self.status = status
        self.body = body
        self.headers = {}  # type: ignore[assignment]
        self.media_type = media_type
        self.lines = lines

    @property
    def processed_headers(self) -> Iterator[tuple[bytes, bytes]]:
        """What Sanic writes: our lines as one, then the few that it set itself."""
        told = self.media_type
        if self.lines:
            told = b"%b\r\n%b" % (told, self.lines[:-2])
        headers = [(b"content-type", told)]
        for name, value in self.headers.items():
            if value != "":
                headers.append((name.encode(), str(value).encode()))
        return iter(headers)


def header_lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Header lines of values that hold no line breaks."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def error_answer(rendered: Rendered, request_id: str = "") -> Answer:
    """An error; the request id is there as soon as the request has one."""
    lines = header_lines(rendered.headers)
    if request_id:
        lines += b"x-tollkeeper-request-id: %b\r\n" % request_id.encode()
    return Answer(rendered.status, JSON, lines, rendered.body)
