"""Running a statement and taking its rows by column name."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.rows import Row

Parameters = dict[str, Any] | Sequence[dict[str, Any]] | None


async def fetch_all(
    connection: AsyncConnection, statement: Executable, parameters: Parameters = None
) -> Sequence[Row]:
    """All rows. Lists are bounded by the statement's LIMIT."""
    return cast(Sequence[Row], (await connection.execute(statement, parameters)).mappings().all())


async def fetch_optional(
    connection: AsyncConnection, statement: Executable, parameters: Parameters = None
) -> Row | None:
    """The row, if there is one; at most one can be."""
    return cast(Row | None, (await connection.execute(statement, parameters)).mappings().one_or_none())


async def fetch_one(connection: AsyncConnection, statement: Executable, parameters: Parameters = None) -> Row:
    """The one row there is."""
    return cast(Row, (await connection.execute(statement, parameters)).mappings().one())
