import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PriceSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRICE_SOURCE_UNSPECIFIED: _ClassVar[PriceSource]
    PRICE_SOURCE_GENAI_PRICES: _ClassVar[PriceSource]
    PRICE_SOURCE_JSON: _ClassVar[PriceSource]
    PRICE_SOURCE_CSV: _ClassVar[PriceSource]

class PriceChangeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRICE_CHANGE_KIND_UNSPECIFIED: _ClassVar[PriceChangeKind]
    PRICE_CHANGE_KIND_ADDED: _ClassVar[PriceChangeKind]
    PRICE_CHANGE_KIND_CHANGED: _ClassVar[PriceChangeKind]
    PRICE_CHANGE_KIND_UNCHANGED: _ClassVar[PriceChangeKind]
    PRICE_CHANGE_KIND_SKIPPED: _ClassVar[PriceChangeKind]
PRICE_SOURCE_UNSPECIFIED: PriceSource
PRICE_SOURCE_GENAI_PRICES: PriceSource
PRICE_SOURCE_JSON: PriceSource
PRICE_SOURCE_CSV: PriceSource
PRICE_CHANGE_KIND_UNSPECIFIED: PriceChangeKind
PRICE_CHANGE_KIND_ADDED: PriceChangeKind
PRICE_CHANGE_KIND_CHANGED: PriceChangeKind
PRICE_CHANGE_KIND_UNCHANGED: PriceChangeKind
PRICE_CHANGE_KIND_SKIPPED: PriceChangeKind

class Price(_message.Message):
    __slots__ = ("price_id", "customer_id", "provider_id", "provider_type", "model", "rates", "max_output_tokens", "context_tokens", "effective_time", "end_time", "create_time", "starts_in", "ends_in")
    PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RATES_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    STARTS_IN_FIELD_NUMBER: _ClassVar[int]
    ENDS_IN_FIELD_NUMBER: _ClassVar[int]
    price_id: str
    customer_id: str
    provider_id: str
    provider_type: str
    model: str
    rates: Rates
    max_output_tokens: int
    context_tokens: int
    effective_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    starts_in: _duration_pb2.Duration
    ends_in: _duration_pb2.Duration
    def __init__(self, price_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., provider_type: _Optional[str] = ..., model: _Optional[str] = ..., rates: _Optional[_Union[Rates, _Mapping]] = ..., max_output_tokens: _Optional[int] = ..., context_tokens: _Optional[int] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., starts_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ends_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Rates(_message.Message):
    __slots__ = ("input", "cached_input", "cache_write", "audio_input", "output", "reasoning", "audio_output", "request", "web_search", "steps", "cache_write_1h", "image_input", "image_output", "image", "second", "character", "tiers")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_FIELD_NUMBER: _ClassVar[int]
    AUDIO_INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    AUDIO_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    WEB_SEARCH_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_FIELD_NUMBER: _ClassVar[int]
    IMAGE_INPUT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_FIELD_NUMBER: _ClassVar[int]
    TIERS_FIELD_NUMBER: _ClassVar[int]
    input: int
    cached_input: int
    cache_write: int
    audio_input: int
    output: int
    reasoning: int
    audio_output: int
    request: int
    web_search: int
    steps: _containers.RepeatedCompositeFieldContainer[RateStep]
    cache_write_1h: int
    image_input: int
    image_output: int
    image: int
    second: int
    character: int
    tiers: _containers.RepeatedCompositeFieldContainer[RateTier]
    def __init__(self, input: _Optional[int] = ..., cached_input: _Optional[int] = ..., cache_write: _Optional[int] = ..., audio_input: _Optional[int] = ..., output: _Optional[int] = ..., reasoning: _Optional[int] = ..., audio_output: _Optional[int] = ..., request: _Optional[int] = ..., web_search: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[RateStep, _Mapping]]] = ..., cache_write_1h: _Optional[int] = ..., image_input: _Optional[int] = ..., image_output: _Optional[int] = ..., image: _Optional[int] = ..., second: _Optional[int] = ..., character: _Optional[int] = ..., tiers: _Optional[_Iterable[_Union[RateTier, _Mapping]]] = ...) -> None: ...

class RateTier(_message.Message):
    __slots__ = ("service_tier", "rates")
    SERVICE_TIER_FIELD_NUMBER: _ClassVar[int]
    RATES_FIELD_NUMBER: _ClassVar[int]
    service_tier: str
    rates: Rates
    def __init__(self, service_tier: _Optional[str] = ..., rates: _Optional[_Union[Rates, _Mapping]] = ...) -> None: ...

class RateStep(_message.Message):
    __slots__ = ("above_input_tokens", "rates")
    ABOVE_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    RATES_FIELD_NUMBER: _ClassVar[int]
    above_input_tokens: int
    rates: Rates
    def __init__(self, above_input_tokens: _Optional[int] = ..., rates: _Optional[_Union[Rates, _Mapping]] = ...) -> None: ...

