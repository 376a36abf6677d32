"""A customer with a key, and budgets above it, written straight into the tables."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.ledger import WindowKey
from control.store import chains, ledger, tables, top_ups
from control.store.database import Database
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

KEY, USER, TEAM, CUSTOMER = 1, 2, 3, 4
# 1 nano-dollar per model token, in and out.
UNIT_RATES = {"input": 1_000_000, "output": 1_000_000}


@dataclass
class Tenant:
    """Ids of one customer's rows."""

    customer_id: str = field(default_factory=lambda: str(uuid7()))
    team_id: str = field(default_factory=lambda: str(uuid7()))
    user_id: str = field(default_factory=lambda: str(uuid7()))
    key_id: str = field(default_factory=lambda: str(uuid7()))
    price_id: str = field(default_factory=lambda: str(uuid7()))
    incarnation_id: str = field(default_factory=lambda: str(uuid7()))
    budgets: dict[int, str] = field(default_factory=dict)
    chain_version: int = 0
    sequence: int = 0

    def scope_id(self, scope: int) -> str:
        return {KEY: self.key_id, USER: self.user_id, TEAM: self.team_id, CUSTOMER: self.customer_id}[scope]

    def acquire(
        self, lease_id: str, top_up: int, holds: list[int], wanted: int = 0, **extra: object
    ) -> edge_pb2.AcquireLeaseRequest:
        """An AcquireLease request of this tenant's key."""
        return edge_pb2.AcquireLeaseRequest(
            incarnation_id=self.incarnation_id,
            customer_id=self.customer_id,
            key_id=self.key_id,
            lease_id=lease_id,
            top_up=top_up,
            chain_version=self.chain_version,
            holds_nanousd=holds,
            wanted_nanousd=wanted,
            **extra,  # type: ignore[arg-type]
        )

    def record(
        self,
        lease_id: str,
        cost: int,
        state: int = edge_pb2.USAGE_STATE_REPORTED,
        usage_id: str = "",
        hold: int | None = None,
        windows: list[WindowKey] | None = None,
    ) -> edge_pb2.UsageRecord:
        """A usage record that costs `cost` at UNIT_RATES."""
        self.sequence += 1
        record = edge_pb2.UsageRecord(
            usage_id=usage_id or str(uuid7()),
            incarnation_id=self.incarnation_id,
            sequence=self.sequence,
            customer_id=self.customer_id,
            key_id=self.key_id,
            team_id=self.team_id,
            user_id=self.user_id,
            lease_id=lease_id,
            state=state,
            cost_nanousd=0 if state == edge_pb2.USAGE_STATE_VOIDED else cost,
            requested_model="unit",
        )
        attempt = record.attempts.add(
            number=1,
            provider_type="openai",
            model="unit",
            status=200,
            price_id=self.price_id,
            hold_nanousd=cost if hold is None else hold,
            state=state,
            cost_nanousd=record.cost_nanousd,
        )
        if state != edge_pb2.USAGE_STATE_VOIDED:
            attempt.usage.input_tokens = cost
        for budget_id, start_time in windows or []:
            window = record.windows.add(budget_id=budget_id)
            window.start_time.FromDatetime(start_time)
        return record


async def create_tenant(
    database: Database, limits: dict[int, int], period: int = 1, thresholds: Sequence[int] = ()
) -> Tenant:
    """A customer, team, user, key and price, with one hard budget for each scope in `limits`."""
    tenant = Tenant()
    now = datetime.now(UTC)
    async with database.write() as connection:
        await connection.execute(
            insert(tables.customers).values(customer_id=tenant.customer_id, slug=tenant.customer_id, name="c")
        )
        await connection.execute(
            insert(tables.teams).values(customer_id=tenant.customer_id, team_id=tenant.team_id, name="t")
        )
        await connection.execute(
            insert(tables.users).values(customer_id=tenant.customer_id, user_id=tenant.user_id, email="u")
        )
        await connection.execute(
            insert(tables.keys).values(
                customer_id=tenant.customer_id,
                key_id=tenant.key_id,
                name="k",
                key_hash=hashlib.sha256(tenant.key_id.encode()).digest(),
                prefix="aig_",
                user_id=tenant.user_id,
                team_id=tenant.team_id,
            )
        )
        await connection.execute(
            insert(tables.prices).values(
                customer_id=tenant.customer_id,
                price_id=tenant.price_id,
                model="unit",
                rates=UNIT_RATES,
                effective_time=now,
            )
        )
        for scope, limit in limits.items():
            await add_budget(connection, tenant, scope, limit, period, thresholds=thresholds)
    return tenant


async def add_budget(
    connection: AsyncConnection,
    tenant: Tenant,
    scope: int,
    limit: int,
    period: int = 1,
    soft: bool = False,
    thresholds: Sequence[int] = (),
) -> str:
    """One more budget; the caller raises the chain's version."""
    budget_id = str(uuid7())
    tenant.budgets[scope] = budget_id
    await connection.execute(
        insert(tables.budgets).values(
            customer_id=tenant.customer_id,
            budget_id=budget_id,
            scope=scope,
            scope_id=tenant.scope_id(scope),
            limit_nanousd=limit,
            period=period,
            soft=soft,
            thresholds=list(thresholds),
        )
    )
    return budget_id


async def set_limit(database: Database, tenant: Tenant, scope: int, limit: int) -> None:
    """Another limit, and another version of the chain."""
    async with database.write() as connection:
        await connection.execute(
            update(tables.budgets)
            .where(tables.budgets.c.budget_id == tenant.budgets[scope])
            .values(limit_nanousd=limit)
        )
        await raise_chain(connection, tenant)


async def top_up(database: Database, tenant: Tenant, scope: int, amount: int) -> None:
    """Tops up the present window of a scope's budget."""
    budget_id = tenant.budgets[scope]
    async with database.write() as connection:
        now = await ledger.database_now(connection)
        key = await chains.ensure_window(
            connection, tenant.customer_id, tenant.scope_id(scope), budget_id, "UTC", now
        )
        window = (await ledger.lock_windows(connection, tenant.customer_id, [key]))[key]
        count = await top_ups.count_top_ups(connection, tenant.customer_id, budget_id)
        values = {"number": count + 1, "amount_nanousd": amount}
        await top_ups.add_top_up(connection, tenant.customer_id, window, values)


async def raise_chain(connection: AsyncConnection, tenant: Tenant) -> None:
    """What every change of a chain does (L3)."""
    await connection.execute(
        text("UPDATE keys SET chain_version = chain_version + 1 WHERE key_id = :key_id"),
        {"key_id": tenant.key_id},
    )
    tenant.chain_version += 1


async def end_windows(database: Database, tenant: Tenant) -> None:
    """Midnight: every current window ends now."""
    async with database.write() as connection:
        await connection.execute(
            text(
                "UPDATE windows SET end_time = clock_timestamp() WHERE customer_id = :c"
                " AND end_time > clock_timestamp()"
            ),
            {"c": tenant.customer_id},
        )
