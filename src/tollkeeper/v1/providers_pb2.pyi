import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Provider(_message.Message):
    __slots__ = ("provider_id", "customer_id", "name", "provider_type", "base_url", "credential", "has_credential", "stored_key_alias", "disabled", "direct", "platform", "granted_to_all", "granted_customer_ids", "etag", "create_time", "delete_time", "removed", "models", "passthrough_paths")
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    HAS_CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    STORED_KEY_ALIAS_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    DIRECT_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    GRANTED_TO_ALL_FIELD_NUMBER: _ClassVar[int]
    GRANTED_CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DELETE_TIME_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    PASSTHROUGH_PATHS_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    customer_id: str
    name: str
    provider_type: str
    base_url: str
    credential: str
    has_credential: bool
    stored_key_alias: str
    disabled: bool
    direct: bool
    platform: bool
    granted_to_all: bool
    granted_customer_ids: _containers.RepeatedScalarFieldContainer[str]
    etag: str
    create_time: _timestamp_pb2.Timestamp
    delete_time: _timestamp_pb2.Timestamp
    removed: Removed
    models: _containers.RepeatedScalarFieldContainer[str]
    passthrough_paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, provider_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., name: _Optional[str] = ..., provider_type: _Optional[str] = ..., base_url: _Optional[str] = ..., credential: _Optional[str] = ..., has_credential: _Optional[bool] = ..., stored_key_alias: _Optional[str] = ..., disabled: _Optional[bool] = ..., direct: _Optional[bool] = ..., platform: _Optional[bool] = ..., granted_to_all: _Optional[bool] = ..., granted_customer_ids: _Optional[_Iterable[str]] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., removed: _Optional[_Union[Removed, _Mapping]] = ..., models: _Optional[_Iterable[str]] = ..., passthrough_paths: _Optional[_Iterable[str]] = ...) -> None: ...

class Removed(_message.Message):
    __slots__ = ("routing_rule_count", "price_count", "key_count")
    ROUTING_RULE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PRICE_COUNT_FIELD_NUMBER: _ClassVar[int]
    KEY_COUNT_FIELD_NUMBER: _ClassVar[int]
    routing_rule_count: int
    price_count: int
    key_count: int
    def __init__(self, routing_rule_count: _Optional[int] = ..., price_count: _Optional[int] = ..., key_count: _Optional[int] = ...) -> None: ...

class CreateProviderRequest(_message.Message):
    __slots__ = ("provider", "request_id", "number_taken_name")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_TAKEN_NAME_FIELD_NUMBER: _ClassVar[int]
    provider: Provider
    request_id: str
    number_taken_name: bool
    def __init__(self, provider: _Optional[_Union[Provider, _Mapping]] = ..., request_id: _Optional[str] = ..., number_taken_name: _Optional[bool] = ...) -> None: ...

class GetProviderRequest(_message.Message):
    __slots__ = ("customer_id", "provider_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    provider_id: str
    def __init__(self, customer_id: _Optional[str] = ..., provider_id: _Optional[str] = ...) -> None: ...

class ListProvidersRequest(_message.Message):
    __slots__ = ("customer_id", "page_size", "page_token")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    page_size: int
    page_token: str
    def __init__(self, customer_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListProvidersResponse(_message.Message):
    __slots__ = ("providers", "next_page_token")
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[Provider]
    next_page_token: str
    def __init__(self, providers: _Optional[_Iterable[_Union[Provider, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateProviderRequest(_message.Message):
    __slots__ = ("provider", "update_mask", "force")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    provider: Provider
    update_mask: _field_mask_pb2.FieldMask
    force: bool
    def __init__(self, provider: _Optional[_Union[Provider, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., force: _Optional[bool] = ...) -> None: ...

class DeleteProviderRequest(_message.Message):
    __slots__ = ("customer_id", "provider_id", "etag", "force")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    provider_id: str
    etag: str
    force: bool
    def __init__(self, customer_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., etag: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class TestProviderRequest(_message.Message):
    __slots__ = ("customer_id", "provider", "provider_id", "model")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    provider: Provider
    provider_id: str
    model: str
    def __init__(self, customer_id: _Optional[str] = ..., provider: _Optional[_Union[Provider, _Mapping]] = ..., provider_id: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class TestProviderResponse(_message.Message):
    __slots__ = ("ok", "http_status", "latency_ms", "message", "models")
    OK_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    http_status: int
    latency_ms: int
    message: str
    models: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ok: _Optional[bool] = ..., http_status: _Optional[int] = ..., latency_ms: _Optional[int] = ..., message: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ...) -> None: ...

class ListProviderTypesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListProviderTypesResponse(_message.Message):
    __slots__ = ("provider_types", "next_page_token")
    PROVIDER_TYPES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    provider_types: _containers.RepeatedCompositeFieldContainer[ProviderType]
    next_page_token: str
    def __init__(self, provider_types: _Optional[_Iterable[_Union[ProviderType, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ProviderType(_message.Message):
    __slots__ = ("provider_type", "aliases", "cloudflare_slug", "served", "through_cloudflare", "direct", "direct_base_url", "needs_base_url", "unified_billing")
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    CLOUDFLARE_SLUG_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    THROUGH_CLOUDFLARE_FIELD_NUMBER: _ClassVar[int]
    DIRECT_FIELD_NUMBER: _ClassVar[int]
    DIRECT_BASE_URL_FIELD_NUMBER: _ClassVar[int]
    NEEDS_BASE_URL_FIELD_NUMBER: _ClassVar[int]
    UNIFIED_BILLING_FIELD_NUMBER: _ClassVar[int]
    provider_type: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    cloudflare_slug: str
    served: bool
    through_cloudflare: bool
    direct: bool
    direct_base_url: str
    needs_base_url: bool
    unified_billing: bool
    def __init__(self, provider_type: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., cloudflare_slug: _Optional[str] = ..., served: _Optional[bool] = ..., through_cloudflare: _Optional[bool] = ..., direct: _Optional[bool] = ..., direct_base_url: _Optional[str] = ..., needs_base_url: _Optional[bool] = ..., unified_billing: _Optional[bool] = ...) -> None: ...
