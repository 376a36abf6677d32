"""Rows of customer templates. They are the platform's, so all are its customer's."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.fetch import fetch_optional
from control.store.resources import change_row, find_row, insert_row, list_rows
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID, templates
from tollkeeper.errors import already_exists, not_found
from tollkeeper.ids import is_uuid, uuid7


async def insert_template(connection: AsyncConnection, values: Row) -> Row:
    """A new template. Raises ALREADY_EXISTS when its name is taken. The platform's customer is locked."""
    await _check_name_free(connection, values["name"])
    named = {"customer_id": PLATFORM_CUSTOMER_ID, "template_id": str(uuid7())}
    return await insert_row(connection, templates, {**values, **named})


async def load_template(connection: AsyncConnection, id_or_name: str) -> Row:
    """A template by id, deleted or not, or a live one by name. Raises NOT_FOUND."""
    if is_uuid(id_or_name):
        row = await find_row(connection, templates, PLATFORM_CUSTOMER_ID, id_or_name.lower())
    else:
        row = await _named(connection, id_or_name)
    if row is None:
        raise not_found("template", id_or_name)
    return row


async def load_live_template(connection: AsyncConnection, id_or_name: str) -> Row:
    """A template that can be used and changed. Raises NOT_FOUND."""
    row = await load_template(connection, id_or_name)
    if row["delete_time"] is not None:
        raise not_found("template", id_or_name)
    return row


async def list_templates(connection: AsyncConnection, after: str | None, limit: int) -> Sequence[Row]:
    """Live templates in the order they were made."""
    live = templates.c.delete_time.is_(None)
    return await list_rows(connection, templates, PLATFORM_CUSTOMER_ID, after, limit, live)


async def update_template(connection: AsyncConnection, row: Row, values: Mapping[str, Any]) -> Row:
    """Changes the named columns. Raises ALREADY_EXISTS for a name that is taken."""
    if values.get("name", row["name"]) != row["name"]:
        await _check_name_free(connection, values["name"])
    return await change_row(connection, templates, PLATFORM_CUSTOMER_ID, row["template_id"], values)


async def _check_name_free(connection: AsyncConnection, name: str) -> None:
    if await _named(connection, name) is not None:
        raise already_exists("template", "name", name)


async def _named(connection: AsyncConnection, name: str) -> Row | None:
    statement = select(templates).where(
        templates.c.customer_id == PLATFORM_CUSTOMER_ID,
        templates.c.name == name,
        templates.c.delete_time.is_(None),
    )
    return await fetch_optional(connection, statement)
