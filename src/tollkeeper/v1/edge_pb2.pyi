import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollkeeper.v1 import budgets_pb2 as _budgets_pb2
from tollkeeper.v1 import keys_pb2 as _keys_pb2
from tollkeeper.v1 import price_plans_pb2 as _price_plans_pb2
from tollkeeper.v1 import prices_pb2 as _prices_pb2
from tollkeeper.v1 import routers_pb2 as _routers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RateKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RATE_KIND_UNSPECIFIED: _ClassVar[RateKind]
    REQUESTS_PER_MINUTE: _ClassVar[RateKind]
    TOKENS_PER_MINUTE: _ClassVar[RateKind]
    CONCURRENT_REQUESTS: _ClassVar[RateKind]

class UsageState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USAGE_STATE_UNSPECIFIED: _ClassVar[UsageState]
    USAGE_STATE_REPORTED: _ClassVar[UsageState]
    USAGE_STATE_ESTIMATED: _ClassVar[UsageState]
    USAGE_STATE_VOIDED: _ClassVar[UsageState]
    USAGE_STATE_REFUSED: _ClassVar[UsageState]

class SettleOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SETTLE_OUTCOME_UNSPECIFIED: _ClassVar[SettleOutcome]
    POSTED: _ClassVar[SettleOutcome]
    DUPLICATE: _ClassVar[SettleOutcome]
    CONFLICT: _ClassVar[SettleOutcome]
    REJECTED: _ClassVar[SettleOutcome]
    RETRY: _ClassVar[SettleOutcome]
RATE_KIND_UNSPECIFIED: RateKind
REQUESTS_PER_MINUTE: RateKind
TOKENS_PER_MINUTE: RateKind
CONCURRENT_REQUESTS: RateKind
USAGE_STATE_UNSPECIFIED: UsageState
USAGE_STATE_REPORTED: UsageState
USAGE_STATE_ESTIMATED: UsageState
USAGE_STATE_VOIDED: UsageState
USAGE_STATE_REFUSED: UsageState
SETTLE_OUTCOME_UNSPECIFIED: SettleOutcome
POSTED: SettleOutcome
DUPLICATE: SettleOutcome
CONFLICT: SettleOutcome
REJECTED: SettleOutcome
RETRY: SettleOutcome

class AuthorizeRequest(_message.Message):
    __slots__ = ("key_hash",)
    KEY_HASH_FIELD_NUMBER: _ClassVar[int]
    key_hash: bytes
    def __init__(self, key_hash: _Optional[bytes] = ...) -> None: ...

