import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollkeeper.v1 import error_reason_pb2 as _error_reason_pb2
from tollkeeper.v1 import prices_pb2 as _prices_pb2
from tollkeeper.v1 import providers_pb2 as _providers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Router(_message.Message):
    __slots__ = ("router_id", "customer_id", "name", "rules", "platform", "granted_to_all", "granted_customer_ids", "retries", "deadlines", "cache_ttl_s", "etag", "create_time", "delete_time", "removed")
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    GRANTED_TO_ALL_FIELD_NUMBER: _ClassVar[int]
    GRANTED_CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    DEADLINES_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_S_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DELETE_TIME_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    router_id: str
    customer_id: str
    name: str
    rules: _containers.RepeatedCompositeFieldContainer[RoutingRule]
    platform: bool
    granted_to_all: bool
    granted_customer_ids: _containers.RepeatedScalarFieldContainer[str]
    retries: Retries
    deadlines: Deadlines
    cache_ttl_s: int
    etag: str
    create_time: _timestamp_pb2.Timestamp
    delete_time: _timestamp_pb2.Timestamp
    removed: _providers_pb2.Removed
    def __init__(self, router_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., name: _Optional[str] = ..., rules: _Optional[_Iterable[_Union[RoutingRule, _Mapping]]] = ..., platform: _Optional[bool] = ..., granted_to_all: _Optional[bool] = ..., granted_customer_ids: _Optional[_Iterable[str]] = ..., retries: _Optional[_Union[Retries, _Mapping]] = ..., deadlines: _Optional[_Union[Deadlines, _Mapping]] = ..., cache_ttl_s: _Optional[int] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., removed: _Optional[_Union[_providers_pb2.Removed, _Mapping]] = ...) -> None: ...

class Retries(_message.Message):
    __slots__ = ("count", "backoff_ms", "max_backoff_ms")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_BACKOFF_MS_FIELD_NUMBER: _ClassVar[int]
    count: int
    backoff_ms: int
    max_backoff_ms: int
    def __init__(self, count: _Optional[int] = ..., backoff_ms: _Optional[int] = ..., max_backoff_ms: _Optional[int] = ...) -> None: ...

class Deadlines(_message.Message):
    __slots__ = ("connect_ms", "first_byte_ms", "idle_ms", "total_ms")
    CONNECT_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_BYTE_MS_FIELD_NUMBER: _ClassVar[int]
    IDLE_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    connect_ms: int
    first_byte_ms: int
    idle_ms: int
    total_ms: int
    def __init__(self, connect_ms: _Optional[int] = ..., first_byte_ms: _Optional[int] = ..., idle_ms: _Optional[int] = ..., total_ms: _Optional[int] = ...) -> None: ...

class RoutingRule(_message.Message):
    __slots__ = ("rule_id", "priority", "condition", "provider_id", "allowed_models", "model_rewrite", "weight", "statuses", "when")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    MODEL_REWRITE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    priority: int
    condition: str
    provider_id: str
    allowed_models: _containers.RepeatedScalarFieldContainer[str]
    model_rewrite: str
    weight: int
    statuses: _containers.RepeatedScalarFieldContainer[int]
    when: str
    def __init__(self, rule_id: _Optional[str] = ..., priority: _Optional[int] = ..., condition: _Optional[str] = ..., provider_id: _Optional[str] = ..., allowed_models: _Optional[_Iterable[str]] = ..., model_rewrite: _Optional[str] = ..., weight: _Optional[int] = ..., statuses: _Optional[_Iterable[int]] = ..., when: _Optional[str] = ...) -> None: ...

class CreateRouterRequest(_message.Message):
    __slots__ = ("router", "request_id", "number_taken_name")
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_TAKEN_NAME_FIELD_NUMBER: _ClassVar[int]
    router: Router
    request_id: str
    number_taken_name: bool
    def __init__(self, router: _Optional[_Union[Router, _Mapping]] = ..., request_id: _Optional[str] = ..., number_taken_name: _Optional[bool] = ...) -> None: ...

