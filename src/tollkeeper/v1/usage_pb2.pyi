import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollkeeper.v1 import edge_pb2 as _edge_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPORT_FORMAT_UNSPECIFIED: _ClassVar[ExportFormat]
    EXPORT_FORMAT_CSV: _ClassVar[ExportFormat]
    EXPORT_FORMAT_JSONL: _ClassVar[ExportFormat]

class UsageDimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USAGE_DIMENSION_UNSPECIFIED: _ClassVar[UsageDimension]
    USAGE_DIMENSION_KEY: _ClassVar[UsageDimension]
    USAGE_DIMENSION_USER: _ClassVar[UsageDimension]
    USAGE_DIMENSION_TEAM: _ClassVar[UsageDimension]
    USAGE_DIMENSION_CUSTOMER: _ClassVar[UsageDimension]
    USAGE_DIMENSION_END_USER: _ClassVar[UsageDimension]
    USAGE_DIMENSION_TAG: _ClassVar[UsageDimension]
    USAGE_DIMENSION_MODEL: _ClassVar[UsageDimension]
    USAGE_DIMENSION_PROVIDER: _ClassVar[UsageDimension]

class UsageInterval(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USAGE_INTERVAL_UNSPECIFIED: _ClassVar[UsageInterval]
    USAGE_INTERVAL_HOUR: _ClassVar[UsageInterval]
    USAGE_INTERVAL_DAY: _ClassVar[UsageInterval]
    USAGE_INTERVAL_MONTH: _ClassVar[UsageInterval]
EXPORT_FORMAT_UNSPECIFIED: ExportFormat
EXPORT_FORMAT_CSV: ExportFormat
EXPORT_FORMAT_JSONL: ExportFormat
USAGE_DIMENSION_UNSPECIFIED: UsageDimension
USAGE_DIMENSION_KEY: UsageDimension
USAGE_DIMENSION_USER: UsageDimension
USAGE_DIMENSION_TEAM: UsageDimension
USAGE_DIMENSION_CUSTOMER: UsageDimension
USAGE_DIMENSION_END_USER: UsageDimension
USAGE_DIMENSION_TAG: UsageDimension
USAGE_DIMENSION_MODEL: UsageDimension
USAGE_DIMENSION_PROVIDER: UsageDimension
USAGE_INTERVAL_UNSPECIFIED: UsageInterval
USAGE_INTERVAL_HOUR: UsageInterval
USAGE_INTERVAL_DAY: UsageInterval
USAGE_INTERVAL_MONTH: UsageInterval

class UsageEntry(_message.Message):
    __slots__ = ("usage_id", "customer_id", "key_id", "user_id", "team_id", "provider_name", "provider_type", "requested_model", "response_model", "state", "status", "usage", "cost_nanousd", "why", "stream", "failover", "cached", "latency_ms", "first_byte_ms", "finish", "begin_time", "post_time", "entries", "attempts", "router_id", "end_user", "tags", "provider_id", "cf_log_id", "refused_scope", "omitted_count", "ledger_only")
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
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    END_USER_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    CF_LOG_ID_FIELD_NUMBER: _ClassVar[int]
    REFUSED_SCOPE_FIELD_NUMBER: _ClassVar[int]
    OMITTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    LEDGER_ONLY_FIELD_NUMBER: _ClassVar[int]
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
    attempts: _containers.RepeatedCompositeFieldContainer[_edge_pb2.Attempt]
    router_id: str
    end_user: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    provider_id: str
    cf_log_id: str
    refused_scope: str
    omitted_count: int
    ledger_only: bool
    def __init__(self, usage_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., user_id: _Optional[str] = ..., team_id: _Optional[str] = ..., provider_name: _Optional[str] = ..., provider_type: _Optional[str] = ..., requested_model: _Optional[str] = ..., response_model: _Optional[str] = ..., state: _Optional[_Union[_edge_pb2.UsageState, str]] = ..., status: _Optional[int] = ..., usage: _Optional[_Union[_edge_pb2.Usage, _Mapping]] = ..., cost_nanousd: _Optional[int] = ..., why: _Optional[str] = ..., stream: _Optional[bool] = ..., failover: _Optional[bool] = ..., cached: _Optional[bool] = ..., latency_ms: _Optional[int] = ..., first_byte_ms: _Optional[int] = ..., finish: _Optional[str] = ..., begin_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., post_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[LedgerEntry, _Mapping]]] = ..., attempts: _Optional[_Iterable[_Union[_edge_pb2.Attempt, _Mapping]]] = ..., router_id: _Optional[str] = ..., end_user: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., provider_id: _Optional[str] = ..., cf_log_id: _Optional[str] = ..., refused_scope: _Optional[str] = ..., omitted_count: _Optional[int] = ..., ledger_only: _Optional[bool] = ...) -> None: ...

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
    __slots__ = ("customer_id", "key_id", "page_size", "page_token", "user_id", "team_id", "end_user", "tag", "model", "provider_id", "state", "status", "without_refused", "start_time", "end_time")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_ID_FIELD_NUMBER: _ClassVar[int]
    END_USER_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_REFUSED_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    page_size: int
    page_token: str
    user_id: str
    team_id: str
    end_user: str
    tag: str
    model: str
    provider_id: str
    state: _edge_pb2.UsageState
    status: int
    without_refused: bool
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_id: _Optional[str] = ..., team_id: _Optional[str] = ..., end_user: _Optional[str] = ..., tag: _Optional[str] = ..., model: _Optional[str] = ..., provider_id: _Optional[str] = ..., state: _Optional[_Union[_edge_pb2.UsageState, str]] = ..., status: _Optional[int] = ..., without_refused: _Optional[bool] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

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

class ExportUsageRequest(_message.Message):
    __slots__ = ("customer_id", "format", "key_id", "user_id", "team_id", "end_user", "tag", "model", "provider_id", "state", "status", "without_refused", "start_time", "end_time")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_ID_FIELD_NUMBER: _ClassVar[int]
    END_USER_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_REFUSED_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    format: ExportFormat
    key_id: str
    user_id: str
    team_id: str
    end_user: str
    tag: str
    model: str
    provider_id: str
    state: _edge_pb2.UsageState
    status: int
    without_refused: bool
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, customer_id: _Optional[str] = ..., format: _Optional[_Union[ExportFormat, str]] = ..., key_id: _Optional[str] = ..., user_id: _Optional[str] = ..., team_id: _Optional[str] = ..., end_user: _Optional[str] = ..., tag: _Optional[str] = ..., model: _Optional[str] = ..., provider_id: _Optional[str] = ..., state: _Optional[_Union[_edge_pb2.UsageState, str]] = ..., status: _Optional[int] = ..., without_refused: _Optional[bool] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExportUsageResponse(_message.Message):
    __slots__ = ("text", "row_count", "estimated_row_count")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    text: str
    row_count: int
    estimated_row_count: int
    def __init__(self, text: _Optional[str] = ..., row_count: _Optional[int] = ..., estimated_row_count: _Optional[int] = ...) -> None: ...

class GetUsageSummaryRequest(_message.Message):
    __slots__ = ("customer_id", "key_id", "user_id", "team_id", "start_time", "end_time", "group_by", "group_limit")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    GROUP_LIMIT_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    user_id: str
    team_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    group_by: UsageDimension
    group_limit: int
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., user_id: _Optional[str] = ..., team_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., group_by: _Optional[_Union[UsageDimension, str]] = ..., group_limit: _Optional[int] = ...) -> None: ...

class UsageSummary(_message.Message):
    __slots__ = ("total_cost_nanousd", "total_requests", "day_cost_nanousd", "day_requests", "input_tokens", "output_tokens", "refused_requests", "groups")
    TOTAL_COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    TOTAL_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    DAY_COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    DAY_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    total_cost_nanousd: int
    total_requests: int
    day_cost_nanousd: int
    day_requests: int
    input_tokens: int
    output_tokens: int
    refused_requests: int
    groups: _containers.RepeatedCompositeFieldContainer[UsageGroup]
    def __init__(self, total_cost_nanousd: _Optional[int] = ..., total_requests: _Optional[int] = ..., day_cost_nanousd: _Optional[int] = ..., day_requests: _Optional[int] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., refused_requests: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[UsageGroup, _Mapping]]] = ...) -> None: ...

class UsageGroup(_message.Message):
    __slots__ = ("value", "label", "totals")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    value: str
    label: str
    totals: UsageTotals
    def __init__(self, value: _Optional[str] = ..., label: _Optional[str] = ..., totals: _Optional[_Union[UsageTotals, _Mapping]] = ...) -> None: ...

class UsageTotals(_message.Message):
    __slots__ = ("cost_nanousd", "request_count", "refused_count", "input_tokens", "output_tokens")
    COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_COUNT_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    cost_nanousd: int
    request_count: int
    refused_count: int
    input_tokens: int
    output_tokens: int
    def __init__(self, cost_nanousd: _Optional[int] = ..., request_count: _Optional[int] = ..., refused_count: _Optional[int] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ...) -> None: ...

class QueryUsageRequest(_message.Message):
    __slots__ = ("customer_id", "key_id", "user_id", "team_id", "start_time", "end_time", "group_by", "group_limit", "interval", "time_zone")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    GROUP_LIMIT_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    user_id: str
    team_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    group_by: UsageDimension
    group_limit: int
    interval: UsageInterval
    time_zone: str
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., user_id: _Optional[str] = ..., team_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., group_by: _Optional[_Union[UsageDimension, str]] = ..., group_limit: _Optional[int] = ..., interval: _Optional[_Union[UsageInterval, str]] = ..., time_zone: _Optional[str] = ...) -> None: ...

class QueryUsageResponse(_message.Message):
    __slots__ = ("series", "time_zone")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[UsageSeries]
    time_zone: str
    def __init__(self, series: _Optional[_Iterable[_Union[UsageSeries, _Mapping]]] = ..., time_zone: _Optional[str] = ...) -> None: ...

class UsageSeries(_message.Message):
    __slots__ = ("value", "label", "totals", "points")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    value: str
    label: str
    totals: UsageTotals
    points: _containers.RepeatedCompositeFieldContainer[UsagePoint]
    def __init__(self, value: _Optional[str] = ..., label: _Optional[str] = ..., totals: _Optional[_Union[UsageTotals, _Mapping]] = ..., points: _Optional[_Iterable[_Union[UsagePoint, _Mapping]]] = ...) -> None: ...

class UsagePoint(_message.Message):
    __slots__ = ("start_time", "totals")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    totals: UsageTotals
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., totals: _Optional[_Union[UsageTotals, _Mapping]] = ...) -> None: ...