class AuthorizeResponse(_message.Message):
    __slots__ = ("grant",)
    GRANT_FIELD_NUMBER: _ClassVar[int]
    grant: Grant
    def __init__(self, grant: _Optional[_Union[Grant, _Mapping]] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("customer_id", "key_id", "team_id", "user_id", "version", "chain_version", "unlimited", "allowed_models", "default_output_limit", "clamp_output", "rules", "own_prices", "cf_gateway_id", "expire_time", "router_id", "retries", "deadlines", "cache_ttl_s", "allowed_ips", "max_cost_nanousd", "model_limits", "customer_allowed_models", "rate_limits", "markup_ppm", "model_markups")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHAIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    UNLIMITED_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_OUTPUT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CLAMP_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    OWN_PRICES_FIELD_NUMBER: _ClassVar[int]
    CF_GATEWAY_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    DEADLINES_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_S_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_IPS_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    MODEL_LIMITS_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    MARKUP_PPM_FIELD_NUMBER: _ClassVar[int]
    MODEL_MARKUPS_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    team_id: str
    user_id: str
    version: int
    chain_version: int
    unlimited: bool
    allowed_models: _containers.RepeatedScalarFieldContainer[str]
    default_output_limit: int
    clamp_output: bool
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    own_prices: _containers.RepeatedCompositeFieldContainer[_prices_pb2.Price]
    cf_gateway_id: str
    expire_time: _timestamp_pb2.Timestamp
    router_id: str
    retries: _routers_pb2.Retries
    deadlines: _routers_pb2.Deadlines
    cache_ttl_s: int
    allowed_ips: _containers.RepeatedScalarFieldContainer[str]
    max_cost_nanousd: int
    model_limits: _containers.RepeatedCompositeFieldContainer[_keys_pb2.ModelLimit]
    customer_allowed_models: _containers.RepeatedScalarFieldContainer[str]
    rate_limits: _containers.RepeatedCompositeFieldContainer[RateLimit]
    markup_ppm: int
    model_markups: _containers.RepeatedCompositeFieldContainer[_price_plans_pb2.ModelMarkup]
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., team_id: _Optional[str] = ..., user_id: _Optional[str] = ..., version: _Optional[int] = ..., chain_version: _Optional[int] = ..., unlimited: _Optional[bool] = ..., allowed_models: _Optional[_Iterable[str]] = ..., default_output_limit: _Optional[int] = ..., clamp_output: _Optional[bool] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., own_prices: _Optional[_Iterable[_Union[_prices_pb2.Price, _Mapping]]] = ..., cf_gateway_id: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., router_id: _Optional[str] = ..., retries: _Optional[_Union[_routers_pb2.Retries, _Mapping]] = ..., deadlines: _Optional[_Union[_routers_pb2.Deadlines, _Mapping]] = ..., cache_ttl_s: _Optional[int] = ..., allowed_ips: _Optional[_Iterable[str]] = ..., max_cost_nanousd: _Optional[int] = ..., model_limits: _Optional[_Iterable[_Union[_keys_pb2.ModelLimit, _Mapping]]] = ..., customer_allowed_models: _Optional[_Iterable[str]] = ..., rate_limits: _Optional[_Iterable[_Union[RateLimit, _Mapping]]] = ..., markup_ppm: _Optional[int] = ..., model_markups: _Optional[_Iterable[_Union[_price_plans_pb2.ModelMarkup, _Mapping]]] = ...) -> None: ...

class RateLimit(_message.Message):
    __slots__ = ("scope", "scope_id", "model", "requests_per_minute", "tokens_per_minute", "max_concurrent_requests")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    scope: str
    scope_id: str
    model: str
    requests_per_minute: int
    tokens_per_minute: int
    max_concurrent_requests: int
    def __init__(self, scope: _Optional[str] = ..., scope_id: _Optional[str] = ..., model: _Optional[str] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., max_concurrent_requests: _Optional[int] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("rule_id", "priority", "condition", "provider_id", "provider_name", "provider_type", "provider_enabled", "base_url", "credential", "stored_key_alias", "allowed_models", "model_rewrite", "direct", "weight", "shared", "statuses", "when", "passthrough_paths")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ENABLED_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    STORED_KEY_ALIAS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    MODEL_REWRITE_FIELD_NUMBER: _ClassVar[int]
    DIRECT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    PASSTHROUGH_PATHS_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    priority: int
    condition: str
    provider_id: str
    provider_name: str
    provider_type: str
    provider_enabled: bool
    base_url: str
    credential: str
    stored_key_alias: str
    allowed_models: _containers.RepeatedScalarFieldContainer[str]
    model_rewrite: str
    direct: bool
    weight: int
    shared: bool
    statuses: _containers.RepeatedScalarFieldContainer[int]
    when: str
    passthrough_paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rule_id: _Optional[str] = ..., priority: _Optional[int] = ..., condition: _Optional[str] = ..., provider_id: _Optional[str] = ..., provider_name: _Optional[str] = ..., provider_type: _Optional[str] = ..., provider_enabled: _Optional[bool] = ..., base_url: _Optional[str] = ..., credential: _Optional[str] = ..., stored_key_alias: _Optional[str] = ..., allowed_models: _Optional[_Iterable[str]] = ..., model_rewrite: _Optional[str] = ..., direct: _Optional[bool] = ..., weight: _Optional[int] = ..., shared: _Optional[bool] = ..., statuses: _Optional[_Iterable[int]] = ..., when: _Optional[str] = ..., passthrough_paths: _Optional[_Iterable[str]] = ...) -> None: ...