class GetRouterRequest(_message.Message):
    __slots__ = ("customer_id", "router_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    router_id: str
    def __init__(self, customer_id: _Optional[str] = ..., router_id: _Optional[str] = ...) -> None: ...

class ListRoutersRequest(_message.Message):
    __slots__ = ("customer_id", "page_size", "page_token")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    page_size: int
    page_token: str
    def __init__(self, customer_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRoutersResponse(_message.Message):
    __slots__ = ("routers", "next_page_token")
    ROUTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    routers: _containers.RepeatedCompositeFieldContainer[Router]
    next_page_token: str
    def __init__(self, routers: _Optional[_Iterable[_Union[Router, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateRouterRequest(_message.Message):
    __slots__ = ("router", "update_mask", "force")
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    router: Router
    update_mask: _field_mask_pb2.FieldMask
    force: bool
    def __init__(self, router: _Optional[_Union[Router, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., force: _Optional[bool] = ...) -> None: ...

class DeleteRouterRequest(_message.Message):
    __slots__ = ("customer_id", "router_id", "etag", "force")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    router_id: str
    etag: str
    force: bool
    def __init__(self, customer_id: _Optional[str] = ..., router_id: _Optional[str] = ..., etag: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class DryRunRouterRequest(_message.Message):
    __slots__ = ("customer_id", "router_id", "key_id", "model", "provider", "stream", "prompt_bytes", "output_limit", "end_user", "tags", "family")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    PROMPT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    END_USER_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    router_id: str
    key_id: str
    model: str
    provider: str
    stream: bool
    prompt_bytes: int
    output_limit: int
    end_user: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    family: str
    def __init__(self, customer_id: _Optional[str] = ..., router_id: _Optional[str] = ..., key_id: _Optional[str] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., stream: _Optional[bool] = ..., prompt_bytes: _Optional[int] = ..., output_limit: _Optional[int] = ..., end_user: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., family: _Optional[str] = ...) -> None: ...

class DryRunRouterResponse(_message.Message):
    __slots__ = ("attempts", "skipped", "refusal", "refusal_message", "retries", "deadlines")
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    DEADLINES_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[PlannedAttempt]
    skipped: _containers.RepeatedCompositeFieldContainer[SkippedRule]
    refusal: _error_reason_pb2.ErrorReason
    refusal_message: str
    retries: Retries
    deadlines: Deadlines
    def __init__(self, attempts: _Optional[_Iterable[_Union[PlannedAttempt, _Mapping]]] = ..., skipped: _Optional[_Iterable[_Union[SkippedRule, _Mapping]]] = ..., refusal: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., refusal_message: _Optional[str] = ..., retries: _Optional[_Union[Retries, _Mapping]] = ..., deadlines: _Optional[_Union[Deadlines, _Mapping]] = ...) -> None: ...

class PlannedAttempt(_message.Message):
    __slots__ = ("rule_id", "provider_id", "provider_name", "provider_type", "upstream_model", "direct", "priority", "condition", "weight", "first_share", "price", "statuses", "when")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_MODEL_FIELD_NUMBER: _ClassVar[int]
    DIRECT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    FIRST_SHARE_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    provider_id: str
    provider_name: str
    provider_type: str
    upstream_model: str
    direct: bool
    priority: int
    condition: str
    weight: int
    first_share: float
    price: _prices_pb2.Price
    statuses: _containers.RepeatedScalarFieldContainer[int]
    when: str
    def __init__(self, rule_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., provider_name: _Optional[str] = ..., provider_type: _Optional[str] = ..., upstream_model: _Optional[str] = ..., direct: _Optional[bool] = ..., priority: _Optional[int] = ..., condition: _Optional[str] = ..., weight: _Optional[int] = ..., first_share: _Optional[float] = ..., price: _Optional[_Union[_prices_pb2.Price, _Mapping]] = ..., statuses: _Optional[_Iterable[int]] = ..., when: _Optional[str] = ...) -> None: ...

class SkippedRule(_message.Message):
    __slots__ = ("rule_id", "provider_id", "provider_name", "provider_type", "reason")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    provider_id: str
    provider_name: str
    provider_type: str
    reason: str
    def __init__(self, rule_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., provider_name: _Optional[str] = ..., provider_type: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
