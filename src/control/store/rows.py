"""Sets of rows in one statement: sent as JSON and typed by PostgreSQL from the table itself."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import CursorResult, Executable, Table, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

Row = Mapping[str, Any]


def encode(rows: Sequence[Row]) -> str:
    """JSON that jsonb_populate_recordset reads back: times in ISO form, bytes in hex."""
    return orjson.dumps(rows, default=_encode_value, option=orjson.OPT_NON_STR_KEYS).decode()


def insert_statement(
    table: Table, order: Sequence[str], suffix: str = "", without: Collection[str] = ()
) -> TextClause:
    """INSERT of `:rows`, in the order given so that concurrent batches lock alike. Every column must be
    present, but for those `without` which it is done."""
    columns = ", ".join(column.name for column in table.columns if column.name not in without)
    return text(
        f"INSERT INTO {table.name} ({columns}) SELECT {columns} "  # noqa: S608 - names come from the schema
        f"FROM jsonb_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows AS jsonb)) "
        f"ORDER BY {', '.join(order)} {suffix}"
    )


def update_statement(table: Table, columns: Sequence[str]) -> TextClause:
    """UPDATE of the named columns from `:rows`, matched by primary key. The rows are locked already."""
    settings = ", ".join(f"{name} = r.{name}" for name in columns)
    match = " AND ".join(f"t.{column.name} = r.{column.name}" for column in table.primary_key.columns)
    return text(
        f"UPDATE {table.name} t SET {settings} "  # noqa: S608 - names come from the schema
        f"FROM jsonb_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows AS jsonb)) r WHERE {match}"
    )


class Together:
    """Statements of one transaction that go to the database as one, for `run`: in one message, planned once.

    They see the database as it was before all of them: none may build on another, nor may two touch one row.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._waiting: list[tuple[TextClause, Sequence[Row]]] = []

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Something that has to be done or known at once."""
        return await self._connection.execute(statement, parameters)

    def add(self, statement: TextClause, rows: Sequence[Row]) -> None:
        """Leaves a statement without result for later."""
        self._waiting.append((statement, rows))

    async def send(self) -> None:
        """Runs all that was left."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            parameters = {f"rows{number}": encode(rows) for number, (_, rows) in enumerate(waiting)}
            await self._connection.execute(_together(tuple(each for each, _ in waiting)), parameters)


# What store functions write to.
Target = AsyncConnection | Together


@lru_cache(256)
def _together(statements: tuple[TextClause, ...]) -> TextClause:
    parts = (
        f"part{number} AS ({statement.text.replace(':rows', f':rows{number}')})"
        for number, statement in enumerate(statements)
    )
    return text(f"WITH {', '.join(parts)} SELECT 1")


async def run(target: Target, statement: TextClause, rows: Sequence[Row]) -> Sequence[Any]:
    """Runs a statement made here; returns what it returns, and does nothing without rows. Together with
    others it is only left for later."""
    if not rows:
        return ()
    if isinstance(target, Together):
        target.add(statement, rows)
        return ()
    result = await target.execute(statement, {"rows": encode(rows)})
    return result.all() if result.returns_rows else ()


def _encode_value(value: object) -> object:
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"can't encode {type(value).__name__}")
