"""Counts what a batch may use while its file goes by: each line is a request, read like one that comes alone.

Facts: OpenAI's batch guide (one endpoint and one model a file, at most 50,000 requests).
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from edge.call import Call, invalid_field
from edge.families import chat, completions, embeddings, responses
from edge.worst_case import Demand
from tollkeeper.errors import TollkeeperError
from tollkeeper.v1 import edge_pb2

MAX_REQUESTS = 50_000
# A request with images in it has some; more isn't read into memory.
MAX_LINE_BYTES = 8 * 1_048_576
_PARSERS: Mapping[str, Callable[[bytes, bool], Call]] = {
    "/v1/chat/completions": chat.parse,
    "/v1/completions": completions.parse,
    "/v1/embeddings": embeddings.parse,
    "/v1/responses": responses.parse,
}


class BatchLines:
    """One file. Feed it, end it, and read `counted`, or `problem`."""

    def __init__(self, strict: bool) -> None:
        """`strict` raises at the first line that can't be; else it waits in `problem`, for a file that may
        not be meant for a batch."""
        self._strict = strict
        self._rest = b""
        self._number = 0
        self.problem: TollkeeperError | None = None
        self.counted = edge_pb2.BatchInput()
        self._unlimited = False

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises INVALID_ARGUMENT where it is strict."""
        if self.problem is not None:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._rest) > MAX_LINE_BYTES:
            self._refuse(f"has more than {MAX_LINE_BYTES} bytes")

    def end(self) -> None:
        """The file is complete. Raises like `feed`."""
        self._take(self._rest)
        self._rest = b""
        if not self.counted.request_count and self.problem is None:
            self._number = 1
            self._refuse("is missing: the file holds no request")

    def _take(self, line: bytes) -> None:
        self._number += 1
        if not line.strip() or self.problem is not None:
            return
        try:
            call = self._call(line)
            self._add(call.demand)
        except (orjson.JSONDecodeError, _LineError) as error:
            self._refuse(str(error))
        except TollkeeperError as error:
            self._refuse(f"can't be used: {error.message}")

    def _call(self, line: bytes) -> Call:
        if len(line) > MAX_LINE_BYTES:
            raise _LineError(f"has more than {MAX_LINE_BYTES} bytes")
        if self.counted.request_count >= MAX_REQUESTS:
            raise _LineError(f"is one too many: a batch has at most {MAX_REQUESTS} requests")
        request: Any = orjson.loads(line)
        body = request.get("body") if type(request) is dict else None
        if type(body) is not dict:
            raise _LineError("holds no request with a body")
        url = request.get("url")
        parse = _PARSERS.get(url)
        if parse is None:
            raise _LineError(f"asks for {url!r}, which this gateway doesn't serve in batches")
        call = parse(orjson.dumps(body), False)
        if call.references:
            raise _LineError("refers to what the vendor keeps, which batches may not")
        counted = self.counted
        if not counted.request_count:
            counted.model, counted.endpoint = call.model, url
        elif (counted.model, counted.endpoint) != (call.model, url):
            raise _LineError("asks for another model or URL than the first: a batch has one of each")
        return call

    def _add(self, demand: Demand) -> None:
        counted = self.counted
        counted.request_count += 1
        counted.input_tokens += demand.input_tokens(0) if not demand.beyond_body else 0
        counted.beyond_file = counted.beyond_file or demand.beyond_body
        counted.choice_count += demand.choice_count
        counted.web_searches += demand.web_searches
        limit = demand.asked_output
        if demand.choice_count and limit is None:
            self._unlimited = True
        counted.output_tokens += ((limit or 0) + demand.prediction_bytes) * demand.choice_count
        if self._unlimited:
            counted.output_tokens = 0

    def _refuse(self, what: str) -> None:
        message = f"Line {self._number} of the file {what}."
        self.problem = invalid_field(message, "file", "invalid_batch_file")
        if self._strict:
            raise self.problem


class _LineError(Exception):
    """What is wrong with a line, in words."""
