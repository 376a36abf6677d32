"""Errors in the words of the parties that are simulated: OpenAI's, Cloudflare's gateway's and its API's."""

import orjson

STEERING_CODE = "bad_steering"

# OpenAI's published error table: status to (type, code, param, message).
_VENDOR_ERRORS: dict[int, tuple[str, str | None, str | None, str]] = {
    400: ("invalid_request_error", None, None, "The request is invalid."),
    401: ("invalid_request_error", "invalid_api_key", None, "Incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country_region_territory", None, "Region not supported."),
    404: ("invalid_request_error", "model_not_found", "model", "The model does not exist."),
    409: ("invalid_request_error", None, None, "The resource is locked."),
    413: ("invalid_request_error", None, None, "The request is too large."),
    422: ("invalid_request_error", None, None, "The request can't be processed."),
    429: ("requests", "rate_limit_exceeded", None, "Rate limit reached. Please try again in 1s."),
    500: ("server_error", None, None, "The server had an error while processing your request."),
    503: ("service_unavailable_error", "server_is_overloaded", None, "The engine is overloaded."),
}

# Captured codes of the gateway host, October 2026: code to (HTTP status, message).
_GATEWAY_ERRORS: dict[int, tuple[int, str]] = {
    2001: (400, "Please configure AI Gateway in the Cloudflare dashboard"),
    2003: (429, "Rate limited"),
    2005: (400, "Failed to get response from provider"),
    2008: (400, "Invalid provider"),
    2009: (401, "Unauthorized"),
    2016: (424, "Prompt blocked due to security configurations"),
    2017: (424, "Response blocked due to security configurations"),
    2019: (400, "Chat completion bad format"),
    2021: (
        402,
        "Insufficient unified billing credits. Please add additional credits on the AI Gateway "
        "Cloudflare dashboard to continue using provider models.",
    ),
    2029: (400, "Request content blocked due to DLP policy violations"),
    2030: (400, "Response content blocked due to DLP policy violations"),
    2040: (400, "Provider has no BYOK credential named 'default'."),
    2041: (429, "Spend limit exceeded"),
    2045: (429, "Spend limit exceeded"),
    7013: (503, "Guardrail scanner unavailable"),
}


class VendorError(Exception):
    """The vendor refuses a request; `body` is OpenAI's envelope."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str | None = None,
    ) -> None:
        default = 500 if status >= 500 else 400
        type_, code_, param_, message_ = _VENDOR_ERRORS.get(status) or _VENDOR_ERRORS[default]
        if message is not None:
            # A message of its own is a refusal of its own: the table's code and param don't go with it.
            code_ = param_ = None
        self.status = status
        self.message = message or message_
        self.code = code or code_
        self.steering = code == STEERING_CODE
        """Whether it is the simulator that can't understand what it is asked for."""
        self.body = orjson.dumps(
            {
                "error": {
                    "message": message or message_,
                    "type": kind or type_,
                    "param": param or param_,
                    "code": code or code_,
                }
            }
        )
        super().__init__(message or message_)


class GatewayError(Exception):
    """Cloudflare's gateway refuses a request itself; `body` is the gateway host's envelope."""

    def __init__(self, code: int, message: str | None = None, *, status: int | None = None) -> None:
        default_status, default_message = _GATEWAY_ERRORS.get(code, (400, "Gateway error"))
        text = message or default_message
        self.code = code
        self.status = status or default_status
        self.body = orjson.dumps(
            {
                "success": False,
                "result": [],
                "messages": [],
                "error": [{"code": code, "message": text}],
                "name": "AiGatewayError",
                "httpCode": self.status,
                "internalCode": code,
                "message": text,
                "description": text,
            }
        )
        super().__init__(text)


class ApiError(Exception):
    """Cloudflare's management API refuses a request; `body` is the v4 envelope."""

    def __init__(self, status: int, code: int, message: str, path: list[str] | None = None) -> None:
        error: dict[str, object] = {"code": code, "message": message}
        if path is not None:
            error["path"] = path
        self.status = status
        self.body = orjson.dumps({"success": False, "result": None, "errors": [error], "messages": []})
        super().__init__(message)
