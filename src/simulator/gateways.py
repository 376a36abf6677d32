"""The gateways of the simulated account, as Cloudflare's management API keeps them.

Facts: Cloudflare's API reference (ai_gateway), its OpenAPI file and SDKs of 2026. What a refused quota or a
duplicate id looks like live is not published; both are our guess.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from simulator.errors import ApiError

Gateway = dict[str, Any]

DEFAULT_ID = "default"
_ID = re.compile(r"(?=.{1,64}\Z)[a-z0-9_]+(?:-[a-z0-9_]+)*")
_REQUIRED: dict[str, tuple[type, ...]] = {
    "cache_ttl": (int, type(None)),
    "cache_invalidate_on_update": (bool,),
    "collect_logs": (bool,),
    "rate_limiting_limit": (int, type(None)),
    "rate_limiting_interval": (int, type(None)),
}
_OPTIONAL: dict[str, tuple[Any, tuple[type, ...]]] = {
    "rate_limiting_technique": ("fixed", (str, type(None))),
    "authentication": (False, (bool,)),
    "logpush": (False, (bool,)),
    "logpush_public_key": (None, (str, type(None))),
    "log_management": (None, (int, type(None))),
    "log_management_strategy": (None, (str, type(None))),
    "retry_max_attempts": (None, (int, type(None))),
    "retry_delay": (None, (int, type(None))),
    "retry_backoff": (None, (str, type(None))),
    "workers_ai_billing_mode": ("postpaid", (str,)),
    "zdr": (False, (bool,)),
    "byok_only": (False, (bool,)),
    "store_id": (None, (str, type(None))),
}
_DEFAULT_SETTINGS = {
    "cache_ttl": 0,
    "cache_invalidate_on_update": True,
    "collect_logs": True,
    "rate_limiting_limit": 0,
    "rate_limiting_interval": 0,
}


class Gateways:
    """Made, changed and deleted by the management API; with a file they outlive the process."""

    def __init__(self, named: Iterable[str], quota: int, file: Path | None) -> None:
        """`named` exist from the start. Raises OSError or ValueError when the file can't be used."""
        self._file = file
        self._named = frozenset(named)
        self._gateways: dict[str, Gateway] = {}
        self.default_quota = self.quota = quota
        # Called after every change.
        self.changed: Callable[[], None] = lambda: None
        for gateway_id in (DEFAULT_ID, *sorted(self._named)):
            self._gateways[gateway_id] = _fresh({"id": gateway_id, **_DEFAULT_SETTINGS})
        self._gateways[DEFAULT_ID] |= {"is_default": True, "authentication": True}
        if file is not None and file.exists():
            self._gateways |= {row["id"]: row for row in orjson.loads(file.read_bytes())}

    def serves(self, gateway_id: str) -> bool:
        """Whether the gateway host knows it: all do when no gateway was named at the start."""
        if _ID.fullmatch(gateway_id) is None:
            return False
        return not self._named or gateway_id in self._gateways

    def ids(self) -> list[str]:
        """All that the management API knows."""
        return list(self._gateways)

    def page(self, number: int, size: int, search: str) -> tuple[list[Gateway], int]:
        """One page, oldest first, and how many there are in all."""
        found = [row for row in self._gateways.values() if search in row["id"]]
        return found[(number - 1) * size : number * size], len(found)

    def get(self, gateway_id: str) -> Gateway:
        """Raises ApiError 404."""
        if gateway_id not in self._gateways:
            raise ApiError(404, 7002, "Not Found")
        return self._gateways[gateway_id]

    def create(self, body: object) -> Gateway:
        """A new gateway. Raises ApiError for a bad body, an id that is taken and a spent quota."""
        fields = _checked(body)
        gateway_id = fields.get("id")
        if not isinstance(gateway_id, str) or _ID.fullmatch(gateway_id) is None:
            raise _bad("id")
        if gateway_id in self._gateways:
            raise ApiError(409, 7001, f"Gateway with id {gateway_id} already exists", ["body", "id"])
        if len(self._gateways) >= self.quota:
            raise ApiError(400, 7001, f"Maximum number of gateways reached: {self.quota} for this account")
        self._gateways[gateway_id] = _fresh(fields)
        self._keep()
        return self._gateways[gateway_id]

    def replace(self, gateway_id: str, body: object) -> Gateway:
        """Writes all settings anew: what is left out gets its default. Raises ApiError."""
        before = self.get(gateway_id)
        after = _fresh({**_checked(body), "id": gateway_id})
        for kept in ("created_at", "is_default"):
            after[kept] = before[kept]
        self._gateways[gateway_id] = after
        self._keep()
        return after

    def delete(self, gateway_id: str) -> Gateway:
        """Takes it away and returns it; `default` comes back by itself. Raises ApiError 404."""
        gone = self.get(gateway_id)
        if gateway_id != DEFAULT_ID:
            del self._gateways[gateway_id]
            self._keep()
        return gone

    def _keep(self) -> None:
        if self._file is not None:
            temporary = self._file.with_suffix(".new")
            temporary.write_bytes(orjson.dumps(list(self._gateways.values())))
            temporary.replace(self._file)
        self.changed()


def _checked(body: object) -> Gateway:
    if not isinstance(body, dict):
        raise _bad()
    for name, types in _REQUIRED.items():
        if name not in body or not _fits(body[name], types):
            raise _bad(name)
    for name, (_, types) in _OPTIONAL.items():
        if name in body and not _fits(body[name], types):
            raise _bad(name)
    return body


def _fits(value: object, types: tuple[type, ...]) -> bool:
    # A bool is an int to Python, not to a validator.
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        return False
    return isinstance(value, bool) or not isinstance(value, int) or value >= 0


def _bad(*path: str) -> ApiError:
    return ApiError(400, 7001, "Input Validation Error", ["body", *path])


def _fresh(fields: Gateway) -> Gateway:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    optional = {name: fields.get(name, default) for name, (default, _) in _OPTIONAL.items()}
    # Null is stored as 0.
    settings = {name: 0 if fields[name] is None else fields[name] for name in _REQUIRED}
    return {
        "id": fields["id"],
        "created_at": now,
        "modified_at": now,
        "is_default": False,
        **settings,
        **optional,
        "dlp": {"enabled": False, "policies": []},
        "guardrails": None,
        "otel": None,
        "spend_limits": None,
        "stripe": None,
    }
