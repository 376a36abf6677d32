"""A final refusal as the client gets it: the vendor's own bytes, but for what a client must not or can't
read."""

import re
from typing import Any

import orjson

from edge.errors import JSON
from edge.upstream.faults import gateway_error

# Vendors quote the credential they refuse, more or less masked: it is the provider's, not the client's.
_CREDENTIAL = re.compile(rb"\b(?:sk|gsk|xai|key|AIza|Bearer\s+)[-_*.A-Za-z0-9]{6,}")
_CREDENTIAL_STATUSES = frozenset({401, 403})


def presentable(status: int, media_type: bytes, body: bytes, through_gateway: bool) -> tuple[bytes, bytes]:
    """Media type and body. Cloudflare's own errors come in OpenAI's envelope, which SDKs can read."""
    told = gateway_error(body) if through_gateway else None
    if told is not None:
        return JSON, _translated(told)
    if status in _CREDENTIAL_STATUSES:
        body = _CREDENTIAL.sub(b"[credential]", body)
    return media_type, body


def _translated(told: dict[str, Any]) -> bytes:
    code = told.get("internalCode")
    message = told.get("message")
    error = {
        "message": f"Cloudflare AI Gateway: {message if type(message) is str else 'no message'}",
        "type": "gateway_error",
        "param": None,
        "code": f"cloudflare_{code}" if type(code) is int else "cloudflare",
    }
    return orjson.dumps({"error": error})
