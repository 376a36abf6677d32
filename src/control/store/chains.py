"""The chain of budgets above a key, and the windows it pins now (L1-L3)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.budgets import window_at
from control.domain.ledger import Label, Lease, LeaseState, Window, WindowKey
from control.store import ledger
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

# In this part of a window's end the next one may be taken (L7).
NEXT_WINDOW_SPAN = timedelta(seconds=60)

_CHAINS = text(
    """
    SELECT CAST(k.key_id AS text) AS key_id, CAST(k.user_id AS text) AS user_id, CAST(k.team_id AS text) AS
    team_id,
           k.chain_version + c.chain_version + coalesce(u.chain_version, 0) + coalesce(t.chain_version, 0)
               AS chain_version,
           c.time_zone,
           k.revoke_time IS NULL AND NOT k.disabled AND NOT c.suspended AND c.delete_time IS NULL
               AND NOT coalesce(u.suspended, false) AND NOT coalesce(t.suspended, false) AS usable
    FROM keys k
    JOIN customers c ON c.customer_id = k.customer_id
    LEFT JOIN users u ON u.customer_id = k.customer_id AND u.user_id = k.user_id
    LEFT JOIN teams t ON t.customer_id = k.customer_id AND t.team_id = k.team_id
    WHERE k.customer_id = :customer_id AND k.key_id = ANY(CAST(:key_ids AS uuid[]))
    """
)
# The latest window tells both the current one and where the next may start.
_BUDGETS = text(
    """
    SELECT CAST(b.budget_id AS text) AS budget_id, b.scope, CAST(b.scope_id AS text) AS scope_id, b.period,
           NOT b.soft AS hard, b.create_time, current.start_time, current.end_time, latest.end_time AS
           latest_end
    FROM budgets b
    LEFT JOIN LATERAL (
        SELECT start_time, end_time FROM windows w
        WHERE w.customer_id = b.customer_id AND w.budget_id = b.budget_id AND w.start_time <= :now
        ORDER BY start_time DESC LIMIT 1) current ON current.end_time > :now
    LEFT JOIN LATERAL (
        SELECT end_time FROM windows w
        WHERE w.customer_id = b.customer_id AND w.budget_id = b.budget_id
        ORDER BY start_time DESC LIMIT 1) latest ON true
    WHERE b.customer_id = :customer_id AND b.scope_id = ANY(CAST(:scope_ids AS uuid[])) AND b.delete_time IS
    NULL
    ORDER BY b.scope, b.budget_id
    """
)
_RESTORE_WINDOWS = text(
    """
    INSERT INTO windows (customer_id, budget_id, start_time, end_time, scope)
    SELECT DISTINCT ON (b.scope, b.budget_id, k.start_time)
           b.customer_id, b.budget_id, k.start_time, k.end_time, b.scope
    FROM unnest(CAST(:budget_ids AS uuid[]), CAST(:start_times AS timestamptz[]),
                CAST(:end_times AS timestamptz[])) AS k(budget_id, start_time, end_time)
    JOIN budgets b ON b.customer_id = :customer_id AND b.budget_id = k.budget_id
    WHERE k.start_time < k.end_time AND NOT EXISTS (
        SELECT FROM windows w
        WHERE w.customer_id = b.customer_id AND w.budget_id = b.budget_id
          AND w.start_time < k.end_time AND k.start_time < w.end_time)
    ORDER BY b.scope, b.budget_id, k.start_time
    ON CONFLICT DO NOTHING
    """
)
_SPENT_SINCE = text(
    """
    SELECT coalesce(sum(cost_nanousd), 0) FROM rollups
    WHERE customer_id = :customer_id AND dimension = :scope AND value = CAST(:scope_id AS text)
      AND hour >= :since
    """
)


@dataclass(slots=True)
class ChainBudget:
    """A live budget above a key, and the window in force or to come into being."""

    budget_id: str
    scope: int
    scope_id: str
    period: int
    hard: bool
    create_time: datetime
    start_time: datetime
    end_time: datetime
    exists: bool
    first: bool

    @property
    def key(self) -> WindowKey:
        return self.budget_id, self.start_time


@dataclass(slots=True)
class Chain:
    """All budgets above one key; unlimited when none is hard (L9)."""

    key_id: str
    user_id: str | None
    team_id: str | None
    version: int
    time_zone: str
    usable: bool
    budgets: list[ChainBudget]

    @property
    def unlimited(self) -> bool:
        return not any(budget.hard for budget in self.budgets)

    def scopes(self, customer_id: str) -> list[str]:
        """Ids of the scopes a request of the key belongs to."""
        return [scope for scope in (self.key_id, self.user_id, self.team_id, customer_id) if scope]


async def load_chains(
    connection: AsyncConnection, customer_id: str, key_ids: Iterable[str], now: datetime
) -> dict[str, Chain]:
    """The chains of keys as they are now. Keys that don't exist are left out."""
    ids = list(key_ids)
    if not ids:
        return {}
    found = await connection.execute(_CHAINS, {"customer_id": customer_id, "key_ids": ids})
    chains = {
        row.key_id: Chain(
            row.key_id, row.user_id, row.team_id, row.chain_version, row.time_zone, row.usable, []
        )
        for row in found
    }
    scope_ids = {scope for chain in chains.values() for scope in chain.scopes(customer_id)}
    budgets = await connection.execute(
        _BUDGETS, {"customer_id": customer_id, "scope_ids": sorted(scope_ids), "now": now}
    )
    for row in budgets:
        for chain in chains.values():
            if row.scope_id in chain.scopes(customer_id):
                chain.budgets.append(_chain_budget(row, chain.time_zone, now))
    return chains


