"""Errors in Anthropic's words."""

import orjson

from simulator.errors import VendorError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_body(error: VendorError) -> bytes:
    """The envelope, which names the request as the header `request-id` does elsewhere."""
    kind = (
        error.code if error.code and error.code.endswith("_error") else _TYPES.get(error.status, "api_error")
    )
    return orjson.dumps(
        {"type": "error", "error": {"type": kind, "message": error.message}, "request_id": "req_simulated"}
    )