class WindowRef(_message.Message):
    __slots__ = ("budget_id", "start_time", "end_time", "scope", "hard", "limit_nanousd", "spent_nanousd", "held_nanousd")
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    HARD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    scope: str
    hard: bool
    limit_nanousd: int
    spent_nanousd: int
    held_nanousd: int
    def __init__(self, budget_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scope: _Optional[str] = ..., hard: _Optional[bool] = ..., limit_nanousd: _Optional[int] = ..., spent_nanousd: _Optional[int] = ..., held_nanousd: _Optional[int] = ...) -> None: ...

class LeaseReport(_message.Message):
    __slots__ = ("customer_id", "lease_id", "returned_nanousd", "undrawn_nanousd", "in_flight_nanousd", "closing")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    RETURNED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    UNDRAWN_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    lease_id: str
    returned_nanousd: int
    undrawn_nanousd: int
    in_flight_nanousd: int
    closing: bool
    def __init__(self, customer_id: _Optional[str] = ..., lease_id: _Optional[str] = ..., returned_nanousd: _Optional[int] = ..., undrawn_nanousd: _Optional[int] = ..., in_flight_nanousd: _Optional[int] = ..., closing: _Optional[bool] = ...) -> None: ...

class AcquireLeaseRequest(_message.Message):
    __slots__ = ("incarnation_id", "customer_id", "key_id", "lease_id", "top_up", "chain_version", "holds_nanousd", "wanted_nanousd", "wait", "reports", "next_window")
    INCARNATION_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TOP_UP_FIELD_NUMBER: _ClassVar[int]
    CHAIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    HOLDS_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    WANTED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_WINDOW_FIELD_NUMBER: _ClassVar[int]
    incarnation_id: str
    customer_id: str
    key_id: str
    lease_id: str
    top_up: int
    chain_version: int
    holds_nanousd: _containers.RepeatedScalarFieldContainer[int]
    wanted_nanousd: int
    wait: _duration_pb2.Duration
    reports: _containers.RepeatedCompositeFieldContainer[LeaseReport]
    next_window: bool
    def __init__(self, incarnation_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., lease_id: _Optional[str] = ..., top_up: _Optional[int] = ..., chain_version: _Optional[int] = ..., holds_nanousd: _Optional[_Iterable[int]] = ..., wanted_nanousd: _Optional[int] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reports: _Optional[_Iterable[_Union[LeaseReport, _Mapping]]] = ..., next_window: _Optional[bool] = ...) -> None: ...

class AcquireLeaseResponse(_message.Message):
    __slots__ = ("granted_nanousd", "covered_holds", "exact", "unlimited", "draw_for", "not_before", "windows")
    GRANTED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    COVERED_HOLDS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    UNLIMITED_FIELD_NUMBER: _ClassVar[int]
    DRAW_FOR_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    granted_nanousd: int
    covered_holds: int
    exact: bool
    unlimited: bool
    draw_for: _duration_pb2.Duration
    not_before: _duration_pb2.Duration
    windows: _containers.RepeatedCompositeFieldContainer[WindowRef]
    def __init__(self, granted_nanousd: _Optional[int] = ..., covered_holds: _Optional[int] = ..., exact: _Optional[bool] = ..., unlimited: _Optional[bool] = ..., draw_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., not_before: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., windows: _Optional[_Iterable[_Union[WindowRef, _Mapping]]] = ...) -> None: ...

