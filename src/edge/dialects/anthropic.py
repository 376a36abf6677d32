"""Our errors as Anthropic's clients read them: `{"type": "error", "error": {type, message, details}}`."""

from typing import Any

import orjson

from edge.dialects import Dialect
from edge.errors import SHAPES, Rendered, body_of, retry_headers
from tollkeeper.errors import TollkeeperError

# Anthropic's types, by status.
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    501: "invalid_request_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def render_anthropic(error: TollkeeperError) -> Rendered:
    """The envelope, with our code where Anthropic has its own: `details.error_code`."""
    shape = SHAPES[error.reason]
    headers = retry_headers(error)
    return Rendered(shape.status, headers, orjson.dumps(_envelope(error)))


def _envelope(error: TollkeeperError) -> dict[str, Any]:
    told = body_of(error)
    details: dict[str, Any] = {"error_code": told["code"]}
    if told["param"] is not None:
        details["param"] = told["param"]
    if "tollkeeper" in told:
        details["tollkeeper"] = told["tollkeeper"]
    kind = _TYPES.get(SHAPES[error.reason].status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": told["message"], "details": details}}


def event_anthropic(error: TollkeeperError) -> bytes:
    """The last event of a stream that broke."""
    return b"event: error\ndata: %b\n\n" % orjson.dumps(_envelope(error))


ANTHROPIC = Dialect(render_anthropic, event_anthropic)