def _chain_budget(row: Row[Any], time_zone: str, now: datetime) -> ChainBudget:
    exists = row.start_time is not None
    if exists:
        start, end = row.start_time, row.end_time
    else:
        start, end = window_at(row.period, time_zone, now, row.create_time, row.latest_end)
    return ChainBudget(
        budget_id=row.budget_id,
        scope=row.scope,
        scope_id=row.scope_id,
        period=row.period,
        hard=row.hard,
        create_time=row.create_time,
        start_time=start,
        end_time=end,
        exists=exists,
        first=row.latest_end is None,
    )


def next_windows(chain: Chain, now: datetime) -> datetime | None:
    """Moves budgets whose window is about to end to the window after it; returns when the last of those
    begins (L7)."""
    begins = None
    for budget in chain.budgets:
        if budget.end_time - now <= NEXT_WINDOW_SPAN:
            start, end = window_at(
                budget.period, chain.time_zone, budget.end_time, budget.create_time, budget.end_time
            )
            budget.start_time, budget.end_time, budget.exists, budget.first = start, end, False, False
            begins = start if begins is None else max(begins, start)
    return begins


async def ensure_windows(
    connection: AsyncConnection, customer_id: str, budgets: Sequence[ChainBudget], now: datetime
) -> None:
    """Brings missing windows into being, each with an opening entry where its budget was born after it
    began (L2, L3)."""
    missing = {budget.key: budget for budget in budgets if not budget.exists}
    if not missing:
        return
    for budget in budgets:
        budget.exists = True
    openings = {key: await _opening(connection, customer_id, budget) for key, budget in missing.items()}
    created = await ledger.insert_windows(
        connection,
        [
            {
                "customer_id": customer_id,
                "budget_id": budget.budget_id,
                "start_time": budget.start_time,
                "end_time": budget.end_time,
                "scope": budget.scope,
                "spent_nanousd": openings[key],
                "held_nanousd": 0,
                "highest_limit_nanousd": 0,
                "recall_until": None,
                "top_up_nanousd": 0,
                "alerted_percent": 0,
            }
            for key, budget in missing.items()
        ],
    )
    for key in created:
        if openings[key]:
            await _insert_opening(connection, customer_id, missing[key], openings[key], now)


async def ensure_window(
    connection: AsyncConnection,
    customer_id: str,
    scope_id: str,
    budget_id: str,
    time_zone: str,
    now: datetime,
) -> WindowKey:
    """The key of a live budget's window in force, which exists now if it didn't."""
    found = await connection.execute(
        _BUDGETS, {"customer_id": customer_id, "scope_ids": [scope_id], "now": now}
    )
    (budget,) = (_chain_budget(row, time_zone, now) for row in found if row.budget_id == budget_id)
    await ensure_windows(connection, customer_id, [budget], now)
    return budget.key


async def restore_windows(
    connection: AsyncConnection, customer_id: str, named: Sequence[edge_pb2.WindowRef]
) -> None:
    """Brings back windows that records name and the database doesn't know: it was set back to before they
    began (L21). Where another window lies in the way, or the budget is gone too, there is nothing to bring
    back."""
    if named:
        await connection.execute(
            _RESTORE_WINDOWS,
            {
                "customer_id": customer_id,
                "budget_ids": [window.budget_id for window in named],
                "start_times": [window.start_time.ToDatetime(tzinfo=UTC) for window in named],
                "end_times": [window.end_time.ToDatetime(tzinfo=UTC) for window in named],
            },
        )


async def _opening(connection: AsyncConnection, customer_id: str, budget: ChainBudget) -> int:
    """What the scope spent in the window before its budget was born, to the whole hour."""
    if not budget.first or budget.create_time <= budget.start_time:
        return 0
    spent = await connection.execute(
        _SPENT_SINCE,
        {
            "customer_id": customer_id,
            "scope": budget.scope,
            "scope_id": budget.scope_id,
            "since": budget.start_time,
        },
    )
    return max(0, int(spent.scalar_one()))


async def _insert_opening(
    connection: AsyncConnection, customer_id: str, budget: ChainBudget, amount_nanousd: int, now: datetime
) -> None:
    """An entry counts in the windows its lease pins, so the opening has a closed lease of its own."""
    opening_id = str(uuid7())
    await ledger.save_leases(
        connection, customer_id, [closed_lease(opening_id, opening_id, [budget.key])], now
    )
    await ledger.insert_entries(
        connection,
        [
            {
                "customer_id": customer_id,
                "usage_id": opening_id,
                "part": 0,
                "lease_id": opening_id,
                "label": Label.OPENING,
                "amount_nanousd": amount_nanousd,
                "estimated": False,
                "post_time": now,
            }
        ],
    )


def closed_lease(lease_id: str, key_id: str, keys: Sequence[WindowKey]) -> Lease:
    """A lease that never lent anything, and only says where entries count."""
    return Lease(
        lease_id=lease_id,
        incarnation_id=lease_id,
        key_id=key_id,
        chain_version=0,
        unlimited=False,
        state=LeaseState.CLOSED,
        new=True,
        changed=True,
        windows=[_bare_window(key) for key in keys],
    )


def _bare_window(key: WindowKey) -> Window:
    budget_id, start_time = key
    return Window(budget_id, start_time, start_time, 0, "", False, 0, 0, 0, 0)
