"""How a customer's Cloudflare gateway is called, and when it is tried again (DESIGN §7)."""

import re
from collections.abc import Callable
from datetime import timedelta
from random import uniform

from tollkeeper.v1 import gateways_pb2

GatewayState = gateways_pb2.GatewayState

# States in which Cloudflare is still to be asked for the gateway, when a next try is planned.
WANTED = (
    GatewayState.GATEWAY_STATE_PENDING,
    GatewayState.GATEWAY_STATE_FAILED,
    GatewayState.GATEWAY_STATE_SHARED,
)

PREFIX_PATTERN = r"^[a-z0-9_]{1,20}$"
_SLUG_CHARS = 24
_ID_CHARS = 12

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=10)
# The account is full until somebody makes room.
QUOTA_RETRY = timedelta(hours=1)


def gateway_id_of(prefix: str, slug: str, customer_id: str) -> str:
    """The id of a customer's gateway: always the same, valid by Cloudflare's rules (64 characters, hyphens
    only between others), readable by its slug and unique by the random end of the customer's id.

    `acme`, `0197…-3f2a9c01b7d4` → `tollkeeper-acme-3f2a9c01b7d4`.
    """
    readable = re.sub(r"-+", "-", slug)[:_SLUG_CHARS].strip("-")
    return f"{prefix}-{readable}-{customer_id.replace('-', '')[-_ID_CHARS:]}"


def retry_after(tries: int, spread: Callable[[float, float], float] = uniform) -> timedelta:
    """How long to wait after so many failures: twice as long each time, up to ten minutes, spread by half."""
    doublings = min(max(tries - 1, 0), 16)
    return min(FIRST_RETRY * (1 << doublings), LONGEST_RETRY) * spread(0.5, 1.0)


def quota_retry_after(spread: Callable[[float, float], float] = uniform) -> timedelta:
    """How long to wait when the account has no room for another gateway."""
    return QUOTA_RETRY * spread(0.9, 1.1)
