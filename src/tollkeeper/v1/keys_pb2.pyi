import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollkeeper.v1 import budgets_pb2 as _budgets_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Key(_message.Message):
    __slots__ = ("key_id", "customer_id", "name", "key_hash", "prefix", "user_id", "team_id", "user_email", "user_name", "team_name", "router_id", "allowed_models", "disabled", "default_output_limit", "clamp_output", "expire_time", "budgets", "spend_nanousd", "revoke_time", "created_by", "requests_per_minute", "tokens_per_minute", "max_concurrent_requests", "model_limits", "max_cost_nanousd", "allowed_ips", "previous_key_hash", "previous_prefix", "previous_expire_time", "rotate_time", "spend_reset_time", "etag", "create_time")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_HASH_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_EMAIL_FIELD_NUMBER: _ClassVar[int]
    USER_NAME_FIELD_NUMBER: _ClassVar[int]
    TEAM_NAME_FIELD_NUMBER: _ClassVar[int]
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_OUTPUT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CLAMP_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    SPEND_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    REVOKE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_LIMITS_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_IPS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_KEY_HASH_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_PREFIX_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    ROTATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SPEND_RESET_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    customer_id: str
    name: str
    key_hash: str
    prefix: str
    user_id: str
    team_id: str
    user_email: str
    user_name: str
    team_name: str
    router_id: str
    allowed_models: _containers.RepeatedScalarFieldContainer[str]
    disabled: bool
    default_output_limit: int
    clamp_output: bool
    expire_time: _timestamp_pb2.Timestamp
    budgets: _containers.RepeatedCompositeFieldContainer[_budgets_pb2.Budget]
    spend_nanousd: int
    revoke_time: _timestamp_pb2.Timestamp
    created_by: str
    requests_per_minute: int
    tokens_per_minute: int
    max_concurrent_requests: int
    model_limits: _containers.RepeatedCompositeFieldContainer[ModelLimit]
    max_cost_nanousd: int
    allowed_ips: _containers.RepeatedScalarFieldContainer[str]
    previous_key_hash: str
    previous_prefix: str
    previous_expire_time: _timestamp_pb2.Timestamp
    rotate_time: _timestamp_pb2.Timestamp
    spend_reset_time: _timestamp_pb2.Timestamp
    etag: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, key_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., name: _Optional[str] = ..., key_hash: _Optional[str] = ..., prefix: _Optional[str] = ..., user_id: _Optional[str] = ..., team_id: _Optional[str] = ..., user_email: _Optional[str] = ..., user_name: _Optional[str] = ..., team_name: _Optional[str] = ..., router_id: _Optional[str] = ..., allowed_models: _Optional[_Iterable[str]] = ..., disabled: _Optional[bool] = ..., default_output_limit: _Optional[int] = ..., clamp_output: _Optional[bool] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., budgets: _Optional[_Iterable[_Union[_budgets_pb2.Budget, _Mapping]]] = ..., spend_nanousd: _Optional[int] = ..., revoke_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., max_concurrent_requests: _Optional[int] = ..., model_limits: _Optional[_Iterable[_Union[ModelLimit, _Mapping]]] = ..., max_cost_nanousd: _Optional[int] = ..., allowed_ips: _Optional[_Iterable[str]] = ..., previous_key_hash: _Optional[str] = ..., previous_prefix: _Optional[str] = ..., previous_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rotate_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., spend_reset_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ModelLimit(_message.Message):
    __slots__ = ("model", "requests_per_minute", "tokens_per_minute", "max_cost_nanousd")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    model: str
    requests_per_minute: int
    tokens_per_minute: int
    max_cost_nanousd: int
    def __init__(self, model: _Optional[str] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., max_cost_nanousd: _Optional[int] = ...) -> None: ...

class KeyDefaults(_message.Message):
    __slots__ = ("allowed_models", "requests_per_minute", "tokens_per_minute", "model_limits", "max_cost_nanousd", "clamp_output", "budget", "max_concurrent_requests")
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    MODEL_LIMITS_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    CLAMP_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    allowed_models: _containers.RepeatedScalarFieldContainer[str]
    requests_per_minute: int
    tokens_per_minute: int
    model_limits: _containers.RepeatedCompositeFieldContainer[ModelLimit]
    max_cost_nanousd: int
    clamp_output: bool
    budget: _budgets_pb2.InitialBudget
    max_concurrent_requests: int
    def __init__(self, allowed_models: _Optional[_Iterable[str]] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., model_limits: _Optional[_Iterable[_Union[ModelLimit, _Mapping]]] = ..., max_cost_nanousd: _Optional[int] = ..., clamp_output: _Optional[bool] = ..., budget: _Optional[_Union[_budgets_pb2.InitialBudget, _Mapping]] = ..., max_concurrent_requests: _Optional[int] = ...) -> None: ...

class CreateKeyRequest(_message.Message):
    __slots__ = ("key", "budget", "request_id")
    KEY_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    key: Key
    budget: _budgets_pb2.InitialBudget
    request_id: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., budget: _Optional[_Union[_budgets_pb2.InitialBudget, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateKeyResponse(_message.Message):
    __slots__ = ("key", "raw_key")
    KEY_FIELD_NUMBER: _ClassVar[int]
    RAW_KEY_FIELD_NUMBER: _ClassVar[int]
    key: Key
    raw_key: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., raw_key: _Optional[str] = ...) -> None: ...

class GetKeyRequest(_message.Message):
    __slots__ = ("customer_id", "key_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("customer_id", "user_id", "team_id", "show_revoked", "include_team_keys", "page_size", "page_token")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_ID_FIELD_NUMBER: _ClassVar[int]
    SHOW_REVOKED_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_TEAM_KEYS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    user_id: str
    team_id: str
    show_revoked: bool
    include_team_keys: bool
    page_size: int
    page_token: str
    def __init__(self, customer_id: _Optional[str] = ..., user_id: _Optional[str] = ..., team_id: _Optional[str] = ..., show_revoked: _Optional[bool] = ..., include_team_keys: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys", "next_page_token")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    next_page_token: str
    def __init__(self, keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateKeyRequest(_message.Message):
    __slots__ = ("key", "update_mask", "budget")
    KEY_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    key: Key
    update_mask: _field_mask_pb2.FieldMask
    budget: _budgets_pb2.InitialBudget
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., budget: _Optional[_Union[_budgets_pb2.InitialBudget, _Mapping]] = ...) -> None: ...

class RevokeKeyRequest(_message.Message):
    __slots__ = ("customer_id", "key_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...

class RotateKeyRequest(_message.Message):
    __slots__ = ("customer_id", "key_id", "overlap", "etag", "request_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    overlap: _duration_pb2.Duration
    etag: str
    request_id: str
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., overlap: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RotateKeyResponse(_message.Message):
    __slots__ = ("key", "raw_key")
    KEY_FIELD_NUMBER: _ClassVar[int]
    RAW_KEY_FIELD_NUMBER: _ClassVar[int]
    key: Key
    raw_key: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., raw_key: _Optional[str] = ...) -> None: ...

class EndKeyOverlapRequest(_message.Message):
    __slots__ = ("customer_id", "key_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...
