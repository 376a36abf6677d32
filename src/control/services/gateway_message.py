"""The message of a customer's gateway, for calls and for the audit log of what happens in the background."""

from control.domain.gateways import GatewayState
from control.services.convert import timestamp
from control.store.rows import Row
from tollkeeper.v1.gateways_pb2 import Gateway


def gateway_message(row: Row) -> Gateway:
    """Of a customer's row."""
    return Gateway(
        customer_id=row["customer_id"],
        customer_slug=row["slug"],
        gateway_id=row["gateway_id"],
        state=GatewayState.Name(shown_state(row)),
        error=row["gateway_error"],
        tries=row["gateway_tries"],
        next_try_time=timestamp(row["gateway_try_time"]),
    )


def shown_state(row: Row) -> int:
    """Until something is decided about it, a customer shares."""
    return int(row["gateway_state"] or GatewayState.GATEWAY_STATE_SHARED)
