"""One request and its answer, as the handlers of the facade see them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson
from sanic.request import Request

from edge.answer import Answer, header_lines
from edge.errors import JSON
from edge.rest.calls import Caller
from edge.rest.transcode import JsonObject, json_object
from tollkeeper.errors import Reason, TollkeeperError, invalid

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_PARAMETERS = 100
# Answers are somebody's own, and no page of ours.
_LINES = header_lines(((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")))


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that a route was found for."""

    request: Request
    caller: Caller
    variables: dict[str, str]
    """Of the path, decoded."""
    lines: bytes
    """Header lines that every answer to this request carries."""

    @property
    def body(self) -> bytes:
        """Raises INVALID_ARGUMENT when it says it isn't JSON, REQUEST_TOO_LARGE."""
        body = self.request.body
        if len(body) > MAX_BODY_BYTES:
            raise TollkeeperError(
                Reason.REQUEST_TOO_LARGE, f"The body is larger than {MAX_BODY_BYTES} bytes."
            )
        media_type = self.request.headers.get("content-type", "application/json").partition(";")[0]
        if body and media_type.strip().lower() != "application/json":
            raise invalid("The body must be sent as application/json.")
        return body

    @property
    def query(self) -> list[tuple[str, str]]:
        """Parameters in the order they came. Raises INVALID_ARGUMENT."""
        try:
            return parse_qsl(
                self.request.query_string,
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_PARAMETERS,
            )
        except ValueError:
            raise invalid("The query of the URL can't be read.") from None

    def json(self) -> JsonObject:
        """The body as an object. Raises INVALID_ARGUMENT."""
        return json_object(self.body)

    def answer(self, body: bytes, status: int = 200) -> Answer:
        """JSON."""
        return answer(status, JSON, self.lines, body)

    def plain(self, body: dict[str, Any], status: int = 200) -> Answer:
        """The same, of an object."""
        return self.answer(orjson.dumps(body), status)


# None: it was streamed.
Handler = Callable[[Exchange], Awaitable[Answer | None]]


def answer(status: int, media_type: bytes, lines: bytes, body: bytes) -> Answer:
    """An answer of the facade."""
    return Answer(status, media_type, _LINES + lines, body)
