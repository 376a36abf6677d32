"""Errors on the wire: google.rpc.Status with an ErrorInfo (docs/errors.md); what isn't ours becomes
INTERNAL."""

from collections.abc import AsyncIterator, Mapping
from typing import NoReturn

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from control.interceptors.concern import Context, Stream, Unary
from tollkeeper.errors import ERROR_DOMAIN, Reason, TollkeeperError
from tollkeeper.ids import uuid7

log = structlog.get_logger()

_STATUS = grpc.StatusCode
# Which gRPC status a reason travels under. Callers decide by the reason; the status is for generic tools.
CODES: Mapping[int, grpc.StatusCode] = {
    Reason.INVALID_ARGUMENT: _STATUS.INVALID_ARGUMENT,
    Reason.NOT_FOUND: _STATUS.NOT_FOUND,
    Reason.ALREADY_EXISTS: _STATUS.ALREADY_EXISTS,
    Reason.IN_USE: _STATUS.FAILED_PRECONDITION,
    Reason.ETAG_MISMATCH: _STATUS.ABORTED,
    Reason.REQUEST_ID_REUSED: _STATUS.INVALID_ARGUMENT,
    Reason.UNAUTHENTICATED: _STATUS.UNAUTHENTICATED,
    Reason.INVALID_CREDENTIALS: _STATUS.UNAUTHENTICATED,
    Reason.PERMISSION_DENIED: _STATUS.PERMISSION_DENIED,
    Reason.LOGIN_THROTTLED: _STATUS.RESOURCE_EXHAUSTED,
    Reason.INVALID_API_KEY: _STATUS.UNAUTHENTICATED,
    Reason.CUSTOMER_SUSPENDED: _STATUS.PERMISSION_DENIED,
    Reason.MODEL_NOT_ALLOWED: _STATUS.PERMISSION_DENIED,
    Reason.MODEL_NOT_PRICED: _STATUS.FAILED_PRECONDITION,
    Reason.ROUTER_WITHOUT_RULES: _STATUS.FAILED_PRECONDITION,
    Reason.GLOBAL_PRICE_EXISTS: _STATUS.FAILED_PRECONDITION,
    Reason.ADDRESS_NOT_ALLOWED: _STATUS.PERMISSION_DENIED,
    Reason.COST_LIMIT_EXCEEDED: _STATUS.FAILED_PRECONDITION,
    Reason.INSUFFICIENT_QUOTA: _STATUS.RESOURCE_EXHAUSTED,
    Reason.BUDGET_HELD: _STATUS.RESOURCE_EXHAUSTED,
    Reason.GRANT_STALE: _STATUS.ABORTED,
    Reason.LEASE_CLOSED: _STATUS.FAILED_PRECONDITION,
    Reason.INCARNATION_CLOSED: _STATUS.FAILED_PRECONDITION,
    Reason.RATE_LIMIT_EXCEEDED: _STATUS.RESOURCE_EXHAUSTED,
    Reason.REQUEST_EXCEEDS_RATE_LIMIT: _STATUS.RESOURCE_EXHAUSTED,
    Reason.ALL_PROVIDERS_FAILED: _STATUS.UNAVAILABLE,
    Reason.ENDPOINT_NOT_SUPPORTED: _STATUS.UNIMPLEMENTED,
    Reason.REQUEST_TOO_LARGE: _STATUS.OUT_OF_RANGE,
    Reason.UPSTREAM_TIMEOUT: _STATUS.DEADLINE_EXCEEDED,
    Reason.UPSTREAM_DISCONNECTED: _STATUS.UNAVAILABLE,
    Reason.JOURNAL_UNAVAILABLE: _STATUS.UNAVAILABLE,
    Reason.CIRCUIT_OPEN: _STATUS.UNAVAILABLE,
    Reason.METHOD_NOT_ALLOWED: _STATUS.UNIMPLEMENTED,
    Reason.UNAVAILABLE: _STATUS.UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: _STATUS.DEADLINE_EXCEEDED,
    Reason.INTERNAL: _STATUS.INTERNAL,
    Reason.CLOUDFLARE_NOT_CONFIGURED: _STATUS.FAILED_PRECONDITION,
    Reason.CLOUDFLARE_REFUSED: _STATUS.FAILED_PRECONDITION,
    Reason.CLOUDFLARE_UNAVAILABLE: _STATUS.UNAVAILABLE,
}
# An error travels in headers, its message twice, and gRPC drops calls whose headers exceed 8 KiB.
_MAX_MESSAGE_BYTES = 600
_MAX_VALUE_BYTES = 512
_MAX_METADATA_BYTES = 3000


class Errors:
    """Turns what a handler raises into the status its caller gets."""

    def unary(self, method: str, inner: Unary) -> Unary:
        """Handlers either answer, or end the call with a status."""

        async def handle(request: Message, context: Context) -> Message:
            try:
                return await inner(request, context)
            except Exception as error:
                await _abort(method, error, context)

        return handle

    def stream(self, method: str, inner: Stream) -> Stream:
        """The same for streams, at any point of them."""

        async def handle(request: Message, context: Context) -> AsyncIterator[Message]:
            try:
                async for message in inner(request, context):
                    yield message
            except Exception as error:
                await _abort(method, error, context)

        return handle


async def _abort(method: str, error: Exception, context: Context) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, TollkeeperError):
        error = _internal(method, error)
    await context.abort_with_status(rpc_status.to_status(to_status(error)))


def _internal(method: str, error: Exception) -> TollkeeperError:
    request_id = str(uuid7())
    log.error("call_failed", method=method, request_id=request_id, exc_info=error)
    return TollkeeperError(
        Reason.INTERNAL,
        f"Something went wrong here; the log has it under {request_id}.",
        {"request_id": request_id},
    )


def to_status(error: TollkeeperError) -> status_pb2.Status:
    """The status of an error, with ErrorInfo and, where trying again helps, RetryInfo."""
    message = _cut(error.message, _MAX_MESSAGE_BYTES)
    info = error_details_pb2.ErrorInfo(
        reason=error.reason_name, domain=ERROR_DOMAIN, metadata=_bounded(error.metadata)
    )
    details = [_packed(info)]
    if error.retry_after_s is not None:
        delay = Duration(nanos=0)
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    code, _ = CODES[error.reason].value
    return status_pb2.Status(code=code, message=message, details=details)


def _bounded(metadata: Mapping[str, str]) -> dict[str, str]:
    """As much of the metadata as fits, each value cut to its length."""
    kept: dict[str, str] = {}
    left = _MAX_METADATA_BYTES
    for key, value in metadata.items():
        cut = _cut(value, _MAX_VALUE_BYTES)
        left -= len(key) + len(cut.encode())
        if left < 0:
            break
        kept[key] = cut
    return kept


def _cut(text: str, limit_bytes: int) -> str:
    encoded = text.encode()
    if len(encoded) <= limit_bytes:
        return text
    return encoded[: limit_bytes - 3].decode(errors="ignore") + "…"


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
