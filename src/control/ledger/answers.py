"""What the edge is told: responses and refusals of AcquireLease."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from control.domain.budgets import FOREVER
from control.domain.ledger import Granted, Held, Lease, Spent, Window
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.money import format_usd
from tollkeeper.v1 import budgets_pb2, edge_pb2


def answer(
    lease: Lease, granted: Granted, now: datetime, draw_for: timedelta, begins: datetime | None
) -> edge_pb2.AcquireLeaseResponse:
    """The stored answer of a top-up. A draw deadline never passes the end of a pinned window (L7)."""
    response = edge_pb2.AcquireLeaseResponse(
        granted_nanousd=granted.amount_nanousd,
        covered_holds=granted.covered_holds,
        exact=granted.exact and not lease.unlimited,
        unlimited=lease.unlimited,
        windows=[window_ref(window) for window in lease.windows],
    )
    not_before = max(timedelta(), begins - now) if begins is not None else timedelta()
    ends = min((window.end_time for window in lease.windows), default=FOREVER)
    response.draw_for.FromTimedelta(min(not_before + draw_for, ends - now))
    if not_before:
        response.not_before.FromTimedelta(not_before)
    return response


def scope_name(window: Window) -> str:
    """key, user, team or customer."""
    name = budgets_pb2.Scope.Name(window.scope)
    return name.removeprefix("SCOPE_").lower()


def window_ref(window: Window) -> edge_pb2.WindowRef:
    """A window as the contract shows it."""
    ref = edge_pb2.WindowRef(
        budget_id=window.budget_id,
        scope=scope_name(window),
        hard=window.hard,
        limit_nanousd=window.limit_nanousd,
        spent_nanousd=window.spent_nanousd,
        held_nanousd=window.held_nanousd,
    )
    ref.start_time.FromDatetime(window.start_time)
    ref.end_time.FromDatetime(window.end_time)
    return ref


def seen_windows(windows: Iterable[Window]) -> list[dict[str, object]]:
    """What a grant saw under the lock, for `ledger verify` (I1)."""
    return [
        {
            "budget_id": window.budget_id,
            "start_time": window.start_time.isoformat(),
            "hard": window.hard,
            "limit": window.limit_nanousd,
            "top_up": window.top_up_nanousd,
            "spent": window.spent_nanousd,
            "held": window.held_nanousd,
        }
        for window in windows
    ]


def insufficient_quota(spent: Spent, hold_nanousd: int) -> TollkeeperError:
    """Final: spent plus this hold is more than the limit (L11, L12)."""
    window = spent.window
    return TollkeeperError(
        Reason.INSUFFICIENT_QUOTA,
        f"The {scope_name(window)}'s budget is used up: ${format_usd(window.spent_nanousd)} of "
        f"${format_usd(window.limit_nanousd)} spent, and this request may cost up to "
        f"${format_usd(hold_nanousd)}.",
        _metadata(window, spent.fits_nanousd),
    )


def budget_held(held: Held) -> TollkeeperError:
    """Only holds of requests under way are in the way (L11)."""
    window = held.windows[0]
    return TollkeeperError(
        Reason.BUDGET_HELD,
        f"What is left of the {scope_name(window)}'s budget is held by requests under way.",
        _metadata(window, held.fits_nanousd),
        retry_after_s=1,
    )


def _metadata(window: Window, fits_nanousd: int) -> dict[str, str]:
    metadata = {
        "scope": scope_name(window),
        "scope_id": window.scope_id,
        "budget_id": window.budget_id,
        "limit_nanousd": str(window.limit_nanousd),
        "spent_nanousd": str(window.spent_nanousd),
        "held_nanousd": str(window.held_nanousd),
        "fits_nanousd": str(fits_nanousd),
    }
    if window.end_time < FOREVER:
        metadata["reset_time"] = window.end_time.isoformat()
    return metadata
