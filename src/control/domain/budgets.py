"""Periods of budgets: which window an instant is in (L2), by the calendar of the customer's time zone."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tollkeeper.errors import invalid
from tollkeeper.money import MAX_NANOUSD
from tollkeeper.v1 import budgets_pb2

Period = budgets_pb2.Period
Scope = budgets_pb2.Scope

MAX_BUDGETS_PER_SCOPE = 8
MAX_TOP_UPS = 1000
MAX_THRESHOLDS = 10
MAX_THRESHOLD_PERCENT = 1000

# The end of a window that never ends. Stands for PostgreSQL's `infinity`, which Python's datetime can't hold.
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises INVALID_ARGUMENT for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid(f"{name!r} is not an IANA time zone.", time_zone=name) from None


def window_at(
    period: int,
    time_zone: str,
    now: datetime,
    create_time: datetime,
    previous_end: datetime | None = None,
) -> tuple[datetime, datetime]:
    """Start and end (exclusive), both UTC, of the window `now` falls into.

    A period of none is one window from `create_time` to FOREVER. After a change of period or time zone the
    calendar's start can lie inside the window before: `previous_end`, the latest end of the budget's windows,
    then is the start, so that windows never overlap.
    """
    if period == Period.PERIOD_NONE:
        start, end = create_time.astimezone(UTC), FOREVER
    else:
        start, end = _calendar_window(period, zone(time_zone), now)
    if previous_end is not None and previous_end > start:
        start = previous_end.astimezone(UTC)
    return start, end


def _calendar_window(period: int, local: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    today = now.astimezone(local).date()
    if period == Period.PERIOD_DAILY:
        first, after = today, today + timedelta(days=1)
    elif period == Period.PERIOD_WEEKLY:
        first = today - timedelta(days=today.weekday())
        after = first + timedelta(days=7)
    elif period == Period.PERIOD_MONTHLY:
        first = today.replace(day=1)
        after = (first + timedelta(days=31)).replace(day=1)
    else:
        raise invalid(f"{period} is not a period.", period=str(period))
    return _midnight(first, local), _midnight(after, local)


def _midnight(day: date, local: ZoneInfo) -> datetime:
    """The first instant of a local day.

    Where clocks jump over midnight (or back to it), fold 0 is the jump itself (or the first of the two
    midnights), so days always meet without a gap.
    """
    return datetime.combine(day, time(), tzinfo=local).astimezone(UTC)


def check_limit(limit_nanousd: int) -> int:
    """A budget's limit. Raises INVALID_ARGUMENT when it isn't from one nano-dollar to a billion dollars."""
    if not 1 <= limit_nanousd <= MAX_NANOUSD:
        raise invalid(f"limit_nanousd must be from 1 to {MAX_NANOUSD}.", field="limit_nanousd")
    return limit_nanousd


def check_top_up(amount_nanousd: int, topped_up_nanousd: int) -> int:
    """The amount of a top-up, given what the window has been topped up by so far.

    Raises INVALID_ARGUMENT for nothing, for taking back more than was given, and past a billion dollars.
    """
    if amount_nanousd == 0:
        raise invalid("amount_nanousd must not be 0.", field="amount_nanousd")
    if topped_up_nanousd + amount_nanousd < 0:
        raise invalid(
            "A top-up takes back no more than what this window was topped up by.",
            field="amount_nanousd",
            top_up_nanousd=str(topped_up_nanousd),
        )
    if topped_up_nanousd + amount_nanousd > MAX_NANOUSD:
        raise invalid(f"A window is topped up by {MAX_NANOUSD} at most.", field="amount_nanousd")
    return amount_nanousd


def check_period(period: int) -> int:
    """A budget's period; left out, it never resets. Raises INVALID_ARGUMENT for an unknown one."""
    if period == Period.PERIOD_UNSPECIFIED:
        return int(Period.PERIOD_NONE)
    if period not in Period.values():
        raise invalid(f"{period} is not a period.", field="period")
    return period


def check_thresholds(percentages: Iterable[int]) -> list[int]:
    """Percentages of the limit to alert at, by rising value. Raises INVALID_ARGUMENT."""
    thresholds = sorted(set(percentages))
    if len(thresholds) > MAX_THRESHOLDS:
        raise invalid(f"At most {MAX_THRESHOLDS} thresholds.", field="thresholds")
    if any(not 1 <= percent <= MAX_THRESHOLD_PERCENT for percent in thresholds):
        raise invalid(f"A threshold is from 1 to {MAX_THRESHOLD_PERCENT} per cent.", field="thresholds")
    return thresholds
