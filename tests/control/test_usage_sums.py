"""Totals and series over real gRPC and a real database: from the sums by hour, never from the log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from control.domain.identity import Role
from control.domain.rollups import OTHER, Dimension
from tests.control.gateway import make_key, refused
from tests.control.harness import RunningControl
from tests.control.test_usage import sum_up
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.budgets_pb2 import Scope
from tollkeeper.v1.keys_pb2 import GetKeyRequest
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team
from tollkeeper.v1.usage_pb2 import (
    USAGE_DIMENSION_KEY,
    USAGE_DIMENSION_MODEL,
    USAGE_DIMENSION_TEAM,
    USAGE_DIMENSION_USER,
    USAGE_INTERVAL_DAY,
    USAGE_INTERVAL_HOUR,
    USAGE_INTERVAL_MONTH,
    GetUsageSummaryRequest,
    QueryUsageRequest,
)

HOUR = timedelta(hours=1)


def moment(text: str) -> datetime:
    """A UTC time, `2026-03-28T22`."""
    return datetime.fromisoformat(f"{text}:00").replace(tzinfo=UTC)


def stamp(when: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(when)
    return message


async def test_sums_come_from_the_hours(control: RunningControl) -> None:
    """All time and the last day, of the customer or a key; a key without budget shows its sum as spend."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    key = (await make_key(cli, "acme")).key
    now = datetime.now(UTC)
    # An hour may begin while this runs, so that each is one hour older.
    for hours, cost in ((0, 1), (1, 10), (23, 100), (25, 1000)):
        hour = now - timedelta(hours=hours)
        await sum_up(control, acme, Scope.SCOPE_CUSTOMER, acme, hour, 2 * cost)
        await sum_up(control, acme, Scope.SCOPE_KEY, key.key_id, hour, cost)
    whole = await cli.usage.GetUsageSummary(GetUsageSummaryRequest(customer_id="acme"))
    assert (whole.total_cost_nanousd, whole.day_cost_nanousd) == (2222, 222)
    assert (whole.total_requests, whole.day_requests) == (4, 3)
    assert (whole.input_tokens, whole.output_tokens) == (40, 80)
    of_key = await cli.usage.GetUsageSummary(GetUsageSummaryRequest(customer_id="acme", key_id=key.key_id))
    assert of_key.total_cost_nanousd == 1111
    assert (await cli.keys.GetKey(GetKeyRequest(key_id=key.key_id))).spend_nanousd == 1111
    nothing = (await control.customer("other")).customer_id
    assert (await cli.usage.GetUsageSummary(GetUsageSummaryRequest(customer_id=nothing))).total_requests == 0


async def spend(
    control: RunningControl, customer_id: str, dimension: Dimension, *sums: tuple[str, str, int]
) -> None:
    """Sums of a dimension: value, hour, cost; one request each."""
    for value, hour, cost in sums:
        await sum_up(control, customer_id, dimension, value, moment(hour), cost)


async def test_a_period_is_summed_to_the_whole_hour(control: RunningControl) -> None:
    """From the hour that the start lies in to the hour that the end lies in; without an end, all since."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    hours = [(acme, f"2026-03-0{day}T12", 10**day) for day in range(1, 5)]
    await spend(control, acme, Dimension.CUSTOMER, *hours)

    async def total(start: datetime | None = None, end: datetime | None = None) -> int:
        request = GetUsageSummaryRequest(customer_id="acme")
        if start is not None:
            request.start_time.CopyFrom(stamp(start))
        if end is not None:
            request.end_time.CopyFrom(stamp(end))
        return (await cli.usage.GetUsageSummary(request)).total_cost_nanousd

    noon = moment("2026-03-02T12")
    assert await total() == 11_110
    assert await total(noon) == await total(noon + HOUR / 2) == 11_100
    assert await total(end=noon) == 10
    assert await total(end=noon + HOUR / 2) == 110
    assert await total(noon, noon) == 0
    assert await total(noon, noon + HOUR) == 100
    assert await total(noon, datetime.max.replace(tzinfo=UTC)) == 11_100


async def test_sums_by_group_name_the_dearest(control: RunningControl) -> None:
    """The dearest first with their names, the rest together; a request counts once in the total."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    key_ids = [(await make_key(cli, "acme", name=f"key {n}")).key.key_id for n in range(4)]
    costs = (30, 1000, 5, 200)
    hour = "2026-03-01T00"
    await spend(control, acme, Dimension.KEY, *((k, hour, c) for k, c in zip(key_ids, costs, strict=True)))
    await spend(control, acme, Dimension.CUSTOMER, (acme, hour, sum(costs)))
    request = GetUsageSummaryRequest(customer_id="acme", group_by=USAGE_DIMENSION_KEY, group_limit=2)
    summary = await cli.usage.GetUsageSummary(request)
    assert [(group.label, group.totals.cost_nanousd) for group in summary.groups] == [
        ("key 1", 1000),
        ("key 3", 200),
        ("", 35),
    ]
    assert (summary.groups[2].value, summary.groups[2].totals.request_count) == (OTHER, 2)
    assert summary.total_cost_nanousd == 1235


