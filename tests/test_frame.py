"""The frame that everything is built in (C1 to C5): what is where, on what it stands, and who knows whom."""

import ast
import re
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"


def imported(package: str) -> set[str]:
    """All modules that the modules of a package import, also within functions."""
    modules: set[str] = set()
    for path in (SOURCE / package.replace(".", "/")).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module)
    return modules


def test_c2_the_libraries() -> None:
    """Those that C2 names are what it runs on, or what tests it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    said = str(project["project"]["dependencies"]) + str(project["dependency-groups"]["tests"])
    named = ("grpcio", "protobuf", "sanic", "sqlalchemy", "psycopg", "prometheus-client", "httpx", "pytest")
    assert [name for name in named if name not in said.lower()] == []


def test_c3_the_top_level() -> None:
    """Where a newcomer looks first."""
    names = ("proto", "pyproject.toml", "src/control", "src/edge", "src/clients", "tests", "README.md")
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("package", "never"),
    [
        ("edge", ("control", "sqlalchemy", "psycopg", "supervisor", "simulator")),
        ("control", ("edge", "sanic", "supervisor", "simulator")),
        ("clients", ("control", "edge")),
        ("control.domain", ("sqlalchemy", "grpc", "time", "control.store", "control.services")),
        ("control.services", ("sqlalchemy", "psycopg")),
        ("simulator", ("tollkeeper", "control", "edge", "clients", "supervisor")),
        ("tollkeeper", ("control", "edge", "clients", "supervisor", "simulator")),
    ],
)
def test_c4_who_knows_whom(package: str, never: tuple[str, ...]) -> None:
    """State is with the control plane alone: the edge has no database, and neither imports the other."""
    found = {name for name in imported(package) if name.startswith(tuple(f"{each}." for each in never))}
    assert found | (imported(package) & set(never)) == set()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutants_can_be_planted(mutant: Mutant) -> None:
    """The code that each of them breaks is still there, and so are its tests."""
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert (ROOT / mutant.tests.partition("::")[0]).exists()


COMMANDS = sorted(set(re.findall(r"-m ((?:benchmarks|tests)(?:\.\w+)+)", (ROOT / "Makefile").read_text())))


@pytest.mark.parametrize("name", [*COMMANDS, "benchmarks.bench", "benchmarks.compare"])
def test_commands_of_make_can_be_imported(name: str) -> None:
    """Those that take too long to be run by tests still find all they import."""
    spec = find_spec(f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name)
    assert spec is not None
    import_module(spec.name)