class CreatePriceRequest(_message.Message):
    __slots__ = ("price", "request_id")
    PRICE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    price: Price
    request_id: str
    def __init__(self, price: _Optional[_Union[Price, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetPriceRequest(_message.Message):
    __slots__ = ("price_id",)
    PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    price_id: str
    def __init__(self, price_id: _Optional[str] = ...) -> None: ...

class ListPricesRequest(_message.Message):
    __slots__ = ("customer_id", "page_size", "page_token", "model", "show_ended")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SHOW_ENDED_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    page_size: int
    page_token: str
    model: str
    show_ended: bool
    def __init__(self, customer_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., model: _Optional[str] = ..., show_ended: _Optional[bool] = ...) -> None: ...

class ListPricesResponse(_message.Message):
    __slots__ = ("prices", "next_page_token")
    PRICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    prices: _containers.RepeatedCompositeFieldContainer[Price]
    next_page_token: str
    def __init__(self, prices: _Optional[_Iterable[_Union[Price, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeletePriceRequest(_message.Message):
    __slots__ = ("price_id",)
    PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    price_id: str
    def __init__(self, price_id: _Optional[str] = ...) -> None: ...

class MissingModel(_message.Message):
    __slots__ = ("model", "request_count", "last_seen_time", "customer_count")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_COUNT_FIELD_NUMBER: _ClassVar[int]
    model: str
    request_count: int
    last_seen_time: _timestamp_pb2.Timestamp
    customer_count: int
    def __init__(self, model: _Optional[str] = ..., request_count: _Optional[int] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., customer_count: _Optional[int] = ...) -> None: ...

class ListMissingModelsRequest(_message.Message):
    __slots__ = ("customer_id", "page_size", "page_token")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    page_size: int
    page_token: str
    def __init__(self, customer_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMissingModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[MissingModel]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[MissingModel, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReRateUsageRequest(_message.Message):
    __slots__ = ("customer_id", "start_time", "end_time", "provider_type", "model", "dry_run", "page_size", "page_token")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    provider_type: str
    model: str
    dry_run: bool
    page_size: int
    page_token: str
    def __init__(self, customer_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., provider_type: _Optional[str] = ..., model: _Optional[str] = ..., dry_run: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ReRateUsageResponse(_message.Message):
    __slots__ = ("customers", "next_page_token", "re_rating_id")
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RE_RATING_ID_FIELD_NUMBER: _ClassVar[int]
    customers: _containers.RepeatedCompositeFieldContainer[CustomerReRating]
    next_page_token: str
    re_rating_id: str
    def __init__(self, customers: _Optional[_Iterable[_Union[CustomerReRating, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., re_rating_id: _Optional[str] = ...) -> None: ...

class ReRating(_message.Message):
    __slots__ = ("re_rating_id", "customer_id", "start_time", "end_time", "provider_type", "model", "request_count", "changed_count", "before_nanousd", "after_nanousd")
    RE_RATING_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    AFTER_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    re_rating_id: str
    customer_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    provider_type: str
    model: str
    request_count: int
    changed_count: int
    before_nanousd: int
    after_nanousd: int
    def __init__(self, re_rating_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., provider_type: _Optional[str] = ..., model: _Optional[str] = ..., request_count: _Optional[int] = ..., changed_count: _Optional[int] = ..., before_nanousd: _Optional[int] = ..., after_nanousd: _Optional[int] = ...) -> None: ...

class CustomerReRating(_message.Message):
    __slots__ = ("customer_id", "request_count", "changed_count", "before_nanousd", "after_nanousd", "unpriced_count")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    AFTER_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_COUNT_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    request_count: int
    changed_count: int
    before_nanousd: int
    after_nanousd: int
    unpriced_count: int
    def __init__(self, customer_id: _Optional[str] = ..., request_count: _Optional[int] = ..., changed_count: _Optional[int] = ..., before_nanousd: _Optional[int] = ..., after_nanousd: _Optional[int] = ..., unpriced_count: _Optional[int] = ...) -> None: ...

class ImportPricesRequest(_message.Message):
    __slots__ = ("source", "content", "dry_run", "digest")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    source: PriceSource
    content: bytes
    dry_run: bool
    digest: str
    def __init__(self, source: _Optional[_Union[PriceSource, str]] = ..., content: _Optional[bytes] = ..., dry_run: _Optional[bool] = ..., digest: _Optional[str] = ...) -> None: ...

class ImportPricesResponse(_message.Message):
    __slots__ = ("changes", "source", "added_count", "changed_count", "unchanged_count", "skipped_count", "closed_own_count", "digest")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ADDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_OWN_COUNT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[PriceChange]
    source: str
    added_count: int
    changed_count: int
    unchanged_count: int
    skipped_count: int
    closed_own_count: int
    digest: str
    def __init__(self, changes: _Optional[_Iterable[_Union[PriceChange, _Mapping]]] = ..., source: _Optional[str] = ..., added_count: _Optional[int] = ..., changed_count: _Optional[int] = ..., unchanged_count: _Optional[int] = ..., skipped_count: _Optional[int] = ..., closed_own_count: _Optional[int] = ..., digest: _Optional[str] = ...) -> None: ...

class PriceChange(_message.Message):
    __slots__ = ("kind", "provider_type", "model", "before", "after", "why", "closed_own_prices")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    CLOSED_OWN_PRICES_FIELD_NUMBER: _ClassVar[int]
    kind: PriceChangeKind
    provider_type: str
    model: str
    before: Price
    after: Price
    why: str
    closed_own_prices: _containers.RepeatedCompositeFieldContainer[Price]
    def __init__(self, kind: _Optional[_Union[PriceChangeKind, str]] = ..., provider_type: _Optional[str] = ..., model: _Optional[str] = ..., before: _Optional[_Union[Price, _Mapping]] = ..., after: _Optional[_Union[Price, _Mapping]] = ..., why: _Optional[str] = ..., closed_own_prices: _Optional[_Iterable[_Union[Price, _Mapping]]] = ...) -> None: ...
