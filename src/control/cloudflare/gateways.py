"""AI gateways of the account.

Facts: Cloudflare's API reference (ai_gateway) and its OpenAPI file, 2026: five settings are required, PUT
replaces all of them, DELETE answers with what it deleted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from control.cloudflare.api import Api
from control.cloudflare.errors import CloudflareError, Problem

MAX_ID_CHARS = 64
_ID = re.compile(r"[a-z0-9_]+(?:-[a-z0-9_]+)*")
_PATH = "/ai-gateway/gateways"


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What a gateway does by itself: nothing unless told otherwise (B2): the edge does it per tenant."""

    collect_logs: bool = False
    cache_ttl_s: int = 0
    """0: no cache."""
    rate_limit: int = 0
    """Requests per interval; 0: no limit."""
    rate_interval_s: int = 0
    authenticated: bool = True
    """Only callers with a token of the account get through."""


@dataclass(frozen=True, slots=True)
class CloudflareGateway:
    """A gateway as Cloudflare has it."""

    gateway_id: str
    settings: GatewaySettings
    create_time: datetime | None


class Gateways:
    """The gateways of one account. Calls raise CloudflareError."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, gateway_id: str, settings: GatewaySettings | None = None) -> CloudflareGateway:
        """A new gateway. EXISTS when the id is taken, QUOTA when the account is full."""
        return _gateway(await self._api.call("POST", _PATH, _body(gateway_id, settings or GatewaySettings())))

    async def get(self, gateway_id: str) -> CloudflareGateway:
        """One gateway; NOT_FOUND when there is none."""
        return _gateway(await self._api.call("GET", _of(gateway_id)))

    async def update(self, gateway_id: str, settings: GatewaySettings) -> CloudflareGateway:
        """Writes all settings: what isn't one of ours falls back to Cloudflare's default."""
        return _gateway(await self._api.call("PUT", _of(gateway_id), _body(gateway_id, settings)))

    async def delete(self, gateway_id: str) -> bool:
        """Takes a gateway away; False when there was none."""
        try:
            await self._api.call("DELETE", _of(gateway_id))
        except CloudflareError as error:
            if error.problem is Problem.NOT_FOUND:
                return False
            raise
        return True

    async def list(self, search: str = "") -> list[CloudflareGateway]:
        """All gateways, or those whose id contains a text."""
        found = await self._api.pages(_PATH, {"search": search} if search else None)
        return [_gateway(each) for each in found]


def is_gateway_id(text: str) -> bool:
    """Whether Cloudflare takes the text as an id."""
    return len(text) <= MAX_ID_CHARS and _ID.fullmatch(text) is not None


def _of(gateway_id: str) -> str:
    return f"{_PATH}/{quote(gateway_id, safe='')}"


def _body(gateway_id: str, settings: GatewaySettings) -> Mapping[str, Any]:
    return {
        "id": gateway_id,
        "cache_ttl": settings.cache_ttl_s,
        "cache_invalidate_on_update": True,
        "collect_logs": settings.collect_logs,
        "rate_limiting_limit": settings.rate_limit,
        "rate_limiting_interval": settings.rate_interval_s,
        "rate_limiting_technique": "fixed",
        "authentication": settings.authenticated,
    }


def _gateway(result: object) -> CloudflareGateway:
    if not isinstance(result, dict) or not isinstance(result.get("id"), str):
        raise CloudflareError(Problem.REFUSED, "a gateway was asked for, and something else came")
    settings = GatewaySettings(
        collect_logs=bool(result.get("collect_logs")),
        cache_ttl_s=_number(result.get("cache_ttl")),
        rate_limit=_number(result.get("rate_limiting_limit")),
        rate_interval_s=_number(result.get("rate_limiting_interval")),
        authenticated=bool(result.get("authentication")),
    )
    return CloudflareGateway(result["id"], settings, _time(result.get("created_at")))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
