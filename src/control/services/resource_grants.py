"""What services of resources that the platform may own have in common: who changes them, and who may use
them."""

from collections.abc import Collection, Sequence
from typing import Any

from control.caller import caller
from control.services.access import denied, require_operator
from control.store.database import Connection
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID
from control.store.versions import customers_changed
from tollkeeper.errors import invalid, not_found

GRANT_FIELDS = ("granted_to_all", "granted_customer_ids")


def is_platform(customer_id: str) -> bool:
    """Whether it is the platform's own customer."""
    return customer_id == PLATFORM_CUSTOMER_ID


def check_may_change(kind: str, row: Row, customer_id: str) -> None:
    """Raises PERMISSION_DENIED for the platform's resources, which customers see and don't change."""
    if row["customer_id"] != customer_id:
        raise denied(f"This {kind} is the platform's: only operators change it, naming customer 'platform'.")


def check_platform(customer_id: str) -> None:
    """Only operators act for the platform. Raises PERMISSION_DENIED."""
    if is_platform(customer_id):
        require_operator("change what the platform owns")


def check_granting(customer_id: str, sent: Any, fields: Collection[str] = GRANT_FIELDS) -> None:
    """Only operators act for the platform, and only what is the platform's is granted.

    `fields` are those of the resource `sent` that count. Raises PERMISSION_DENIED, INVALID_ARGUMENT, and
    NOT_FOUND to those for whom there are no other customers.
    """
    check_platform(customer_id)
    if is_platform(customer_id):
        return
    if not caller().operator:
        for each in sent.granted_customer_ids if "granted_customer_ids" in fields else ():
            raise not_found("customer", each)
    for field in GRANT_FIELDS:
        if field in fields and getattr(sent, field):
            raise invalid("Only what the platform owns is granted to customers.", field=field)


def shown_grants(row: Row, customer_id: str, granted: Sequence[str]) -> dict[str, Any]:
    """The fields that say whose a resource is; to whom it is granted only the platform sees."""
    if not is_platform(row["customer_id"]):
        return {}
    if row["customer_id"] != customer_id:
        return {"platform": True}
    return {"platform": True, "granted_to_all": row["granted_to_all"], "granted_customer_ids": granted}


async def tell_edges(
    connection: Connection, customer_id: str, users: Sequence[str], urgent: bool = False
) -> None:
    """Grants of the owner and of all who use the resource are out of date; urgently where something is
    withdrawn. The last thing a changing transaction does."""
    await customers_changed(connection, sorted({customer_id, *users}), urgent)
