from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.domain.budgets import FOREVER, Period, window_at
from tollkeeper.errors import Reason, TollkeeperError

DAILY, WEEKLY, MONTHLY = Period.PERIOD_DAILY, Period.PERIOD_WEEKLY, Period.PERIOD_MONTHLY
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "time_zone", "now", "start", "end"),
    [
        (DAILY, "UTC", "2026-05-06T00:00", "2026-05-06T00:00", "2026-05-07T00:00"),
        (DAILY, "UTC", "2026-05-06T23:59:59.999999", "2026-05-06T00:00", "2026-05-07T00:00"),
        (DAILY, "Asia/Kolkata", "2026-05-06T18:29", "2026-05-05T18:30", "2026-05-06T18:30"),
        (DAILY, "Asia/Kolkata", "2026-05-06T18:30", "2026-05-06T18:30", "2026-05-07T18:30"),
        # Clocks forward: 23 hours. Back: 25.
        (DAILY, "Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        (DAILY, "Europe/Berlin", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        (DAILY, "America/New_York", "2026-11-01T05:59", "2026-11-01T04:00", "2026-11-02T05:00"),
        # Midnight doesn't exist: the day starts at the jump.
        (DAILY, "Africa/Cairo", "2026-04-24T12:00", "2026-04-23T22:00", "2026-04-24T21:00"),
        # Midnight comes twice: the day starts at the first.
        (DAILY, "America/Havana", "2026-11-01T12:00", "2026-11-01T04:00", "2026-11-02T05:00"),
        # A day that was left out of the calendar.
        (DAILY, "Pacific/Apia", "2011-12-30T09:00", "2011-12-29T10:00", "2011-12-30T10:00"),
        (WEEKLY, "UTC", "2026-11-22T12:00", "2026-11-16T00:00", "2026-11-23T00:00"),
        (WEEKLY, "UTC", "2026-11-23T00:00", "2026-11-23T00:00", "2026-11-30T00:00"),
        (WEEKLY, "Asia/Kolkata", "2026-11-22T18:30", "2026-11-22T18:30", "2026-11-29T18:30"),
        (WEEKLY, "Europe/Berlin", "2026-03-29T12:00", "2026-03-22T23:00", "2026-03-29T22:00"),
        (WEEKLY, "UTC", "2026-01-01T00:00", "2025-12-29T00:00", "2026-01-05T00:00"),
        (MONTHLY, "UTC", "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        (MONTHLY, "UTC", "2028-02-29T12:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        (MONTHLY, "Asia/Kolkata", "2026-01-31T18:30", "2026-01-31T18:30", "2026-02-28T18:30"),
        (MONTHLY, "Europe/Berlin", "2026-03-31T12:00", "2026-02-28T23:00", "2026-03-31T22:00"),
    ],
)
def test_window_follows_the_local_calendar(
    period: int, time_zone: str, now: str, start: str, end: str
) -> None:
    """A window is one local day, week from Monday, or month, whatever the clocks do."""
    assert window_at(period, time_zone, utc(now), CREATED) == (utc(start), utc(end))


def test_no_period_is_one_window_from_creation() -> None:
    """Without a period there is one window that never ends."""
    assert window_at(Period.PERIOD_NONE, "UTC", utc("2030-01-01"), CREATED) == (CREATED, FOREVER)


def test_windows_never_overlap_after_a_change() -> None:
    """When the window before reaches into the new calendar's, the new one starts at its end."""
    now, previous_end = utc("2026-05-07T01:00"), utc("2026-05-07T00:00")
    assert window_at(MONTHLY, "UTC", now, CREATED, previous_end) == (previous_end, utc("2026-06-01T00:00"))
    assert window_at(Period.PERIOD_NONE, "UTC", now, CREATED, previous_end) == (previous_end, FOREVER)


@pytest.mark.parametrize(("period", "time_zone"), [(99, "UTC"), (DAILY, "Mars/Base"), (DAILY, "../etc")])
def test_unknown_period_or_zone_is_refused(period: int, time_zone: str) -> None:
    """Neither an unknown period nor an unknown time zone is guessed at."""
    with pytest.raises(TollkeeperError) as refused:
        window_at(period, time_zone, CREATED, CREATED)
    assert refused.value.reason == Reason.INVALID_ARGUMENT


@given(
    period=st.sampled_from([DAILY, WEEKLY, MONTHLY]),
    time_zone=st.sampled_from(
        ["UTC", "Asia/Kolkata", "Europe/Berlin", "Africa/Cairo", "America/Havana", "Australia/Lord_Howe"]
    ),
    now=st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
)
def test_windows_tile_time(period: int, time_zone: str, now: datetime) -> None:
    """Every instant is in its window, and the next window starts where it ends."""
    start, end = window_at(period, time_zone, now, CREATED)
    assert start <= now < end
    assert window_at(period, time_zone, end, CREATED)[0] == end
    assert window_at(period, time_zone, end - timedelta(microseconds=1), CREATED) == (start, end)
