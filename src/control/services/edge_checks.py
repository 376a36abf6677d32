"""What EdgeService refuses before it looks at anything. All raise INVALID_ARGUMENT."""

from collections.abc import Sequence

from tollkeeper.errors import invalid
from tollkeeper.ids import is_uuid
from tollkeeper.v1 import edge_pb2

MAX_REPORTS = 10_000
MAX_HOLDS = 10_000
MAX_EDGE_NAME_CHARS = 300


def check_acquire(request: edge_pb2.AcquireLeaseRequest) -> None:
    """Ids, holds and reports of an AcquireLease request."""
    for name in ("incarnation_id", "customer_id", "key_id", "lease_id"):
        check_uuid(name, getattr(request, name))
    if request.top_up < 1:
        raise invalid("top_up starts at 1.")
    if len(request.holds_nanousd) > MAX_HOLDS or any(hold < 0 for hold in request.holds_nanousd):
        raise invalid("holds_nanousd is out of range.")
    if request.wanted_nanousd < 0:
        raise invalid("wanted_nanousd is out of range.")
    check_reports(request.reports)


def check_reports(reports: Sequence[edge_pb2.LeaseReport]) -> None:
    """Reports of leases."""
    if len(reports) > MAX_REPORTS:
        raise invalid(f"At most {MAX_REPORTS} reports a call.")
    for report in reports:
        check_uuid("lease_id", report.lease_id)
        if min(report.returned_nanousd, report.undrawn_nanousd, report.in_flight_nanousd) < 0:
            raise invalid("An amount of a report is negative.")


def check_watch(request: edge_pb2.WatchRequest) -> None:
    """A WatchRequest."""
    check_uuid("incarnation_id", request.incarnation_id)
    if len(request.edge_name) > MAX_EDGE_NAME_CHARS:
        raise invalid(f"edge_name is longer than {MAX_EDGE_NAME_CHARS} characters.", field="edge_name")
    for lease_id in request.lease_ids:
        check_uuid("lease_ids", lease_id)
    for customer in request.customers:
        check_uuid("customer_id", customer.customer_id)


def check_uuid(name: str, value: str) -> None:
    """The value of a field that is an id."""
    if not is_uuid(value):
        raise invalid(f"{name} is not a UUID.")
