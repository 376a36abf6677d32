"""Stored answers of top-ups, and incarnations (L5, L20)."""

from collections.abc import Collection, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ANSWERS = text(
    """
    SELECT CAST(g.lease_id AS text) AS lease_id, g.top_up, g.answer
    FROM unnest(CAST(:lease_ids AS uuid[]), CAST(:top_ups AS integer[])) AS k(lease_id, top_up)
    JOIN lease_grants g USING (lease_id, top_up)
    WHERE g.customer_id = :customer_id
    """
)
_CLOSED = text(
    """
    SELECT CAST(incarnation_id AS text) FROM incarnations
    WHERE incarnation_id = ANY(CAST(:ids AS uuid[])) AND close_time IS NOT NULL
    """
)


async def answers(
    connection: AsyncConnection, customer_id: str, top_ups: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], bytes]:
    """Answers given before to these (lease_id, top_up)."""
    if not top_ups:
        return {}
    found = await connection.execute(
        _ANSWERS,
        {
            "customer_id": customer_id,
            "lease_ids": [lease_id for lease_id, _ in top_ups],
            "top_ups": [top_up for _, top_up in top_ups],
        },
    )
    return {(row.lease_id, row.top_up): bytes(row.answer) for row in found}


async def closed_incarnations(connection: AsyncConnection, incarnation_ids: Collection[str]) -> set[str]:
    """Those of these that are over."""
    if not incarnation_ids:
        return set()
    return set((await connection.execute(_CLOSED, {"ids": list(incarnation_ids)})).scalars())
