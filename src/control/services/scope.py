"""Which customer a request is about, and whether its caller may reach it."""

from control.caller import caller
from control.store import directory
from control.store.database import Connection
from tollkeeper.errors import invalid, not_found


async def scoped_customer(connection: Connection, requested: str, deleted_too: bool = False) -> str:
    """The id of the customer that a request names by id or slug; the caller's own when it names none.

    Operators may name any. Raises NOT_FOUND, with the same answer for a customer that isn't there and for one
    that isn't the caller's, and INVALID_ARGUMENT for a caller without a customer who names none.
    """
    identity = caller()
    if not requested:
        if not identity.customer_id:
            raise invalid("customer_id is needed.", field="customer_id")
        return identity.customer_id
    if requested == identity.customer_id:
        return requested
    customer_id = await directory.customer_named(connection, requested, deleted_too)
    if customer_id is None or not (identity.operator or customer_id == identity.customer_id):
        raise not_found("customer", requested)
    return customer_id
