"""Chat completions in OpenAI's own format: answers go on untouched, and only their usage is read."""

from typing import Any

from edge.call import Call
from edge.formats import Changes, Reading, StreamReader
from edge.sse import Watcher
from edge.upstream.body import upstream_body
from edge.upstream.cloudflare import Endpoint
from edge.usage import counts
from tollkeeper.operations import Operation


class ChatOpenai:
    """See `edge.formats.Format`."""

    def operation(self, stream: bool) -> Operation:
        """One path for whole answers and streams."""
        return Operation.CHAT

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """The client's own bytes wherever nothing has to change."""
        return upstream_body(call, endpoint, changes)

    def content_type(self, call: Call) -> bytes:
        """JSON."""
        return b"application/json"

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Usage, served model and the first choice's finish."""
        if parsed is None:
            return Reading()
        model = parsed.get("model")
        usage = counts(parsed.get("usage"), _searches(call), parsed.get("service_tier"))
        return Reading(usage, model if type(model) is str else "", _finish_of(parsed))

    def stream(self, call: Call) -> StreamReader:
        """Keeps the usage chunk from a client that didn't ask for it."""
        return Watcher(withhold_usage=not call.wants_usage, web_searches=_searches(call))

    def error(self, status: int, body: bytes) -> bytes | None:
        """As it came."""
        return None


def _searches(call: Call) -> int:
    """Vendors don't say how often they searched; a request that may search is billed for one."""
    return 1 if call.demand.web_searches else 0


def _finish_of(parsed: dict[str, Any]) -> str:
    choices = parsed.get("choices")
    if type(choices) is not list or not choices or type(choices[0]) is not dict:
        return ""
    finish = choices[0].get("finish_reason")
    return finish if type(finish) is str else ""
