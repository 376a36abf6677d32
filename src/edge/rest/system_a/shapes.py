"""What the objects of system A have in common."""

from typing import Any

import orjson

from edge.rest.calls import Caller, Control
from tollkeeper.errors import invalid, not_found
from tollkeeper.money import format_usd
from tollkeeper.v1.sessions_pb2 import GetSessionRequest


def usd_number(nanousd: int) -> orjson.Fragment:
    """A JSON number, exact to the nano-dollar."""
    return orjson.Fragment(format_usd(nanousd))


def live(kind: str, message: Any) -> Any:
    """The resource. Raises NOT_FOUND when it was deleted: system A keeps no tombstones."""
    if message.HasField("delete_time"):
        raise not_found(kind, getattr(message, f"{kind}_id"))
    return message


async def own_customer(control: Control, caller: Caller) -> str:
    """The id of the customer that the caller acts in. Raises INVALID_ARGUMENT for one without."""
    session = await caller.call(control.sessions.GetSession, GetSessionRequest())
    if not session.customer_id:
        raise invalid("This credential belongs to no customer; use the routes under /v1.")
    return session.customer_id
