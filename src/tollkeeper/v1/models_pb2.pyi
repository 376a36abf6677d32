from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetCloudflareModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CloudflareModels(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[CloudflareModel]
    def __init__(self, models: _Optional[_Iterable[_Union[CloudflareModel, _Mapping]]] = ...) -> None: ...

class CloudflareModel(_message.Message):
    __slots__ = ("id", "name", "description", "task")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    description: str
    task: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., task: _Optional[str] = ...) -> None: ...
