"""Names of things by id, for lists of sums. What was deleted keeps its name."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.rollups import Dimension
from control.store.tables import PLATFORM_CUSTOMER_ID, customers, keys, providers, teams, users
from tollkeeper.ids import is_uuid

_NAMED = {
    Dimension.KEY: (keys, keys.c.key_id, keys.c.name),
    Dimension.USER: (users, users.c.user_id, users.c.email),
    Dimension.TEAM: (teams, teams.c.team_id, teams.c.name),
    Dimension.CUSTOMER: (customers, customers.c.customer_id, customers.c.name),
    Dimension.PROVIDER: (providers, providers.c.provider_id, providers.c.name),
}


async def names_of(
    connection: AsyncConnection, customer_id: str, dimension: int, ids: Sequence[str]
) -> dict[str, str]:
    """The names of those that have one; providers may be the platform's."""
    ids = [each for each in ids if is_uuid(each)]
    if dimension not in _NAMED or not ids:
        return {}
    table, id_column, name_column = _NAMED[Dimension(dimension)]
    owners = [customer_id, PLATFORM_CUSTOMER_ID]
    found = await connection.execute(
        select(id_column, name_column).where(table.c.customer_id.in_(owners), id_column.in_(ids))
    )
    return {row[0]: row[1] for row in found}