@pytest.mark.parametrize(
    ("interval", "zone", "expected"),
    [
        (
            USAGE_INTERVAL_HOUR,
            "UTC",
            [("2026-03-28T22", 1), ("2026-03-28T23", 10), ("2026-03-29T21", 100), ("2026-03-31T22", 1000)],
        ),
        (USAGE_INTERVAL_DAY, "UTC", [("2026-03-28T00", 11), ("2026-03-29T00", 100), ("2026-03-31T00", 1000)]),
        # Midnight is at 23:00 before and at 22:00 after the change to summer time.
        (
            USAGE_INTERVAL_DAY,
            "Europe/Berlin",
            [("2026-03-27T23", 1), ("2026-03-28T23", 110), ("2026-03-31T22", 1000)],
        ),
        (USAGE_INTERVAL_MONTH, "UTC", [("2026-03-01T00", 1111)]),
        (USAGE_INTERVAL_MONTH, "Europe/Berlin", [("2026-02-28T23", 111), ("2026-03-31T22", 1000)]),
    ],
)
async def test_a_series_follows_the_calendar_of_a_time_zone(
    control: RunningControl, interval: int, zone: str, expected: list[tuple[str, int]]
) -> None:
    """Hours, days and months; a day of 23 hours too."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    hours = ("2026-03-28T22", "2026-03-28T23", "2026-03-29T21", "2026-03-31T22")
    await spend(control, acme, Dimension.CUSTOMER, *((acme, hour, 10**n) for n, hour in enumerate(hours)))
    request = QueryUsageRequest(
        customer_id="acme",
        interval=interval,  # type: ignore[arg-type]
        time_zone=zone,
        start_time=stamp(moment("2026-03-01T00")),
        end_time=stamp(moment("2026-04-02T00")),
    )
    answer = await cli.usage.QueryUsage(request)
    (series,) = answer.series
    found = [(point.start_time.ToDatetime(tzinfo=UTC), point.totals.cost_nanousd) for point in series.points]
    assert found == [(moment(hour), cost) for hour, cost in expected]
    assert (answer.time_zone, series.totals.cost_nanousd) == (zone, 1111)


async def test_a_series_by_group(control: RunningControl) -> None:
    """The dearest values have a series each, the others share one."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    await spend(
        control,
        acme,
        Dimension.MODEL,
        ("large", "2026-03-01T10", 100),
        ("large", "2026-03-02T10", 50),
        ("small", "2026-03-01T11", 7),
        ("tiny", "2026-03-01T12", 2),
    )
    request = QueryUsageRequest(
        customer_id="acme",
        group_by=USAGE_DIMENSION_MODEL,
        group_limit=1,
        start_time=stamp(moment("2026-03-01T00")),
        end_time=stamp(moment("2026-03-03T00")),
    )
    answer = await cli.usage.QueryUsage(request)
    found = {each.value: [point.totals.cost_nanousd for point in each.points] for each in answer.series}
    assert found == {"large": [100, 50], OTHER: [9]}
    assert [each.totals.request_count for each in answer.series] == [2, 2]
    request.ClearField("start_time")
    request.ClearField("end_time")
    assert not (await cli.usage.QueryUsage(request)).series


