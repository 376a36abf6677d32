"""A Gemini error in OpenAI's envelope."""

from typing import Any, NamedTuple

import orjson

from edge.translation.openai_answer import error_body

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}


class GoogleError(NamedTuple):
    """What Gemini says went wrong."""

    status: int
    message: str
    kind: str
    """Google's name of the status, such as RESOURCE_EXHAUSTED."""
    reason: str
    """Of its ErrorInfo, such as API_KEY_INVALID; often empty."""
    quota_ids: tuple[str, ...] = ()


def read_error(given: object) -> GoogleError | None:
    """The error of a body, which is often wrapped in an array of one; None where there is none."""
    if type(given) is list and given:
        given = given[0]
    error = given.get("error") if type(given) is dict else None
    if type(error) is not dict:
        return None
    status = error.get("code")
    details = _details(error)
    return GoogleError(
        status if type(status) is int else 0,
        str(error.get("message") or ""),
        str(error.get("status") or ""),
        next((str(detail["reason"]) for detail in details if detail.get("reason")), ""),
        tuple(_quota_ids(details)),
    )


def openai_error(status: int, body: bytes) -> bytes | None:
    """The body of a refusal for a client that reads OpenAI's errors; None where it can't be read."""
    try:
        error = read_error(orjson.loads(body))
    except orjson.JSONDecodeError:
        return None
    return None if error is None else envelope(error, status)


def envelope(error: GoogleError, status: int) -> bytes:
    """OpenAI's envelope; the code is Google's reason or status in small letters."""
    spent = status == 402 or any("PerDay" in quota_id for quota_id in error.quota_ids)
    if status in (402, 429) and spent:
        # Waiting doesn't help before tomorrow, or before somebody pays.
        return error_body(error.message, "insufficient_quota", "insufficient_quota")
    kind = _KINDS.get(status) or ("server_error" if status >= 500 or not status else "invalid_request_error")
    code = "model_not_found" if status == 404 else (error.reason or error.kind).lower() or None
    return error_body(error.message, kind, code)


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    return [detail for detail in details if type(detail) is dict] if type(details) is list else []


def _quota_ids(details: list[dict[str, Any]]) -> list[str]:
    ids = []
    for detail in details:
        violations = detail.get("violations")
        for violation in violations if type(violations) is list else ():
            quota_id = violation.get("quotaId") if type(violation) is dict else None
            if type(quota_id) is str:
                ids.append(quota_id)
    return ids
