"""Rows of customers. Slug, and email where there is one, are unique over all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store import credentials
from control.store.directory import Entry, Kind, claim, find, release
from control.store.fetch import fetch_all, fetch_one
from control.store.resources import change_row, insert_row
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID, customers, directory, keys, providers, users

# Any number that nothing else on this database locks.
_FIRST_START_LOCK = 2_906_114_570_332_198_641


@dataclass(frozen=True, slots=True)
class CustomerFilter:
    """Which customers a list holds. `only`: this one, by id. `prefix`: of name, slug or email, in lower
    case."""

    only: str = ""
    deleted_too: bool = False
    prefix: str = ""
    plan: str = ""
    suspended: bool | None = None


async def insert_customer(connection: AsyncConnection, customer_id: str, values: Row) -> Row:
    """A new customer. Raises ALREADY_EXISTS when slug or email is taken."""
    owner = Entry(customer_id, customer_id)
    await claim(connection, Kind.SLUG, values["slug"], owner, "customer")
    if values.get("email"):
        await claim(connection, Kind.CUSTOMER_EMAIL, values["email"], owner, "customer")
    return await insert_row(connection, customers, {**values, "customer_id": customer_id})


async def platform_exists(connection: AsyncConnection) -> bool:
    """Whether a first start was; waits for one under way and lets no other begin in this transaction."""
    await connection.execute(select(func.pg_advisory_xact_lock(_FIRST_START_LOCK)))
    return await find(connection, Kind.SLUG, "platform") is not None


async def slug_taken(connection: AsyncConnection, slug: str) -> bool:
    """Whether a customer has the slug."""
    return await find(connection, Kind.SLUG, slug) is not None


async def load_customer(connection: AsyncConnection, customer_id: str) -> Row:
    """A customer, deleted or not. The id is known to exist."""
    return await fetch_one(connection, select(customers).where(customers.c.customer_id == customer_id))


async def list_customers(
    connection: AsyncConnection,
    after: str | None,
    limit: int,
    chosen: CustomerFilter,
) -> Sequence[Row]:
    """Customers in the order they were made, without the platform's own."""
    statement = select(customers).where(customers.c.customer_id != PLATFORM_CUSTOMER_ID)
    if chosen.only:
        statement = statement.where(customers.c.customer_id == chosen.only)
    if chosen.prefix:
        texts = func.lower(customers.c.name), customers.c.slug, customers.c.email
        statement = statement.where(or_(*(text.startswith(chosen.prefix, autoescape=True) for text in texts)))
    if chosen.plan:
        statement = statement.where(customers.c.plan == chosen.plan)
    if chosen.suspended is not None:
        statement = statement.where(customers.c.suspended == chosen.suspended)
    if not chosen.deleted_too:
        statement = statement.where(customers.c.delete_time.is_(None))
    if after is not None:
        statement = statement.where(customers.c.customer_id > after)
    return await fetch_all(connection, statement.order_by(customers.c.customer_id).limit(limit))


async def update_customer(connection: AsyncConnection, row: Row, values: Mapping[str, Any]) -> Row:
    """Changes the named columns of a locked row. Raises ALREADY_EXISTS for an email that is taken."""
    customer_id = row["customer_id"]
    if "email" in values and values["email"] != row["email"]:
        if row["email"]:
            await release(connection, Kind.CUSTOMER_EMAIL, row["email"])
        if values["email"]:
            owner = Entry(customer_id, customer_id)
            await claim(connection, Kind.CUSTOMER_EMAIL, values["email"], owner, "customer")
    return await change_row(connection, customers, customer_id, customer_id, values)


async def set_default_router(connection: AsyncConnection, customer_id: str, router_id: str) -> None:
    """Of a customer that was made in this transaction."""
    statement = update(customers).where(customers.c.customer_id == customer_id)
    await connection.execute(statement.values(default_router_id=router_id))


async def delete_customer(connection: AsyncConnection, row: Row, now: datetime) -> Row:
    """Ends a customer and its users, revokes its keys and forgets its vendor credentials. Slug and emails
    become free; the rows stay for the ledger."""
    customer_id = row["customer_id"]
    await release(connection, Kind.SLUG, row["slug"])
    if row["email"]:
        await release(connection, Kind.CUSTOMER_EMAIL, row["email"])
    await credentials.end_all(connection, customer_id)
    live_users = users.c.customer_id == customer_id, users.c.delete_time.is_(None)
    emails = select(users.c.email).where(*live_users)
    await connection.execute(
        delete(directory).where(directory.c.kind == Kind.EMAIL, directory.c.value.in_(emails))
    )
    await connection.execute(update(users).where(*live_users).values(delete_time=now, password_hash=None))
    live_keys = keys.c.customer_id == customer_id, keys.c.revoke_time.is_(None)
    revoked = update(keys).where(*live_keys).values(revoke_time=now, revision=keys.c.revision + 1)
    await connection.execute(revoked)
    live_providers = providers.c.customer_id == customer_id, providers.c.delete_time.is_(None)
    await connection.execute(
        update(providers).where(*live_providers).values(delete_time=now, sealed_credential=None)
    )
    return await change_row(connection, customers, customer_id, customer_id, {"delete_time": now})


async def count_live_keys(connection: AsyncConnection, customer_id: str) -> int:
    """Keys that were not revoked."""
    statement = select(func.count()).where(keys.c.customer_id == customer_id, keys.c.revoke_time.is_(None))
    return int((await connection.execute(statement)).scalar_one())


async def all_ids(connection: AsyncConnection) -> list[str]:
    """Every customer there is or was, in the order they were made."""
    found = await connection.execute(select(customers.c.customer_id).order_by(customers.c.customer_id))
    return list(found.scalars())


async def gateway_id(connection: AsyncConnection, customer_id: str) -> str | None:
    """The customer's own gateway at Cloudflare; None: it goes through the shared one."""
    statement = select(customers.c.cf_gateway_id).where(customers.c.customer_id == customer_id)
    found: str | None = (await connection.execute(statement)).scalar_one()
    return found
