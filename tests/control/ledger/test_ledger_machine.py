"""The ledger against a plain model: any order of grants, settles, repetitions, crashes and changes."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, text

from control.domain.re_rating import PricesInForce, Wanted
from control.domain.records import prepare
from control.ledger import closing, re_rating
from control.ledger.queue import LedgerQueue
from control.metrics import Metrics
from control.store.database import Database
from control.verify import verify
from tests.factories.tenants import (
    CUSTOMER,
    KEY,
    TEAM,
    USER,
    Tenant,
    add_budget,
    create_tenant,
    end_windows,
    raise_chain,
    set_limit,
    top_up,
)
from tollkeeper.cost import PriceRates, resolve
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

POSTED, DUPLICATE, CONFLICT = edge_pb2.POSTED, edge_pb2.DUPLICATE, edge_pb2.CONFLICT
REPORTED, ESTIMATED, VOIDED = (
    edge_pb2.USAGE_STATE_REPORTED,
    edge_pb2.USAGE_STATE_ESTIMATED,
    edge_pb2.USAGE_STATE_VOIDED,
)
THRESHOLDS = (50, 100)
RATES = PriceRates(resolve({"input": 1_000_000, "output": 1_000_000}))
amounts = st.integers(min_value=0, max_value=120)


class Crash(Exception):
    """The process dies between two statements."""


@dataclass
class ModelWindow:
    budget_limit: int
    hard: bool = True
    spent: int = 0
    held: int = 0
    top_up: int = 0
    # Brought into being by a top-up, whether a lease pins it or not.
    topped_up: bool = False
    # Thresholds that were reached when something was posted.
    reached: set[int] = field(default_factory=set)

    @property
    def limit(self) -> int:
        return self.budget_limit + self.top_up

    def posted(self) -> None:
        self.reached |= {percent for percent in THRESHOLDS if self.spent * 100 >= percent * self.limit}


@dataclass
class ModelLease:
    """What the plain model knows of a lease."""

    lease_id: str
    windows: list[ModelWindow]
    unlimited: bool = False
    granted: int = 0
    posted: int = 0
    returned: int = 0
    in_flight: int = 0
    top_up: int = 0
    open: bool = True
    ended: bool = False
    lost_estimate: int = 0

    @property
    def held(self) -> int:
        return self.granted - self.posted - self.returned

    def free(self, amount: int) -> None:
        self.returned += amount
        for window in self.windows:
            window.held -= amount


@dataclass
class ModelRecord:
    message: edge_pb2.UsageRecord
    state: int
    cost: int
    lease: ModelLease


@dataclass
class Model:
    """Budgets by scope with their current window, leases, records."""

    windows: dict[int, ModelWindow] = field(default_factory=dict)
    leases: list[ModelLease] = field(default_factory=list)
    records: list[ModelRecord] = field(default_factory=list)


class LedgerMachine(RuleBasedStateMachine):
    """Each rule acts on the real ledger and on the model, and compares."""

    url = ""
    leases = Bundle("leases")
    records = Bundle("records")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.database = Database(self.url)
        self.queue = LedgerQueue(self.database, Metrics(), timedelta(seconds=60), lambda *_: None)
        self.crash_in = self.crash_next = 0
        event.listen(self.database.engine.sync_engine, "before_cursor_execute", self._maybe_crash)
        self.model = Model()
        self.tenant = Tenant()

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def _maybe_crash(self, *_: object) -> None:
        if self.crash_in:
            self.crash_in -= 1
            if not self.crash_in:
                raise Crash

    def teardown(self) -> None:
        report = self.run(verify(self.database))
        assert report.violations == []
        self.run(self.database.close())
        self.loop.close()

    # ---- set-up and changes of the chain

    @initialize(limits=st.dictionaries(st.sampled_from([KEY, USER, TEAM, CUSTOMER]), st.integers(1, 400)))
    def start(self, limits: dict[int, int]) -> None:
        self.tenant = self.run(create_tenant(self.database, limits, period=4, thresholds=THRESHOLDS))
        self.model.windows = {scope: ModelWindow(limit) for scope, limit in limits.items()}

    @rule(data=st.data(), limit=st.integers(1, 500))
    def change_limit(self, data: st.DataObject, limit: int) -> None:
        hard = [scope for scope, window in self.model.windows.items() if window.hard]
        if hard:
            scope = data.draw(st.sampled_from(hard))
            self.run(set_limit(self.database, self.tenant, scope, limit))
            self.model.windows[scope].budget_limit = limit

    @rule(data=st.data(), amount=st.integers(-300, 300).filter(bool))
    def top_up_window(self, data: st.DataObject, amount: int) -> None:
        """One window's limit goes up, or down again to the budget's; its chain stays the same."""
        if not self.model.windows:
            return
        scope = data.draw(st.sampled_from(sorted(self.model.windows)))
        window = self.model.windows[scope]
        amount = max(amount, -window.top_up)
        if amount:
            self.run(top_up(self.database, self.tenant, scope, amount))
            window.top_up += amount
            window.topped_up = True

    @rule(scope=st.sampled_from([KEY, USER, TEAM, CUSTOMER]), limit=st.integers(1, 500), soft=st.booleans())
    def add_budget(self, scope: int, limit: int, soft: bool) -> None:
        if scope in self.model.windows:
            return

        async def work() -> None:
            async with self.database.write() as connection:
                await add_budget(
                    connection, self.tenant, scope, limit, period=1, soft=soft, thresholds=THRESHOLDS
                )
                await raise_chain(connection, self.tenant)

        self.run(work())
        self.model.windows[scope] = ModelWindow(limit, hard=not soft)

    @rule()
    def windows_turn(self) -> None:
        self.run(end_windows(self.database, self.tenant))
        # A window that no lease ever pinned doesn't exist yet, so it doesn't end either.
        pinned = {id(window) for lease in self.model.leases for window in lease.windows}
        for scope, window in self.model.windows.items():
            if id(window) in pinned or window.topped_up:
                self.model.windows[scope] = ModelWindow(window.budget_limit, window.hard)
        for lease in self.model.leases:
            lease.ended = bool(lease.windows) or lease.ended

    # ---- acquiring

    @rule(target=leases, holds=st.lists(st.integers(1, 120), max_size=4), wanted=st.integers(0, 300))
    def open_lease(self, holds: list[int], wanted: int) -> Any:
        windows = list(self.model.windows.values())
        lease = ModelLease(str(uuid7()), windows, unlimited=not any(w.hard for w in windows))
        return lease if self._acquire(lease, holds, wanted) else multiple()

    @rule(lease=leases, holds=st.lists(st.integers(1, 120), max_size=4), wanted=st.integers(0, 300))
    def top_up(self, lease: ModelLease, holds: list[int], wanted: int) -> None:
        self._acquire(lease, holds, wanted)

    @rule(lease=leases)
    def acquire_again(self, lease: ModelLease) -> None:
        """The same (lease_id, top_up) returns the stored answer and grants nothing more."""
        request = self.tenant.acquire(lease.lease_id, lease.top_up, [10**6], 10**6)
        self.run(self.queue.acquire(request, 0))

    @rule(holds=st.lists(st.integers(1, 50), min_size=1, max_size=2))
    def acquire_stale(self, holds: list[int]) -> None:
        request = self.tenant.acquire(str(uuid7()), 1, holds)
        request.chain_version += 1
        with pytest.raises(TollkeeperError) as caught:
            self.run(self.queue.acquire(request, 0))
        assert caught.value.reason == Reason.GRANT_STALE

    def _acquire(self, lease: ModelLease, holds: list[int], wanted: int) -> bool:
        request = self.tenant.acquire(lease.lease_id, lease.top_up + 1, holds, wanted)
        hard = [window for window in lease.windows if window.hard]
        try:
            response = self._with_retries(lambda: self.queue.acquire(request, 0))
        except TollkeeperError as error:
            self._check_refusal(error, lease, hard, holds)
            return False
        assert lease.open
        assert not lease.ended
        lease.top_up += 1
        lease.unlimited = response.unlimited
        if response.unlimited:
            assert not hard
        else:
            covered = sum(holds[: response.covered_holds])
            assert response.granted_nanousd >= covered
            assert response.covered_holds >= 1 or not holds
            room = min(window.limit - window.spent - window.held for window in hard)
            assert response.granted_nanousd <= max(room, 0)
            if response.exact:
                assert response.granted_nanousd == covered
            else:
                undrawn = response.granted_nanousd - covered
                assert all(undrawn <= (w.limit - w.spent) // 10 for w in hard)
            lease.granted += response.granted_nanousd
            lease.in_flight += covered
            for window in lease.windows:
                window.held += response.granted_nanousd
        if lease not in self.model.leases:
            self.model.leases.append(lease)
        return True

    def _check_refusal(
        self, error: TollkeeperError, lease: ModelLease, hard: list[ModelWindow], holds: list[int]
    ) -> None:
        if error.reason == Reason.LEASE_CLOSED:
            assert not lease.open or lease.ended
            return
        first = holds[0]
        over = [window for window in hard if window.spent + first > window.limit]
        if error.reason == Reason.INSUFFICIENT_QUOTA:
            assert over
            fits = max(0, min(window.limit - window.spent for window in hard))
            assert error.metadata["fits_nanousd"] == str(fits)
        else:
            assert error.reason == Reason.BUDGET_HELD
            assert not over
            assert any(window.spent + window.held + first > window.limit for window in hard)

    def _with_retries(self, call: Any) -> Any:
        """As an edge does: the same call again until the outcome is known."""
        self.crash_in, self.crash_next = self.crash_next, 0
        while True:
            try:
                return self.run(call())
            except Crash:
                continue
            finally:
                self.crash_in = 0

    @rule(statements=st.integers(1, 14))
    def crash_soon(self, statements: int) -> None:
        """The next ledger transaction dies before its n-th statement."""
        self.crash_next = statements

    # ---- settling

    @rule(target=records, lease=leases, cost=amounts, state=st.sampled_from([REPORTED, ESTIMATED, VOIDED]))
    def settle(self, lease: ModelLease, cost: int, state: int) -> Any:
        message = self.tenant.record(lease.lease_id, cost, state)
        assert self._settle(message) == [POSTED]
        record = ModelRecord(message, state, message.cost_nanousd, lease)
        self._model_post(record)
        return record

    @rule(lease=leases, costs=st.lists(amounts, min_size=2, max_size=4))
    def settle_batch(self, lease: ModelLease, costs: list[int]) -> None:
        messages = [self.tenant.record(lease.lease_id, cost) for cost in costs]
        random.Random(len(costs)).shuffle(messages)
        assert self._settle(*messages) == [POSTED] * len(costs)
        for message in messages:
            self._model_post(ModelRecord(message, REPORTED, message.cost_nanousd, lease))

    @rule(record=records)
    def settle_again(self, record: ModelRecord) -> None:
        """Sent again with other times and latency, it is a duplicate."""
        again = edge_pb2.UsageRecord()
        again.CopyFrom(record.message)
        again.latency_ms = 77
        again.finish = "stop"
        assert self._settle(again) == [DUPLICATE]

    @rule(record=records, cost=amounts, state=st.sampled_from([REPORTED, ESTIMATED, VOIDED]))
    def settle_other_content(self, record: ModelRecord, cost: int, state: int) -> None:
        other = self.tenant.record(record.lease.lease_id, cost, state, record.message.usage_id)
        other.sequence = record.message.sequence
        if other.cost_nanousd == record.message.cost_nanousd and state == record.state:
            return
        outcome = self._settle(other)
        if record.state == ESTIMATED and state == REPORTED:
            assert outcome == [POSTED]
            for window in record.lease.windows:
                window.spent += cost - record.cost
                if cost != record.cost:
                    window.posted()
            record.message, record.state, record.cost = other, REPORTED, cost
        elif record.state == REPORTED and state == ESTIMATED:
            assert outcome == [DUPLICATE]
        else:
            assert outcome == [CONFLICT]

    @rule(half_units=st.integers(0, 6))
    def re_rate(self, half_units: int) -> None:
        """Every report costs so many halves of a nano-dollar a token; the rest stays as it is."""
        rates = {"input": half_units * 500_000, "output": 0}
        price = {"price_id": str(uuid7()), "provider_type": "openai", "model": "unit", "rates": rates}
        prices, ids = PricesInForce([price]), [each.message.usage_id for each in self.model.records]

        async def work() -> None:
            async with self.database.write() as connection:
                await re_rating.re_rate(connection, self.tenant.customer_id, ids, Wanted(), prices)

        self._with_retries(work)
        for record in self.model.records:
            if record.state == REPORTED:
                cost = -(-record.message.attempts[0].usage.input_tokens * half_units // 2)
                for window in record.lease.windows:
                    window.spent += cost - record.cost
                record.cost = cost

    @rule(lease=leases, amount=amounts, undrawn=amounts, closing=st.booleans())
    def report(self, lease: ModelLease, amount: int, undrawn: int, closing: bool) -> None:
        total = lease.returned + amount
        report = edge_pb2.LeaseReport(
            customer_id=self.tenant.customer_id,
            lease_id=lease.lease_id,
            returned_nanousd=total,
            undrawn_nanousd=undrawn,
            in_flight_nanousd=lease.in_flight,
            closing=closing,
        )
        for _ in range(2):
            self._with_retries(lambda: self.queue.settle(self.tenant.customer_id, [], [report]))
        if lease.open:
            lease.free(min(amount, lease.held))
            if closing:
                lease.free(lease.held)
                lease.open = False

    @rule(lease=leases)
    def lose(self, lease: ModelLease) -> None:
        """Grace runs out."""
        renewals = self.run(self._renewals(lease.lease_id))
        self._with_retries(
            lambda: closing.lose_lease(self.database, self.tenant.customer_id, lease.lease_id, renewals)
        )
        if lease.open:
            self._model_lose(lease)

    @precondition(lambda self: any(lease.open for lease in self.model.leases))
    @rule()
    def close_incarnation_leases(self) -> None:
        """The edge names no lease on connecting: all are closed."""
        self._with_retries(lambda: closing.close_forgotten(self.database, self.tenant.incarnation_id, ()))
        for lease in self.model.leases:
            if lease.open:
                lease.free(lease.held)
                lease.open = False

    async def _renewals(self, lease_id: str) -> int:
        async with self.database.read() as connection:
            found = await connection.execute(
                text("SELECT renewals, in_flight_nanousd FROM leases WHERE lease_id = :id"), {"id": lease_id}
            )
            row = found.one()
            for lease in self.model.leases:
                if lease.lease_id == lease_id:
                    lease.in_flight = row.in_flight_nanousd
            return int(row.renewals)

    def _settle(self, *messages: edge_pb2.UsageRecord) -> list[int]:
        now = messages[0].begin_time.ToDatetime()
        prepared = [prepare(m, {self.tenant.price_id: RATES}, now) for m in messages]
        return list(self._with_retries(lambda: self.queue.settle(self.tenant.customer_id, prepared, [])))

    def _model_post(self, record: ModelRecord) -> None:
        self.model.records.append(record)
        if record.state == VOIDED:
            return
        lease = record.lease
        if lease.unlimited and lease.open:
            lease.granted += record.cost
            covered = record.cost
        else:
            covered = min(record.cost, lease.held)
            for window in lease.windows:
                window.held -= covered
        lease.posted += covered
        for window in lease.windows:
            window.spent += record.cost
        if lease.lost_estimate:
            replaced = min(record.cost, lease.lost_estimate)
            lease.lost_estimate -= replaced
            for window in lease.windows:
                window.spent -= replaced
        for window in lease.windows:
            window.posted()

    def _model_lose(self, lease: ModelLease) -> None:
        if lease.unlimited:
            lease.granted += lease.in_flight
            for window in lease.windows:
                window.held += lease.in_flight
        estimate = min(lease.in_flight, lease.held)
        lease.posted += estimate
        lease.lost_estimate = estimate
        for window in lease.windows:
            window.held -= estimate
            window.spent += estimate
            window.posted()
        lease.free(lease.held)
        lease.open = False

    # ---- what must always hold

    @invariant()
    def windows_agree(self) -> None:
        """Every current window's spent and held are the model's."""
        if not self.tenant.budgets:
            return
        found = self.run(self._stored_windows())
        for scope, window in self.model.windows.items():
            pinned = any(window is other for lease in self.model.leases for other in lease.windows)
            if pinned:
                spent, held, reached = found[self.tenant.budgets[scope]]
                assert (spent, held) == (window.spent, window.held)
                assert set(reached) >= window.reached

    async def _stored_windows(self) -> dict[str, tuple[int, int, list[int]]]:
        async with self.database.read() as connection:
            found = await connection.execute(
                text(
                    "SELECT DISTINCT ON (budget_id) CAST(budget_id AS text) AS budget_id,"
                    " spent_nanousd, held_nanousd, ARRAY(SELECT threshold_percent FROM budget_alerts a"
                    " WHERE a.budget_id = w.budget_id AND a.start_time = w.start_time) AS reached"
                    " FROM windows w WHERE customer_id = :c"
                    " ORDER BY budget_id, start_time DESC"
                ),
                {"c": self.tenant.customer_id},
            )
            return {row.budget_id: (row.spent_nanousd, row.held_nanousd, row.reached) for row in found}


@pytest.mark.timeout(300)
def test_the_ledger_agrees_with_a_plain_model(database_url: str) -> None:
    """I1-I4 hold after any sequence of steps, and spent and held are what a plain model says."""
    LedgerMachine.url = database_url
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )
