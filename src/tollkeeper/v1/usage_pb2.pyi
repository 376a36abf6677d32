import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollkeeper.v1 import edge_pb2 as _edge_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UsageEntry(_message.Message):
    __slots__ = ("usage_id", "customer_id", "key_id", "user_id", "team_id", "provider_name", "provider_type", "requested_model", "response_model", "state", "status", "usage", "cost_nanousd", "why", "stream", "failover", "cached", "latency_ms", "first_byte_ms", "finish", "begin_time", "post_time", "entries")
    USAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FAILOVER_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_BYTE_MS_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    BEGIN_TIME_FIELD_NUMBER: _ClassVar[int]
    POST_TIME_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    usage_id: str
    customer_id: str
    key_id: str
    user_id: str
    team_id: str
    provider_name: str
    provider_type: str
    requested_model: str
    response_model: str
    state: _edge_pb2.UsageState
    status: int
    usage: _edge_pb2.Usage
    cost_nanousd: int
    why: str
    stream: bool
    failover: bool
    cached: bool
    latency_ms: int
    first_byte_ms: int
    finish: str
    begin_time: _timestamp_pb2.Timestamp
    post_time: _timestamp_pb2.Timestamp
    entries: _containers.RepeatedCompositeFieldContainer[LedgerEntry]
    def __init__(self, usage_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., user_id: _Optional[str] = ..., team_id: _Optional[str] = ..., provider_name: _Optional[str] = ..., provider_type: _Optional[str] = ..., requested_model: _Optional[str] = ..., response_model: _Optional[str] = ..., state: _Optional[_Union[_edge_pb2.UsageState, str]] = ..., status: _Optional[int] = ..., usage: _Optional[_Union[_edge_pb2.Usage, _Mapping]] = ..., cost_nanousd: _Optional[int] = ..., why: _Optional[str] = ..., stream: _Optional[bool] = ..., failover: _Optional[bool] = ..., cached: _Optional[bool] = ..., latency_ms: _Optional[int] = ..., first_byte_ms: _Optional[int] = ..., finish: _Optional[str] = ..., begin_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., post_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[LedgerEntry, _Mapping]]] = ...) -> None: ...

class LedgerEntry(_message.Message):
    __slots__ = ("part", "label", "amount_nanousd", "post_time")
    PART_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    POST_TIME_FIELD_NUMBER: _ClassVar[int]
    part: int
    label: str
    amount_nanousd: int
    post_time: _timestamp_pb2.Timestamp
    def __init__(self, part: _Optional[int] = ..., label: _Optional[str] = ..., amount_nanousd: _Optional[int] = ..., post_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListUsageRequest(_message.Message):
    __slots__ = ("customer_id", "key_id", "page_size", "page_token")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    page_size: int
    page_token: str
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListUsageResponse(_message.Message):
    __slots__ = ("usage", "next_page_token")
    USAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    usage: _containers.RepeatedCompositeFieldContainer[UsageEntry]
    next_page_token: str
    def __init__(self, usage: _Optional[_Iterable[_Union[UsageEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("customer_id", "usage_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    usage_id: str
    def __init__(self, customer_id: _Optional[str] = ..., usage_id: _Optional[str] = ...) -> None: ...

class GetUsageSummaryRequest(_message.Message):
    __slots__ = ("customer_id", "key_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...

class UsageSummary(_message.Message):
    __slots__ = ("total_cost_nanousd", "total_requests", "day_cost_nanousd", "day_requests", "input_tokens", "output_tokens")
    TOTAL_COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    TOTAL_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    DAY_COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    DAY_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    total_cost_nanousd: int
    total_requests: int
    day_cost_nanousd: int
    day_requests: int
    input_tokens: int
    output_tokens: int
    def __init__(self, total_cost_nanousd: _Optional[int] = ..., total_requests: _Optional[int] = ..., day_cost_nanousd: _Optional[int] = ..., day_requests: _Optional[int] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ...) -> None: ...
