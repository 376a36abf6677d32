"""What OpenAI's operations other than chat have in common: JSON that goes on as it came, in both
directions."""

from typing import Any

from edge.call import Call
from edge.formats import Changes, Reading, StreamReader
from edge.sse import Watcher
from edge.upstream.body import plain_body
from edge.upstream.cloudflare import Endpoint
from edge.upstream.upload import Upload
from tollkeeper.operations import Operation


class OpenaiJson:
    """See `edge.formats.Format`; what an answer's usage is, each operation says itself."""

    served: Operation
    limit_field = ""
    """The name of its output limit; empty: it has none."""

    def operation(self, stream: bool) -> Operation:
        """One path for whole answers and streams."""
        return self.served

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes | Upload:
        """The client's own bytes wherever nothing has to change."""
        return plain_body(call, endpoint, changes, self.limit_field)

    def content_type(self, call: Call) -> bytes:
        """JSON."""
        return b"application/json"

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Nothing is known."""
        return Reading()

    def stream(self, call: Call) -> StreamReader:
        """Chunks like chat's."""
        return Watcher(withhold_usage=not call.wants_usage)

    def error(self, status: int, body: bytes) -> bytes | None:
        """As it came."""
        return None


def model_of(parsed: dict[str, Any]) -> str:
    """The model that an answer names."""
    model = parsed.get("model")
    return model if type(model) is str else ""
