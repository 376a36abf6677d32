"""What a failed call says, as the one error type of the product."""

import re
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from tollkeeper.errors import ERROR_DOMAIN, Reason, TollkeeperError

_STATUS_DETAILS_KEY = "grpc-status-details-bin"
_REASONS: dict[str, Any] = dict(Reason.items())
_CODE_REASONS: dict[grpc.StatusCode, Any] = {
    grpc.StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: Reason.UNAVAILABLE,
    # gRPC's own: too many calls at once (for too large a message see below).
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAUTHENTICATED: Reason.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT: Reason.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED: Reason.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND: Reason.NOT_FOUND,
}
# gRPC has no other way to tell that it won't take, or won't send, a message.
_TOO_LARGE = re.compile(r"message larger than max|metadata size exceeds")
# What a failed handshake says, and what to do about it. The first that fits.
_HANDSHAKES = (
    (
        re.compile(r"certificate has expired|CERTIFICATE_EXPIRED", re.IGNORECASE),
        "a certificate has expired; renew it.",
    ),
    (
        re.compile(
            r"Hostname Verification Check failed|not valid for|Peer name .* is not in peer certificate"
        ),
        "its certificate is for another name; call it by a name in the certificate.",
    ),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate signature failure"),
        "its certificate isn't of the authority in TOLLKEEPER_CONTROL_CA_FILE.",
    ),
    (
        re.compile(r"CERTIFICATE_REQUIRED|UNKNOWN_CA|BAD_CERTIFICATE|HANDSHAKE_FAILURE", re.IGNORECASE),
        "it takes none but certificates of its client authority; set TOLLKEEPER_CONTROL_CERT_FILE and"
        " TOLLKEEPER_CONTROL_KEY_FILE.",
    ),
    (
        re.compile(r"WRONG_VERSION_NUMBER"),
        "it speaks plain text; leave TOLLKEEPER_CONTROL_CA_FILE out.",
    ),
)


def error_of(error: grpc.RpcError) -> TollkeeperError:
    """What the control plane said; where it said nothing (it can't be reached), the status of the call."""
    trailers: Any = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == _STATUS_DETAILS_KEY:
            told = _told(status_pb2.Status.FromString(value))
            if told is not None:
                return told
    code = error.code()
    reason = _CODE_REASONS.get(code, Reason.INTERNAL)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(error.details() or ""):
        return TollkeeperError(Reason.REQUEST_TOO_LARGE, "The message is larger than gRPC's limits allow.")
    if reason == Reason.UNAVAILABLE:
        for pattern, advice in _HANDSHAKES:
            if pattern.search(error.details() or ""):
                return TollkeeperError(reason, f"No TLS connection to the control plane: {advice}")
        # gRPC's text names addresses of the installation, which are no client's business.
        return TollkeeperError(reason, "The control plane can't be reached.", retry_after_s=1)
    return TollkeeperError(reason, error.details() or code.name)


def _told(status: status_pb2.Status) -> TollkeeperError | None:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    retry_after_s: float | None = None
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    if info.domain != ERROR_DOMAIN:
        return None
    reason = _REASONS.get(info.reason, Reason.INTERNAL)
    return TollkeeperError(reason, status.message, dict(info.metadata), retry_after_s)
