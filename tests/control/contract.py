"""What the contract's descriptors say, for tests that are generated over all of it."""

import importlib
import pkgutil
from typing import Any

from google.protobuf.descriptor import MethodDescriptor

import tollkeeper.v1


def contract_methods() -> dict[str, MethodDescriptor]:
    """Every method of the contract by its full name."""
    methods = {}
    for module in pkgutil.iter_modules(tollkeeper.v1.__path__):
        if module.name.endswith("_pb2"):
            file: Any = importlib.import_module(f"tollkeeper.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                methods |= {f"/{service.full_name}/{method.name}": method for method in service.methods}
    return methods


METHODS = contract_methods()
