"""Our errors as Gemini's clients read them: a `google.rpc.Status` under `error`."""

from math import ceil
from typing import Any

import orjson

from edge.dialects import Dialect
from edge.errors import SHAPES, Rendered, body_of, retry_headers
from tollkeeper.errors import TollkeeperError

# Google's names of the statuses.
_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# Of an ErrorInfo: who says so.
_DOMAIN = "tollkeeper"


def render_google(error: TollkeeperError) -> Rendered:
    """The envelope, with our reason and details in an ErrorInfo."""
    body = orjson.dumps(_envelope(error))
    return Rendered(SHAPES[error.reason].status, retry_headers(error), body)


def event_google(error: TollkeeperError) -> bytes:
    """The last event of a stream that broke: bare JSON, as Google sends it and its SDKs look for it."""
    return orjson.dumps(_envelope(error)) + b"\n\n"


def envelope(status: int, message: str, reason: str, metadata: dict[str, str]) -> dict[str, Any]:
    """An error of Google's shape; metadata are texts, as an ErrorInfo has them."""
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": _DOMAIN,
        "metadata": metadata,
    }
    name = _NAMES.get(status, "UNKNOWN")
    return {"error": {"code": status, "message": message, "status": name, "details": [info]}}


def _envelope(error: TollkeeperError) -> dict[str, Any]:
    told = body_of(error)
    metadata = {} if told["param"] is None else {"field": told["param"]}
    for name, value in told.get("tollkeeper", {}).items():
        if value is not None:
            metadata[name] = value if type(value) is str else orjson.dumps(value).decode()
    shape = SHAPES[error.reason]
    made = envelope(shape.status, told["message"], str(told["code"]).upper(), metadata)
    wait_s = error.retry_after_s if error.retry_after_s is not None else shape.retry_after_s
    if wait_s is not None and shape.should_retry is not False:
        # Where Google's clients look for it.
        retry = {
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": f"{max(1, ceil(wait_s))}s",
        }
        made["error"]["details"].append(retry)
    return made


# Google's SDKs read a comment as JSON; blank lines they pass over.
GOOGLE = Dialect(render_google, event_google, heartbeat=b"\n\n")
# A stream that is one growing array can't get a last element here: it is cut off, so that it isn't JSON.
GOOGLE_ARRAY = Dialect(render_google, lambda error: b"", heartbeat=b"")