class ReturnLeaseRequest(_message.Message):
    __slots__ = ("incarnation_id", "reports")
    INCARNATION_ID_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    incarnation_id: str
    reports: _containers.RepeatedCompositeFieldContainer[LeaseReport]
    def __init__(self, incarnation_id: _Optional[str] = ..., reports: _Optional[_Iterable[_Union[LeaseReport, _Mapping]]] = ...) -> None: ...

class ReturnLeaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AcquireSharesRequest(_message.Message):
    __slots__ = ("incarnation_id", "customer_id", "asks")
    INCARNATION_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    incarnation_id: str
    customer_id: str
    asks: _containers.RepeatedCompositeFieldContainer[ShareAsk]
    def __init__(self, incarnation_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., asks: _Optional[_Iterable[_Union[ShareAsk, _Mapping]]] = ...) -> None: ...

class ShareAsk(_message.Message):
    __slots__ = ("scope", "scope_id", "model", "kind", "number", "used", "in_flight", "kept", "waiting", "wanted")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    scope: str
    scope_id: str
    model: str
    kind: RateKind
    number: int
    used: _containers.RepeatedCompositeFieldContainer[ShareUse]
    in_flight: int
    kept: int
    waiting: _containers.RepeatedScalarFieldContainer[int]
    wanted: int
    def __init__(self, scope: _Optional[str] = ..., scope_id: _Optional[str] = ..., model: _Optional[str] = ..., kind: _Optional[_Union[RateKind, str]] = ..., number: _Optional[int] = ..., used: _Optional[_Iterable[_Union[ShareUse, _Mapping]]] = ..., in_flight: _Optional[int] = ..., kept: _Optional[int] = ..., waiting: _Optional[_Iterable[int]] = ..., wanted: _Optional[int] = ...) -> None: ...

class ShareUse(_message.Message):
    __slots__ = ("age_ms", "amount")
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    age_ms: int
    amount: int
    def __init__(self, age_ms: _Optional[int] = ..., amount: _Optional[int] = ...) -> None: ...

class AcquireSharesResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[ShareAnswer]
    def __init__(self, answers: _Optional[_Iterable[_Union[ShareAnswer, _Mapping]]] = ...) -> None: ...

