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

class PricePlan(_message.Message):
    __slots__ = ("price_plan_id", "name", "markup_ppm", "model_markups", "granted_to_all", "etag", "create_time", "delete_time")
    PRICE_PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MARKUP_PPM_FIELD_NUMBER: _ClassVar[int]
    MODEL_MARKUPS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_TO_ALL_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DELETE_TIME_FIELD_NUMBER: _ClassVar[int]
    price_plan_id: str
    name: str
    markup_ppm: int
    model_markups: _containers.RepeatedCompositeFieldContainer[ModelMarkup]
    granted_to_all: bool
    etag: str
    create_time: _timestamp_pb2.Timestamp
    delete_time: _timestamp_pb2.Timestamp
    def __init__(self, price_plan_id: _Optional[str] = ..., name: _Optional[str] = ..., markup_ppm: _Optional[int] = ..., model_markups: _Optional[_Iterable[_Union[ModelMarkup, _Mapping]]] = ..., granted_to_all: _Optional[bool] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ModelMarkup(_message.Message):
    __slots__ = ("pattern", "markup_ppm")
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    MARKUP_PPM_FIELD_NUMBER: _ClassVar[int]
    pattern: str
    markup_ppm: int
    def __init__(self, pattern: _Optional[str] = ..., markup_ppm: _Optional[int] = ...) -> None: ...

class CreatePricePlanRequest(_message.Message):
    __slots__ = ("price_plan", "request_id")
    PRICE_PLAN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    price_plan: PricePlan
    request_id: str
    def __init__(self, price_plan: _Optional[_Union[PricePlan, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetPricePlanRequest(_message.Message):
    __slots__ = ("price_plan_id",)
    PRICE_PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    price_plan_id: str
    def __init__(self, price_plan_id: _Optional[str] = ...) -> None: ...

class ListPricePlansRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPricePlansResponse(_message.Message):
    __slots__ = ("price_plans", "next_page_token")
    PRICE_PLANS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    price_plans: _containers.RepeatedCompositeFieldContainer[PricePlan]
    next_page_token: str
    def __init__(self, price_plans: _Optional[_Iterable[_Union[PricePlan, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdatePricePlanRequest(_message.Message):
    __slots__ = ("price_plan", "update_mask")
    PRICE_PLAN_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    price_plan: PricePlan
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, price_plan: _Optional[_Union[PricePlan, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class DeletePricePlanRequest(_message.Message):
    __slots__ = ("price_plan_id", "etag", "force")
    PRICE_PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    price_plan_id: str
    etag: str
    force: bool
    def __init__(self, price_plan_id: _Optional[str] = ..., etag: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...
