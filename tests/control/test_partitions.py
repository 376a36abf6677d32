"""The request log's partitions: made ahead, filled by the time in the id, dropped when they are old."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from control.domain import months
from control.domain.records import prepare
from control.metrics import Metrics
from control.partitions import Partitions
from control.store import partitions, request_log
from control.store.database import Database
from tests.control.ledger.test_postings import RATES
from tests.factories.tenants import Tenant
from tollkeeper.ids import first_at, uuid7

NOW = datetime.now(UTC)
KEPT = timedelta(days=90)
ODD_IDS = ("00000000-0000-4000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff")


def keeper(database: Database) -> Partitions:
    return Partitions(database, Metrics(), KEPT)


async def log(database: Database, *usage_ids: str, tag: str = "nightly") -> Tenant:
    """Requests with these ids in the log."""
    tenant = Tenant()
    rows = []
    for usage_id in usage_ids:
        record = tenant.record(str(uuid7()), 1, usage_id=usage_id)
        record.tags.append(tag)
        rows.append(prepare(record, {tenant.price_id: RATES}, NOW).log_row)
    async with database.write() as connection:
        await request_log.add(connection, rows)
    return tenant


async def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def places(database: Database, table: str = "request_log") -> dict[str, str]:
    """Which partition each request is in."""
    query = f"SELECT CAST(usage_id AS text), CAST(tableoid::regclass AS text) FROM {table}"
    return {str(usage_id): str(place) for usage_id, place in await rows(database, query)}


def test_the_months_of_a_year() -> None:
    """A month ends where the next begins, also in December; its ids lie between its bounds."""
    december = datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    month = months.month_of(december)
    assert (months.suffix(month), months.suffix(months.month_after(month))) == ("202612", "202701")
    first, last = months.bounds(month)
    assert first <= str(first_at(december)) < last == str(first_at(datetime(2027, 1, 1, tzinfo=UTC)))
    assert months.months_needed(december) == [month, datetime(2027, 1, 1, tzinfo=UTC)]
    assert months.month_named("202612") == month
    assert months.month_named("default") is None


@pytest.mark.parametrize(("days", "over"), [(89, False), (90, True), (300, True)])
def test_a_month_is_over_when_its_last_day_is_old_enough(days: int, over: bool) -> None:
    """Retention counts from the month's end: nothing goes before its time."""
    end_of_march = datetime(2026, 4, 1, tzinfo=UTC)
    march = datetime(2026, 3, 1, tzinfo=UTC)
    assert months.is_over(march, end_of_march + timedelta(days=days), KEPT) is over


async def test_this_month_and_the_next_are_there(database: Database) -> None:
    """A request finds its month's partition; one with an id of another time the default one."""
    await keeper(database).look(NOW)
    soon = str(first_at(months.month_after(months.month_of(NOW)) + timedelta(days=1)))
    now = str(uuid7())
    await log(database, now, soon, *ODD_IDS)
    this, following = (months.suffix(month) for month in months.months_needed(NOW))
    for table in ("request_log", "request_tags"):
        assert await places(database, table) == {
            now: f"partitions.{table}_{this}",
            soon: f"partitions.{table}_{following}",
            **dict.fromkeys(ODD_IDS, f"partitions.{table}_default"),
        }


async def test_a_later_month_takes_what_the_default_one_held(database: Database) -> None:
    """An edge with a clock far ahead does no harm: its requests move when their month is made."""
    ahead = months.month_of(NOW) + timedelta(days=200)
    usage_id = str(first_at(ahead))
    await log(database, usage_id)
    assert (await places(database))[usage_id] == "partitions.request_log_default"
    await keeper(database).look(ahead)
    assert (await places(database))[usage_id] == f"partitions.request_log_{months.suffix(ahead)}"
    await keeper(database).look(ahead)
    indexes = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname = "
    assert await rows(database, f"{indexes} 'request_log_{months.suffix(ahead)}'") == await rows(
        database, f"{indexes} 'request_log'"
    )


async def test_old_months_are_dropped_and_the_ledger_is_not(database: Database) -> None:
    """L19: retention drops whole months of the log with their tags, and rows with odd ids one by one."""
    usage_id = str(uuid7())
    await log(database, usage_id, *ODD_IDS)
    await keeper(database).look(NOW + KEPT)
    assert len(await places(database)) == 3
    later = months.month_after(months.month_of(NOW)) + KEPT
    async with database.write() as connection:
        await connection.execute(text("UPDATE request_log SET log_time = log_time - interval '91 days'"))
    await keeper(database).look(later)
    assert await places(database) == {}
    assert await places(database, "request_tags") == {}
    # What comes late, from an old journal, is logged all the same.
    await log(database, usage_id)
    assert await places(database) == {usage_id: "partitions.request_log_default"}


async def test_no_retention_keeps_everything(database: Database) -> None:
    """0 days: nothing is dropped."""
    usage_id = str(uuid7())
    await log(database, usage_id)
    await Partitions(database, Metrics(), None).look(NOW + timedelta(days=3000))
    assert usage_id in await places(database)


async def test_one_replica_at_a_time(database: Database) -> None:
    """While one is at it, another does nothing."""
    async with database.write() as connection:
        assert await partitions.alone(connection)
        await keeper(database).look(NOW + timedelta(days=400))
        assert len(await partitions.months(connection)) == 2
