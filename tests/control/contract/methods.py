"""Every method and message of the contract, by reflection over the generated modules."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import tollkeeper.v1


def _methods() -> Iterator[tuple[str, MethodDescriptor]]:
    for module in pkgutil.iter_modules(tollkeeper.v1.__path__):
        if module.name.endswith("_pb2"):
            file: Any = importlib.import_module(f"tollkeeper.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                for method in service.methods:
                    yield f"/{service.full_name}/{method.name}", method


# By full name, as gRPC calls them.
METHODS: dict[str, MethodDescriptor] = dict(_methods())
SERVICES = sorted({name.split("/")[1].rpartition(".")[2] for name in METHODS})


def methods_of(service: str) -> list[str]:
    """Full names of a service's methods."""
    return sorted(name for name in METHODS if name.split("/")[1].endswith(f".{service}"))


def request_of(method: str) -> Message:
    """An empty request."""
    return GetMessageClass(METHODS[method].input_type)()


def answer_class(method: str) -> type[Message]:
    """The class of what it answers."""
    return GetMessageClass(METHODS[method].output_type)


def short(method: str) -> str:
    """`/tollkeeper.v1.TeamsService/GetTeam` → `GetTeam`."""
    return method.rpartition("/")[2]


def snake(name: str) -> str:
    """`ApiToken` → `api_token`."""
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")


def behaves(field: FieldDescriptor, behavior: int) -> bool:
    """Whether the field is annotated so (REQUIRED, OUTPUT_ONLY, ...)."""
    return behavior in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def resource_field(request: Descriptor) -> FieldDescriptor | None:
    """The message that a Create or Update request is about: `team` of CreateTeamRequest."""
    for verb in ("Create", "Update"):
        if request.name.startswith(verb):
            return request.fields_by_name.get(snake(request.name.removeprefix(verb).removesuffix("Request")))
    return None