async def test_members_see_sums_of_their_own(control: RunningControl) -> None:
    """B4: own user, teams and keys; other groupings are for managers, others' things are not there."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    member, other = await control.person(acme, Role.MEMBER), await control.person(acme, Role.MEMBER)
    team = (await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="t")))).team_id
    own = (await make_key(cli, "acme", user_id=member.user_id)).key.key_id
    foreign = (await make_key(cli, "acme", user_id=other.user_id)).key.key_id
    hour = "2026-03-01T00"
    await spend(control, acme, Dimension.KEY, (own, hour, 1), (foreign, hour, 2))
    await spend(control, acme, Dimension.USER, (member.user_id, hour, 1), (other.user_id, hour, 2))
    await spend(control, acme, Dimension.TEAM, (team, hour, 4))
    usage = member.client.usage

    async def groups(dimension: int) -> Sequence[str]:
        request = GetUsageSummaryRequest(group_by=dimension)  # type: ignore[arg-type]
        return [group.value for group in (await usage.GetUsageSummary(request)).groups]

    assert await groups(USAGE_DIMENSION_KEY) == [own]
    assert await groups(USAGE_DIMENSION_USER) == [member.user_id]
    assert await groups(USAGE_DIMENSION_TEAM) == []
    assert (await usage.GetUsageSummary(GetUsageSummaryRequest())).total_cost_nanousd == 1
    for dimension in (4, 5, 6, 7, 8):
        with refused(Reason.PERMISSION_DENIED):
            await groups(dimension)
    for wanted in ({"user_id": other.user_id}, {"team_id": team}, {"key_id": foreign}):
        with refused(Reason.NOT_FOUND):
            await usage.GetUsageSummary(GetUsageSummaryRequest(**wanted))
        with refused(Reason.NOT_FOUND):
            await usage.QueryUsage(QueryUsageRequest(**wanted))


ID = str(uuid7())


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"key_id": "", "user_id": "ann"}, "user_id"),
        ({"team_id": "t"}, "team_id"),
        ({"user_id": ID, "team_id": ID}, "key_id"),
        ({"user_id": ID, "group_by": USAGE_DIMENSION_KEY}, "group_by"),
        ({"group_by": 99}, "group_by"),
        ({"group_limit": -1}, "group_limit"),
        ({"start_time": Timestamp(seconds=10**15)}, "start_time"),
        ({"start_time": Timestamp(seconds=20), "end_time": Timestamp(seconds=10)}, "end_time"),
    ],
)
async def test_bad_questions_name_the_field(
    control: RunningControl, wanted: dict[str, Any], field: str
) -> None:
    """Summaries and series alike."""
    cli = await control.cli()
    await control.customer("acme")
    for call, request in (
        (cli.usage.GetUsageSummary, GetUsageSummaryRequest(customer_id="acme", **wanted)),
        (cli.usage.QueryUsage, QueryUsageRequest(customer_id="acme", **wanted)),
    ):
        with refused(Reason.INVALID_ARGUMENT) as refusal:
            await call(request)  # type: ignore[operator]
        assert refusal.metadata["field"].startswith(field)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"interval": 9}, "interval"),
        ({"time_zone": "Mars/Olympus"}, ""),
        ({"interval": USAGE_INTERVAL_HOUR, "start_time": Timestamp(seconds=0)}, "start_time"),
    ],
)
async def test_bad_series_name_the_field(control: RunningControl, wanted: dict[str, Any], field: str) -> None:
    """Interval, zone, and more points than anybody can look at."""
    cli = await control.cli()
    await control.customer("acme")
    with refused(Reason.INVALID_ARGUMENT) as refusal:
        await cli.usage.QueryUsage(QueryUsageRequest(customer_id="acme", **wanted))
    assert refusal.metadata.get("field", "") == field
