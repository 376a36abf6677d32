"""The months that the request log is partitioned by: UTC, from the time in a usage id."""

from datetime import UTC, datetime, timedelta

from tollkeeper.ids import first_at

# This month and the next always have a partition.
MONTHS_AHEAD = 2


def month_of(moment: datetime) -> datetime:
    """The first moment of its month."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(month: datetime) -> datetime:
    """The first moment of the next month."""
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)


def months_needed(now: datetime) -> list[datetime]:
    """Months that requests may come for."""
    months = [month_of(now)]
    while len(months) < MONTHS_AHEAD:
        months.append(month_after(months[-1]))
    return months


def is_over(month: datetime, now: datetime, retention: timedelta) -> bool:
    """Whether all of a month has been kept as long as it should be."""
    return month_after(month) <= now - retention


def suffix(month: datetime) -> str:
    """How the month's partitions are named, `202611`."""
    return f"{month:%Y%m}"


def month_named(suffix_: str) -> datetime | None:
    """The month of a partition's name; None for one that isn't ours."""
    try:
        return datetime.strptime(suffix_, "%Y%m").replace(tzinfo=UTC)
    except ValueError:
        return None


def bounds(month: datetime) -> tuple[str, str]:
    """The least usage id of a month, and that of the next."""
    return str(first_at(month)), str(first_at(month_after(month)))