class ShareAnswer(_message.Message):
    __slots__ = ("limit", "granted", "exact", "draw_for", "remaining", "retry_after")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    DRAW_FOR_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    limit: int
    granted: int
    exact: bool
    draw_for: _duration_pb2.Duration
    remaining: int
    retry_after: _duration_pb2.Duration
    def __init__(self, limit: _Optional[int] = ..., granted: _Optional[int] = ..., exact: _Optional[bool] = ..., draw_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., remaining: _Optional[int] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("number", "provider_id", "provider_name", "provider_type", "model", "status", "price_id", "hold_nanousd", "state", "usage", "cost_nanousd", "markup_ppm", "why")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    HOLD_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    MARKUP_PPM_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    number: int
    provider_id: str
    provider_name: str
    provider_type: str
    model: str
    status: int
    price_id: str
    hold_nanousd: int
    state: UsageState
    usage: Usage
    cost_nanousd: int
    markup_ppm: int
    why: str
    def __init__(self, number: _Optional[int] = ..., provider_id: _Optional[str] = ..., provider_name: _Optional[str] = ..., provider_type: _Optional[str] = ..., model: _Optional[str] = ..., status: _Optional[int] = ..., price_id: _Optional[str] = ..., hold_nanousd: _Optional[int] = ..., state: _Optional[_Union[UsageState, str]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., cost_nanousd: _Optional[int] = ..., markup_ppm: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "audio_input_tokens", "output_tokens", "reasoning_tokens", "audio_output_tokens", "requests", "web_searches", "cache_write_1h_tokens", "image_input_tokens", "image_output_tokens", "images", "seconds", "characters", "service_tier")
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    AUDIO_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    AUDIO_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    WEB_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_TOKENS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TIER_FIELD_NUMBER: _ClassVar[int]
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    audio_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_output_tokens: int
    requests: int
    web_searches: int
    cache_write_1h_tokens: int
    image_input_tokens: int
    image_output_tokens: int
    images: int
    seconds: int
    characters: int
    service_tier: str
    def __init__(self, input_tokens: _Optional[int] = ..., cached_input_tokens: _Optional[int] = ..., cache_write_tokens: _Optional[int] = ..., audio_input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ..., audio_output_tokens: _Optional[int] = ..., requests: _Optional[int] = ..., web_searches: _Optional[int] = ..., cache_write_1h_tokens: _Optional[int] = ..., image_input_tokens: _Optional[int] = ..., image_output_tokens: _Optional[int] = ..., images: _Optional[int] = ..., seconds: _Optional[int] = ..., characters: _Optional[int] = ..., service_tier: _Optional[str] = ...) -> None: ...

class UsageRecord(_message.Message):
    __slots__ = ("usage_id", "incarnation_id", "sequence", "customer_id", "key_id", "team_id", "user_id", "lease_id", "windows", "attempts", "state", "cost_nanousd", "hold_nanousd", "requested_model", "response_model", "status", "begin_time", "latency_ms", "first_byte_ms", "stream", "failover", "cached", "finish", "cf_log_id", "end_user", "tags", "router_id", "kept_objects")
    USAGE_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    HOLD_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_MODEL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BEGIN_TIME_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_BYTE_MS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FAILOVER_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    CF_LOG_ID_FIELD_NUMBER: _ClassVar[int]
    END_USER_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    KEPT_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    usage_id: str
    incarnation_id: str
    sequence: int
    customer_id: str
    key_id: str
    team_id: str
    user_id: str
    lease_id: str
    windows: _containers.RepeatedCompositeFieldContainer[WindowRef]
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    state: UsageState
    cost_nanousd: int
    hold_nanousd: int
    requested_model: str
    response_model: str
    status: int
    begin_time: _timestamp_pb2.Timestamp
    latency_ms: int
    first_byte_ms: int
    stream: bool
    failover: bool
    cached: bool
    finish: str
    cf_log_id: str
    end_user: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    router_id: str
    kept_objects: _containers.RepeatedCompositeFieldContainer[KeptObject]
    def __init__(self, usage_id: _Optional[str] = ..., incarnation_id: _Optional[str] = ..., sequence: _Optional[int] = ..., customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., team_id: _Optional[str] = ..., user_id: _Optional[str] = ..., lease_id: _Optional[str] = ..., windows: _Optional[_Iterable[_Union[WindowRef, _Mapping]]] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., state: _Optional[_Union[UsageState, str]] = ..., cost_nanousd: _Optional[int] = ..., hold_nanousd: _Optional[int] = ..., requested_model: _Optional[str] = ..., response_model: _Optional[str] = ..., status: _Optional[int] = ..., begin_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., latency_ms: _Optional[int] = ..., first_byte_ms: _Optional[int] = ..., stream: _Optional[bool] = ..., failover: _Optional[bool] = ..., cached: _Optional[bool] = ..., finish: _Optional[str] = ..., cf_log_id: _Optional[str] = ..., end_user: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., router_id: _Optional[str] = ..., kept_objects: _Optional[_Iterable[_Union[KeptObject, _Mapping]]] = ...) -> None: ...

class KeptObject(_message.Message):
    __slots__ = ("object_id", "kind", "provider_id", "pending", "batch_input")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    BATCH_INPUT_FIELD_NUMBER: _ClassVar[int]
    object_id: str
    kind: str
    provider_id: str
    pending: bool
    batch_input: BatchInput
    def __init__(self, object_id: _Optional[str] = ..., kind: _Optional[str] = ..., provider_id: _Optional[str] = ..., pending: _Optional[bool] = ..., batch_input: _Optional[_Union[BatchInput, _Mapping]] = ...) -> None: ...

class BatchInput(_message.Message):
    __slots__ = ("model", "endpoint", "request_count", "input_tokens", "beyond_file", "choice_count", "output_tokens", "web_searches")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    BEYOND_FILE_FIELD_NUMBER: _ClassVar[int]
    CHOICE_COUNT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    WEB_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    model: str
    endpoint: str
    request_count: int
    input_tokens: int
    beyond_file: bool
    choice_count: int
    output_tokens: int
    web_searches: int
    def __init__(self, model: _Optional[str] = ..., endpoint: _Optional[str] = ..., request_count: _Optional[int] = ..., input_tokens: _Optional[int] = ..., beyond_file: _Optional[bool] = ..., choice_count: _Optional[int] = ..., output_tokens: _Optional[int] = ..., web_searches: _Optional[int] = ...) -> None: ...

class SettleRequest(_message.Message):
    __slots__ = ("incarnation_id", "records", "reports")
    INCARNATION_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    incarnation_id: str
    records: _containers.RepeatedCompositeFieldContainer[UsageRecord]
    reports: _containers.RepeatedCompositeFieldContainer[LeaseReport]
    def __init__(self, incarnation_id: _Optional[str] = ..., records: _Optional[_Iterable[_Union[UsageRecord, _Mapping]]] = ..., reports: _Optional[_Iterable[_Union[LeaseReport, _Mapping]]] = ...) -> None: ...

class SettleResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedScalarFieldContainer[SettleOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[SettleOutcome, str]]] = ...) -> None: ...

