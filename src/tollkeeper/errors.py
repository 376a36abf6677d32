"""The one error type of the product: a reason from the contract, a message fit for the caller, and plain
metadata.

Domain and store raise it; control's interceptor turns it into google.rpc.Status with ErrorInfo,
`clients.control` turns that back into the same class, and the edge's table turns it into an HTTP answer.
"""

from collections.abc import Mapping

from tollkeeper.v1 import error_reason_pb2

ERROR_DOMAIN = "tollkeeper.v1"

Reason = error_reason_pb2.ErrorReason


class TollkeeperError(Exception):
    """A refusal or failure that callers can tell apart by `reason`.

    `metadata` holds every variable of the message as text; `retry_after_s` is set where another try can
    help.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s

    @property
    def reason_name(self) -> str:
        """The enum name, as in ErrorInfo and REST bodies."""
        return error_reason_pb2.ErrorReason.Name(self.reason)

    def __repr__(self) -> str:
        return f"TollkeeperError({self.reason_name}, {self.message!r})"


def invalid(message: str, **metadata: str) -> TollkeeperError:
    """The caller sent something that can't be used."""
    return TollkeeperError(Reason.INVALID_ARGUMENT, message, metadata)


def not_found(kind: str, resource_id: str) -> TollkeeperError:
    """Same answer for what doesn't exist and for what belongs to somebody else."""
    return TollkeeperError(
        Reason.NOT_FOUND, f"No {kind} {resource_id!r}.", {"resource": kind, "resource_id": resource_id}
    )


def already_exists(kind: str, field: str, value: str) -> TollkeeperError:
    """A unique value is taken."""
    return TollkeeperError(
        Reason.ALREADY_EXISTS,
        f"A {kind} with {field} {value!r} exists.",
        {"resource": kind, "field": field, "value": value},
    )
