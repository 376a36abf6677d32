from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    INVALID_ARGUMENT: _ClassVar[ErrorReason]
    NOT_FOUND: _ClassVar[ErrorReason]
    ALREADY_EXISTS: _ClassVar[ErrorReason]
    IN_USE: _ClassVar[ErrorReason]
    ETAG_MISMATCH: _ClassVar[ErrorReason]
    REQUEST_ID_REUSED: _ClassVar[ErrorReason]
    UNAUTHENTICATED: _ClassVar[ErrorReason]
    INVALID_CREDENTIALS: _ClassVar[ErrorReason]
    PERMISSION_DENIED: _ClassVar[ErrorReason]
    LOGIN_THROTTLED: _ClassVar[ErrorReason]
    INVALID_API_KEY: _ClassVar[ErrorReason]
    CUSTOMER_SUSPENDED: _ClassVar[ErrorReason]
    MODEL_NOT_ALLOWED: _ClassVar[ErrorReason]
    MODEL_NOT_PRICED: _ClassVar[ErrorReason]
    ROUTER_WITHOUT_RULES: _ClassVar[ErrorReason]
    GLOBAL_PRICE_EXISTS: _ClassVar[ErrorReason]
    INSUFFICIENT_QUOTA: _ClassVar[ErrorReason]
    BUDGET_HELD: _ClassVar[ErrorReason]
    GRANT_STALE: _ClassVar[ErrorReason]
    LEASE_CLOSED: _ClassVar[ErrorReason]
    INCARNATION_CLOSED: _ClassVar[ErrorReason]
    RATE_LIMIT_EXCEEDED: _ClassVar[ErrorReason]
    ALL_PROVIDERS_FAILED: _ClassVar[ErrorReason]
    ENDPOINT_NOT_SUPPORTED: _ClassVar[ErrorReason]
    REQUEST_TOO_LARGE: _ClassVar[ErrorReason]
    UPSTREAM_TIMEOUT: _ClassVar[ErrorReason]
    UPSTREAM_DISCONNECTED: _ClassVar[ErrorReason]
    JOURNAL_UNAVAILABLE: _ClassVar[ErrorReason]
    METHOD_NOT_ALLOWED: _ClassVar[ErrorReason]
    UNAVAILABLE: _ClassVar[ErrorReason]
    DEADLINE_EXCEEDED: _ClassVar[ErrorReason]
    INTERNAL: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
INVALID_ARGUMENT: ErrorReason
NOT_FOUND: ErrorReason
ALREADY_EXISTS: ErrorReason
IN_USE: ErrorReason
ETAG_MISMATCH: ErrorReason
REQUEST_ID_REUSED: ErrorReason
UNAUTHENTICATED: ErrorReason
INVALID_CREDENTIALS: ErrorReason
PERMISSION_DENIED: ErrorReason
LOGIN_THROTTLED: ErrorReason
INVALID_API_KEY: ErrorReason
CUSTOMER_SUSPENDED: ErrorReason
MODEL_NOT_ALLOWED: ErrorReason
MODEL_NOT_PRICED: ErrorReason
ROUTER_WITHOUT_RULES: ErrorReason
GLOBAL_PRICE_EXISTS: ErrorReason
INSUFFICIENT_QUOTA: ErrorReason
BUDGET_HELD: ErrorReason
GRANT_STALE: ErrorReason
LEASE_CLOSED: ErrorReason
INCARNATION_CLOSED: ErrorReason
RATE_LIMIT_EXCEEDED: ErrorReason
ALL_PROVIDERS_FAILED: ErrorReason
ENDPOINT_NOT_SUPPORTED: ErrorReason
REQUEST_TOO_LARGE: ErrorReason
UPSTREAM_TIMEOUT: ErrorReason
UPSTREAM_DISCONNECTED: ErrorReason
JOURNAL_UNAVAILABLE: ErrorReason
METHOD_NOT_ALLOWED: ErrorReason
UNAVAILABLE: ErrorReason
DEADLINE_EXCEEDED: ErrorReason
INTERNAL: ErrorReason
