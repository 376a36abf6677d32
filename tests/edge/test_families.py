"""What the edge serves, all of it."""

import pkgutil
from importlib import import_module

import edge.families
from edge.families import Family
from tollkeeper.operations import FAMILIES, Operation


def served() -> dict[str, Family]:
    """Every family, by name."""
    found: dict[str, Family] = {}
    for module in pkgutil.iter_modules(edge.families.__path__, "edge.families."):
        held = vars(import_module(module.name)).values()
        found |= {each.name: each for each in held if isinstance(each, Family)}
    return found


def operations(family: Family) -> frozenset[Operation]:
    """What its requests may be asked of a vendor as."""
    return frozenset(each.operation(stream) for each in family.formats.values() for stream in (False, True))


def test_dry_runs_know_every_family() -> None:
    """The control plane's table of families is the edge's, but for vendors' own paths, which no list has."""
    found = {name: family for name, family in served().items() if not family.passes}
    assert found.keys() == FAMILIES.keys()
    for name, family in found.items():
        assert operations(family) <= FAMILIES[name], name
