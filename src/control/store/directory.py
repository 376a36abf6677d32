"""What must be found without knowing the customer: one small table keyed by the value (L26)."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.tables import customers, directory
from tollkeeper.errors import already_exists
from tollkeeper.ids import is_uuid


class Kind(StrEnum):
    """What a value is; unique within its kind. Hashes are in hex, emails in lower case."""

    KEY_HASH = "key_hash"
    CREDENTIAL_HASH = "credential_hash"
    EMAIL = "email"
    CUSTOMER_EMAIL = "customer_email"
    SLUG = "slug"
    CF_GATEWAY_ID = "cf_gateway_id"


@dataclass(frozen=True, slots=True)
class Entry:
    """Whose a value is: `target_id` is the key, credential, user or customer."""

    customer_id: str
    target_id: str


async def claim(connection: AsyncConnection, kind: Kind, value: str, entry: Entry, resource: str) -> None:
    """Takes a value for good. Raises ALREADY_EXISTS, naming the kind of resource that has it."""
    statement = insert(directory).values(
        kind=kind, value=value, customer_id=entry.customer_id, target_id=entry.target_id
    )
    taken = await connection.execute(statement.on_conflict_do_nothing().returning(directory.c.value))
    if taken.first() is None:
        raise already_exists(resource, kind.removeprefix("customer_"), value)


async def release(connection: AsyncConnection, kind: Kind, value: str) -> None:
    """Gives a value back."""
    await connection.execute(delete(directory).where(directory.c.kind == kind, directory.c.value == value))


async def find(connection: AsyncConnection, kind: Kind, value: str) -> Entry | None:
    """Whose the value is."""
    columns = directory.c.customer_id, directory.c.target_id
    found = await connection.execute(
        select(*columns).where(directory.c.kind == kind, directory.c.value == value)
    )
    row = found.first()
    return None if row is None else Entry(row.customer_id, row.target_id)


async def customer_named(
    connection: AsyncConnection, id_or_slug: str, deleted_too: bool = False
) -> str | None:
    """The id of the customer with this id or slug; deleted ones are found by id only, and only when asked
    for."""
    if not is_uuid(id_or_slug):
        entry = await find(connection, Kind.SLUG, id_or_slug)
        return None if entry is None else entry.customer_id
    customer_id = id_or_slug.lower()
    statement = select(func.count()).where(customers.c.customer_id == customer_id)
    if not deleted_too:
        statement = statement.where(customers.c.delete_time.is_(None))
    return customer_id if (await connection.execute(statement)).scalar_one() else None