class CloseIncarnationRequest(_message.Message):
    __slots__ = ("incarnation_id", "last_sequence")
    INCARNATION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    incarnation_id: str
    last_sequence: int
    def __init__(self, incarnation_id: _Optional[str] = ..., last_sequence: _Optional[int] = ...) -> None: ...

class CloseIncarnationResponse(_message.Message):
    __slots__ = ("freed_nanousd", "gap_count")
    FREED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    GAP_COUNT_FIELD_NUMBER: _ClassVar[int]
    freed_nanousd: int
    gap_count: int
    def __init__(self, freed_nanousd: _Optional[int] = ..., gap_count: _Optional[int] = ...) -> None: ...

class CountMissingModelsRequest(_message.Message):
    __slots__ = ("counts",)
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[MissingModelCount]
    def __init__(self, counts: _Optional[_Iterable[_Union[MissingModelCount, _Mapping]]] = ...) -> None: ...

class MissingModelCount(_message.Message):
    __slots__ = ("customer_id", "model", "request_count")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    model: str
    request_count: int
    def __init__(self, customer_id: _Optional[str] = ..., model: _Optional[str] = ..., request_count: _Optional[int] = ...) -> None: ...

class CountMissingModelsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReportRefusalsRequest(_message.Message):
    __slots__ = ("refusals",)
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    refusals: _containers.RepeatedCompositeFieldContainer[RefusedRequest]
    def __init__(self, refusals: _Optional[_Iterable[_Union[RefusedRequest, _Mapping]]] = ...) -> None: ...

class RefusedRequest(_message.Message):
    __slots__ = ("usage_id", "customer_id", "key_id", "team_id", "user_id", "router_id", "end_user", "tags", "requested_model", "stream", "status", "reason", "scope", "time", "latency_ms", "omitted_count")
    USAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    END_USER_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    OMITTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    usage_id: str
    customer_id: str
    key_id: str
    team_id: str
    user_id: str
    router_id: str
    end_user: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    requested_model: str
    stream: bool
    status: int
    reason: str
    scope: str
    time: _timestamp_pb2.Timestamp
    latency_ms: int
    omitted_count: int
    def __init__(self, usage_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., key_id: _Optional[str] = ..., team_id: _Optional[str] = ..., user_id: _Optional[str] = ..., router_id: _Optional[str] = ..., end_user: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., requested_model: _Optional[str] = ..., stream: _Optional[bool] = ..., status: _Optional[int] = ..., reason: _Optional[str] = ..., scope: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., latency_ms: _Optional[int] = ..., omitted_count: _Optional[int] = ...) -> None: ...

class ReportRefusalsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShowKeyRequest(_message.Message):
    __slots__ = ("customer_id", "key_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    key_id: str
    def __init__(self, customer_id: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...

class ShowKeyResponse(_message.Message):
    __slots__ = ("key", "budgets")
    KEY_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    key: _keys_pb2.Key
    budgets: _containers.RepeatedCompositeFieldContainer[_budgets_pb2.Budget]
    def __init__(self, key: _Optional[_Union[_keys_pb2.Key, _Mapping]] = ..., budgets: _Optional[_Iterable[_Union[_budgets_pb2.Budget, _Mapping]]] = ...) -> None: ...

class FindKeptObjectsRequest(_message.Message):
    __slots__ = ("customer_id", "object_ids", "wait")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    object_ids: _containers.RepeatedScalarFieldContainer[str]
    wait: _duration_pb2.Duration
    def __init__(self, customer_id: _Optional[str] = ..., object_ids: _Optional[_Iterable[str]] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class FindKeptObjectsResponse(_message.Message):
    __slots__ = ("objects",)
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[FoundObject]
    def __init__(self, objects: _Optional[_Iterable[_Union[FoundObject, _Mapping]]] = ...) -> None: ...

class FoundObject(_message.Message):
    __slots__ = ("object_id", "kind", "provider_id", "usage_id", "pending", "batch_input")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    BATCH_INPUT_FIELD_NUMBER: _ClassVar[int]
    object_id: str
    kind: str
    provider_id: str
    usage_id: str
    pending: bool
    batch_input: BatchInput
    def __init__(self, object_id: _Optional[str] = ..., kind: _Optional[str] = ..., provider_id: _Optional[str] = ..., usage_id: _Optional[str] = ..., pending: _Optional[bool] = ..., batch_input: _Optional[_Union[BatchInput, _Mapping]] = ...) -> None: ...

class ScanKeptObjectsRequest(_message.Message):
    __slots__ = ("customer_id", "kind", "page_size", "before_object_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    kind: str
    page_size: int
    before_object_id: str
    def __init__(self, customer_id: _Optional[str] = ..., kind: _Optional[str] = ..., page_size: _Optional[int] = ..., before_object_id: _Optional[str] = ...) -> None: ...

class ScanKeptObjectsResponse(_message.Message):
    __slots__ = ("objects",)
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[FoundObject]
    def __init__(self, objects: _Optional[_Iterable[_Union[FoundObject, _Mapping]]] = ...) -> None: ...

class ClaimPendingObjectsRequest(_message.Message):
    __slots__ = ("kinds", "count")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    count: int
    def __init__(self, kinds: _Optional[_Iterable[str]] = ..., count: _Optional[int] = ...) -> None: ...

class ClaimPendingObjectsResponse(_message.Message):
    __slots__ = ("objects", "next_in")
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_IN_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[PendingObject]
    next_in: _duration_pb2.Duration
    def __init__(self, objects: _Optional[_Iterable[_Union[PendingObject, _Mapping]]] = ..., next_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class PendingObject(_message.Message):
    __slots__ = ("object", "age", "grant")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    object: FoundObject
    age: _duration_pb2.Duration
    grant: Grant
    def __init__(self, object: _Optional[_Union[FoundObject, _Mapping]] = ..., age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., grant: _Optional[_Union[Grant, _Mapping]] = ...) -> None: ...

class ReportKeptObjectRequest(_message.Message):
    __slots__ = ("customer_id", "object_id", "usage", "response_model", "finish", "kept_objects", "why_unknown")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_MODEL_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    KEPT_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    WHY_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    object_id: str
    usage: Usage
    response_model: str
    finish: str
    kept_objects: _containers.RepeatedCompositeFieldContainer[KeptObject]
    why_unknown: str
    def __init__(self, customer_id: _Optional[str] = ..., object_id: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., response_model: _Optional[str] = ..., finish: _Optional[str] = ..., kept_objects: _Optional[_Iterable[_Union[KeptObject, _Mapping]]] = ..., why_unknown: _Optional[str] = ...) -> None: ...

class ReportKeptObjectResponse(_message.Message):
    __slots__ = ("outcome", "cost_nanousd")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    outcome: SettleOutcome
    cost_nanousd: int
    def __init__(self, outcome: _Optional[_Union[SettleOutcome, str]] = ..., cost_nanousd: _Optional[int] = ...) -> None: ...

class DeleteKeptObjectRequest(_message.Message):
    __slots__ = ("customer_id", "object_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    object_id: str
    def __init__(self, customer_id: _Optional[str] = ..., object_id: _Optional[str] = ...) -> None: ...

class DeleteKeptObjectResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("incarnation_id", "lease_ids", "customers", "price_version", "edge_name")
    INCARNATION_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_IDS_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    PRICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    EDGE_NAME_FIELD_NUMBER: _ClassVar[int]
    incarnation_id: str
    lease_ids: _containers.RepeatedScalarFieldContainer[str]
    customers: _containers.RepeatedCompositeFieldContainer[CustomerVersion]
    price_version: int
    edge_name: str
    def __init__(self, incarnation_id: _Optional[str] = ..., lease_ids: _Optional[_Iterable[str]] = ..., customers: _Optional[_Iterable[_Union[CustomerVersion, _Mapping]]] = ..., price_version: _Optional[int] = ..., edge_name: _Optional[str] = ...) -> None: ...

class CustomerVersion(_message.Message):
    __slots__ = ("customer_id", "version")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    version: int
    def __init__(self, customer_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("hello", "heartbeat", "customer_changed", "price_book", "recall", "room")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_CHANGED_FIELD_NUMBER: _ClassVar[int]
    PRICE_BOOK_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    heartbeat: Heartbeat
    customer_changed: CustomerChanged
    price_book: PriceBook
    recall: Recall
    room: Room
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., customer_changed: _Optional[_Union[CustomerChanged, _Mapping]] = ..., price_book: _Optional[_Union[PriceBook, _Mapping]] = ..., recall: _Optional[_Union[Recall, _Mapping]] = ..., room: _Optional[_Union[Room, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("database_timeline",)
    DATABASE_TIMELINE_FIELD_NUMBER: _ClassVar[int]
    database_timeline: str
    def __init__(self, database_timeline: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CustomerChanged(_message.Message):
    __slots__ = ("customer_id", "version", "urgent_version", "change_time")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    URGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    version: int
    urgent_version: int
    change_time: _timestamp_pb2.Timestamp
    def __init__(self, customer_id: _Optional[str] = ..., version: _Optional[int] = ..., urgent_version: _Optional[int] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PriceBook(_message.Message):
    __slots__ = ("version", "prices", "full", "last")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    version: int
    prices: _containers.RepeatedCompositeFieldContainer[_prices_pb2.Price]
    full: bool
    last: bool
    def __init__(self, version: _Optional[int] = ..., prices: _Optional[_Iterable[_Union[_prices_pb2.Price, _Mapping]]] = ..., full: _Optional[bool] = ..., last: _Optional[bool] = ...) -> None: ...

class Recall(_message.Message):
    __slots__ = ("customer_id", "budget_id", "start_time", "mark_for")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    MARK_FOR_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    budget_id: str
    start_time: _timestamp_pb2.Timestamp
    mark_for: _duration_pb2.Duration
    def __init__(self, customer_id: _Optional[str] = ..., budget_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mark_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Room(_message.Message):
    __slots__ = ("customer_id", "budget_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    budget_id: str
    def __init__(self, customer_id: _Optional[str] = ..., budget_id: _Optional[str] = ...) -> None: ...
