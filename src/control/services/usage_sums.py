"""Totals and series for UsageService, from the sums by hour."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from control.caller import caller
from control.domain.budgets import zone
from control.domain.rollups import Dimension
from control.services.access import denied, sees_all
from control.services.convert import timestamp
from control.services.times import WithTimes, checked_time
from control.store import keys, rollups, teams
from control.store.customers import load_customer
from control.store.database import Connection
from control.store.names import names_of
from control.store.resources import transaction_time
from control.store.rollups import SumFilter
from control.store.rows import Row
from tollkeeper.errors import invalid, not_found
from tollkeeper.ids import is_uuid
from tollkeeper.v1 import usage_pb2

DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)
# A period ends here at the latest: the calendar has no whole hour behind its last one.
_LATEST_END = datetime.max.replace(tzinfo=UTC) - HOUR
DEFAULT_GROUPS, MAX_GROUPS = 100, 1000
DEFAULT_SERIES, MAX_SERIES = 10, 100
MAX_POINTS = 2000
DEFAULT_POINTS = 30
# Name in SQL, and about how long it is.
_INTERVALS = {
    usage_pb2.USAGE_INTERVAL_UNSPECIFIED: ("day", DAY),
    usage_pb2.USAGE_INTERVAL_HOUR: ("hour", HOUR),
    usage_pb2.USAGE_INTERVAL_DAY: ("day", DAY),
    usage_pb2.USAGE_INTERVAL_MONTH: ("month", 28 * DAY),
}


class SumRequest(WithTimes, Protocol):
    """GetUsageSummaryRequest and QueryUsageRequest."""

    user_id: str
    team_id: str
    group_by: usage_pb2.UsageDimension
    group_limit: int


async def summary(
    connection: Connection, customer_id: str, key_id: str, request: usage_pb2.GetUsageSummaryRequest
) -> usage_pb2.UsageSummary:
    """Totals of all time or a period, of the last day, and by group."""
    period = hours(request)
    limit = _limit(request, DEFAULT_GROUPS, MAX_GROUPS)
    groups = await _groups(connection, customer_id, key_id, request)
    of = await _total(connection, customer_id, key_id, request)
    now = await transaction_time(connection)
    total = await rollups.totals(connection, SumFilter(customer_id, *of, *period), _hour(now - DAY))
    message = usage_pb2.UsageSummary(
        total_cost_nanousd=int(total["total_cost_nanousd"]),
        total_requests=int(total["total_request_count"]),
        day_cost_nanousd=int(total["day_cost_nanousd"]),
        day_requests=int(total["day_request_count"]),
        input_tokens=int(total["total_input_tokens"]),
        output_tokens=int(total["total_output_tokens"]),
        refused_requests=int(total["total_refused_count"]),
    )
    if groups is not None:
        rows = await rollups.by_value(connection, SumFilter(customer_id, *groups, *period), limit)
        names = await names_of(connection, customer_id, groups[0], [row["shown"] for row in rows])
        message.groups.extend(
            usage_pb2.UsageGroup(value=row["shown"], label=names.get(row["shown"], ""), totals=_totals([row]))
            for row in rows
        )
    return message


async def series(
    connection: Connection, customer_id: str, key_id: str, request: usage_pb2.QueryUsageRequest
) -> usage_pb2.QueryUsageResponse:
    """Totals by interval."""
    if request.interval not in _INTERVALS:
        raise invalid("interval isn't known.", field="interval")
    interval, length = _INTERVALS[request.interval]
    zone_name = request.time_zone or (await load_customer(connection, customer_id))["time_zone"]
    zone(zone_name)
    period = _series_period(request, await transaction_time(connection), length)
    limit = _limit(request, DEFAULT_SERIES, MAX_SERIES)
    groups = await _groups(connection, customer_id, key_id, request)
    of = groups if groups is not None else await _total(connection, customer_id, key_id, request)
    wanted = SumFilter(customer_id, *of, *period)
    order, values = [""], None
    if groups is not None:
        order = [row["shown"] for row in await rollups.by_value(connection, wanted, limit)]
        values = order[:limit]
    points: dict[str, list[Row]] = {value: [] for value in order}
    for row in await rollups.by_time(connection, wanted, interval, zone_name, values):
        points[row["shown"]].append(row)
    names = await names_of(connection, customer_id, of[0], order) if groups is not None else {}
    return usage_pb2.QueryUsageResponse(
        series=[
            usage_pb2.UsageSeries(
                value=value,
                label=names.get(value, ""),
                totals=_totals(rows),
                points=[
                    usage_pb2.UsagePoint(start_time=timestamp(row["start_time"]), totals=_totals([row]))
                    for row in rows
                ],
            )
            for value, rows in points.items()
        ],
        time_zone=zone_name,
    )


def hours(request: WithTimes) -> tuple[datetime | None, datetime | None]:
    """The period in whole hours, with the hours that its ends lie in. Raises INVALID_ARGUMENT."""
    start, end = checked_time(request, "start_time"), checked_time(request, "end_time")
    if start is not None and end is not None and start > end:
        raise invalid("end_time is before start_time.", field="end_time")
    if end is not None and end != _hour(end):
        end = _hour(min(end, _LATEST_END)) + HOUR
    return _hour(start) if start is not None else None, end


def _series_period(
    request: usage_pb2.QueryUsageRequest, now: datetime, length: timedelta
) -> tuple[datetime, datetime]:
    start, end = hours(request)
    if end is None:
        end = _hour(now) + HOUR
    if start is None:
        start = end - min(DEFAULT_POINTS * length, end - datetime(1970, 1, 1, tzinfo=UTC))
    if (end - start) / length > MAX_POINTS:
        raise invalid(f"The period has more than {MAX_POINTS} intervals.", field="start_time")
    return start, end


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _limit(request: SumRequest, default: int, most: int) -> int:
    if request.group_limit < 0:
        raise invalid("group_limit must not be negative.", field="group_limit")
    return min(request.group_limit or default, most)


async def _total(
    connection: Connection, customer_id: str, key_id: str, request: SumRequest
) -> tuple[int, list[str]]:
    """Dimension and value of the ungrouped total."""
    named = [
        (Dimension.KEY, key_id),
        (Dimension.USER, request.user_id.lower()),
        (Dimension.TEAM, request.team_id.lower()),
    ]
    given = [(dimension, value) for dimension, value in named if value]
    if len(given) > 1:
        raise invalid("Only one of key_id, user_id and team_id can be summed up.", field="key_id")
    if not given:
        return (Dimension.CUSTOMER, [customer_id]) if sees_all() else (Dimension.USER, [caller().user_id])
    dimension, value = given[0]
    kind = dimension.name.lower()
    if not is_uuid(value):
        raise invalid(f"{kind}_id is not a UUID.", field=f"{kind}_id")
    if dimension is not Dimension.KEY:
        own = await _own_values(connection, customer_id, dimension)
        if own is not None and value not in own:
            raise not_found(kind, value)
    return dimension, [value]


async def _groups(
    connection: Connection, customer_id: str, key_id: str, request: SumRequest
) -> tuple[int, Sequence[str] | None] | None:
    """Dimension and values of the groups; None when nothing is to be grouped."""
    if request.group_by == usage_pb2.USAGE_DIMENSION_UNSPECIFIED:
        return None
    if request.group_by not in usage_pb2.UsageDimension.values():
        raise invalid("group_by isn't known.", field="group_by")
    if key_id or request.user_id or request.team_id:
        raise invalid(
            "Sums are kept by one dimension: a key, user or team can't be grouped.", field="group_by"
        )
    dimension = Dimension(request.group_by)
    return dimension, await _own_values(connection, customer_id, dimension)


async def _own_values(connection: Connection, customer_id: str, dimension: Dimension) -> Sequence[str] | None:
    """The values of a dimension that the caller may see; None for all. Raises PERMISSION_DENIED when there
    are none by nature."""
    if sees_all():
        return None
    user_id = caller().user_id
    if dimension is Dimension.USER:
        return [user_id]
    team_ids = (await teams.teams_of_users(connection, customer_id, [user_id])).get(user_id, [])
    if dimension is Dimension.TEAM:
        return team_ids
    if dimension is Dimension.KEY:
        return await keys.ids_of_owners(connection, customer_id, user_id, team_ids)
    raise denied(f"Only managers may see sums by {dimension.name.lower().replace('_', ' ')}.")


def _totals(rows: Sequence[Row]) -> usage_pb2.UsageTotals:
    return usage_pb2.UsageTotals(**{name: int(sum(row[name] for row in rows)) for name in rollups.AMOUNTS})
