"""What goes through as it is, in both directions."""

from typing import Any

from edge.call import Call
from edge.formats import Changes, Reading, StreamReader
from edge.sse import Watcher
from edge.upstream.cloudflare import Endpoint
from edge.upstream.upload import Upload
from tollkeeper.cost import UsageCounts
from tollkeeper.operations import Operation

DEFAULT_MEDIA_TYPE = b"application/octet-stream"


class Passthrough:
    """See `edge.formats.Format`."""

    def operation(self, stream: bool) -> Operation:
        """None of those with a name: the path is the client's."""
        raise NotImplementedError

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes | Upload:
        """The client's bytes, as they come."""
        return b"" if call.passed is None else call.passed.upload()

    def content_type(self, call: Call) -> bytes:
        """The client's, where it can be a header's."""
        named = call.media_type
        return named.encode() if named and named.isascii() and named.isprintable() else DEFAULT_MEDIA_TYPE

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """One request."""
        return Reading(units=UsageCounts())

    def stream(self, call: Call) -> StreamReader:
        """Not read: it isn't known whose events they are."""
        return Watcher(withhold_usage=False)

    def error(self, status: int, body: bytes) -> bytes | None:
        """As it came."""
        return None
