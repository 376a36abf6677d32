"""Names that are unique among a customer's live resources of one kind."""

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollkeeper.errors import already_exists

# More resources of one name and a number than anybody makes on purpose.
_MAX_NUMBER = 1000


async def check_name_free(connection: AsyncConnection, table: Table, customer_id: str, name: str) -> None:
    """Raises ALREADY_EXISTS when the name is taken. The customer is locked."""
    if await _taken(connection, table, customer_id, [name]):
        raise already_exists(table.name.removesuffix("s"), "name", name)


async def free_name(
    connection: AsyncConnection, table: Table, customer_id: str, name: str, max_chars: int
) -> str:
    """The name, with a number behind it when it is taken. Raises ALREADY_EXISTS when a thousand are."""
    numbered = [name]
    for number in range(2, _MAX_NUMBER + 1):
        end = f" {number}"
        numbered.append(name[: max_chars - len(end)] + end)
    taken = await _taken(connection, table, customer_id, numbered)
    for each in numbered:
        if each not in taken:
            return each
    raise already_exists(table.name.removesuffix("s"), "name", name)


async def _taken(connection: AsyncConnection, table: Table, customer_id: str, names: list[str]) -> set[str]:
    statement = select(table.c.name).where(
        table.c.customer_id == customer_id, table.c.name.in_(names), table.c.delete_time.is_(None)
    )
    return set((await connection.execute(statement)).scalars())
