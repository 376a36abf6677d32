import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GatewayState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GATEWAY_STATE_UNSPECIFIED: _ClassVar[GatewayState]
    GATEWAY_STATE_SHARED: _ClassVar[GatewayState]
    GATEWAY_STATE_PENDING: _ClassVar[GatewayState]
    GATEWAY_STATE_READY: _ClassVar[GatewayState]
    GATEWAY_STATE_FAILED: _ClassVar[GatewayState]
    GATEWAY_STATE_DELETING: _ClassVar[GatewayState]
GATEWAY_STATE_UNSPECIFIED: GatewayState
GATEWAY_STATE_SHARED: GatewayState
GATEWAY_STATE_PENDING: GatewayState
GATEWAY_STATE_READY: GatewayState
GATEWAY_STATE_FAILED: GatewayState
GATEWAY_STATE_DELETING: GatewayState

class Gateway(_message.Message):
    __slots__ = ("customer_id", "customer_slug", "gateway_id", "state", "error", "tries", "next_try_time")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_SLUG_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_TIME_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    customer_slug: str
    gateway_id: str
    state: GatewayState
    error: str
    tries: int
    next_try_time: _timestamp_pb2.Timestamp
    def __init__(self, customer_id: _Optional[str] = ..., customer_slug: _Optional[str] = ..., gateway_id: _Optional[str] = ..., state: _Optional[_Union[GatewayState, str]] = ..., error: _Optional[str] = ..., tries: _Optional[int] = ..., next_try_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProvisionGatewayRequest(_message.Message):
    __slots__ = ("customer_id",)
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    def __init__(self, customer_id: _Optional[str] = ...) -> None: ...

class GetGatewayRequest(_message.Message):
    __slots__ = ("customer_id",)
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    def __init__(self, customer_id: _Optional[str] = ...) -> None: ...

class ListGatewaysRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    state: GatewayState
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., state: _Optional[_Union[GatewayState, str]] = ...) -> None: ...

class ListGatewaysResponse(_message.Message):
    __slots__ = ("gateways", "next_page_token")
    GATEWAYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    gateways: _containers.RepeatedCompositeFieldContainer[Gateway]
    next_page_token: str
    def __init__(self, gateways: _Optional[_Iterable[_Union[Gateway, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReleaseGatewayRequest(_message.Message):
    __slots__ = ("customer_id",)
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    def __init__(self, customer_id: _Optional[str] = ...) -> None: ...

class GetGatewayReconciliationRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GatewayReconciliation(_message.Message):
    __slots__ = ("account_gateway_count", "orphan_gateway_ids", "missing")
    ACCOUNT_GATEWAY_COUNT_FIELD_NUMBER: _ClassVar[int]
    ORPHAN_GATEWAY_IDS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    account_gateway_count: int
    orphan_gateway_ids: _containers.RepeatedScalarFieldContainer[str]
    missing: _containers.RepeatedCompositeFieldContainer[Gateway]
    def __init__(self, account_gateway_count: _Optional[int] = ..., orphan_gateway_ids: _Optional[_Iterable[str]] = ..., missing: _Optional[_Iterable[_Union[Gateway, _Mapping]]] = ...) -> None: ...
