"""What the contract says about HTTP: the bindings of all its methods, read from the generated descriptors."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass

from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import tollkeeper.v1
from edge.rest.paths import Template

FieldBehavior = field_behavior_pb2.FieldBehavior
# What a format's name ends with.
_MEDIA_TYPES = {"_CSV": "text/csv", "_JSONL": "application/x-ndjson"}
_PATTERNS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to call one method over HTTP."""

    rpc: MethodDescriptor
    method: str
    template: str
    body: str
    """The request's field that the body is; `*`: the request itself; empty: there is none."""
    answer: str
    """The answer's text field that goes out as it is; empty: the answer itself, as JSON."""
    number: int
    """0 for a method's first binding, counting its additional ones."""

    @property
    def request_class(self) -> type[Message]:
        return GetMessageClass(self.rpc.input_type)

    @property
    def answer_class(self) -> type[Message]:
        return GetMessageClass(self.rpc.output_type)

    @property
    def rpc_path(self) -> str:
        """As gRPC names methods."""
        return f"/{self.rpc.containing_service.full_name}/{self.rpc.name}"

    @property
    def path_fields(self) -> tuple[str, ...]:
        """Dotted names of the fields that come from the path."""
        return Template.parse(self.template).variables

    @property
    def media_types(self) -> dict[int, str]:
        """Of a text answer, by the value of the request's `format`; empty without such a field."""
        field = self.rpc.input_type.fields_by_name.get("format")
        if not self.answer or field is None or field.enum_type is None:
            return {}
        return {
            value.number: media_type
            for value in field.enum_type.values
            for suffix, media_type in _MEDIA_TYPES.items()
            if value.name.endswith(suffix)
        }

    @property
    def body_message(self) -> Descriptor | None:
        """What the body is parsed as."""
        if not self.body:
            return None
        if self.body == "*":
            return self.rpc.input_type
        return self.rpc.input_type.fields_by_name[self.body].message_type


def files() -> list[FileDescriptor]:
    """Every file of the contract; a new one needs no mention here."""
    names = [module.name for module in pkgutil.iter_modules(tollkeeper.v1.__path__)]
    modules = [
        importlib.import_module(f"tollkeeper.v1.{name}") for name in sorted(names) if name.endswith("_pb2")
    ]
    return [module.DESCRIPTOR for module in modules]


def bindings() -> list[Binding]:
    """Of every method that says how it is called over HTTP, in the contract's order."""
    return [
        binding
        for file in files()
        for service in file.services_by_name.values()
        for rpc in service.methods
        for binding in _of(rpc)
    ]


def _of(rpc: MethodDescriptor) -> Iterator[Binding]:
    options = rpc.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return
    rule = options.Extensions[annotations_pb2.http]
    for number, each in enumerate((rule, *rule.additional_bindings)):
        pattern = each.WhichOneof("pattern")
        if pattern not in _PATTERNS:
            raise ValueError(f"{rpc.full_name}: {pattern} is no HTTP method this facade serves")
        yield Binding(rpc, pattern.upper(), getattr(each, pattern), each.body, each.response_body, number)


def behaviors(field: FieldDescriptor) -> frozenset[int]:
    """google.api.field_behavior of a field."""
    return frozenset(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])
