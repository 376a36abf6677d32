"""The documentation says what the code says: links, settings, errors, metrics, rule numbers."""

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from unittest.mock import ANY

import pytest
from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

import control.metrics
import edge.metrics
from control.config import ControlSettings
from control.interceptors.errors import CODES
from edge.config import EdgeSettings
from edge.errors import SHAPES
from supervisor.settings import SimulatorSettings
from tollkeeper.errors import Reason

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
PAGE_NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

SETTINGS: dict[str, type[BaseSettings]] = {
    "control": ControlSettings,
    "edge": EdgeSettings,
    "up": SimulatorSettings,
}


def prose(page: Path) -> str:
    """A page without its code blocks, where links and headings aren't meant."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_rows(page: Path) -> Iterator[list[str]]:
    """The cells of each row of each table whose first cell is one name in backticks."""
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and re.fullmatch(r"`[^`]+`", cells[0]):
            yield [cells[0].strip("`"), *cells[1:]]


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link names an existing file, and its anchor a heading there."""
    page = ROOT / name
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_named_files_exist(name: str) -> None:
    """A path of the repository that a page names in backticks is there."""
    named = re.findall(r"`((?:src|proto|tests|scripts|docs|benchmarks)/[\w./-]+)`", (ROOT / name).read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_index_lists_every_page() -> None:
    """docs/README.md leads to each page of the documentation."""
    linked = set(re.findall(r"\]\(([^)#\s]+)", prose(DOCS / "README.md")))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"README.md"}
    assert pages - linked == set()


# ---- settings


def setting_names(settings: type[BaseSettings]) -> dict[str, object]:
    """Environment variable of each field, with its default."""
    prefix = settings.model_config.get("env_prefix") or ""
    names = {}
    for field_name, field in settings.model_fields.items():
        alias = field.validation_alias
        if isinstance(alias, AliasChoices):
            alias = alias.choices[0]
        name = str(alias) if alias is not None else f"{prefix}{field_name.upper()}"
        # What depends on the machine is told in words.
        names[name] = ANY if field.default_factory else field.default
    return names


def shown(default: object) -> object:
    """A default as the tables show it."""
    if default is ANY:
        return ANY
    if default is None or default == "" or default == ():
        return "–"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, Enum):
        return f"`{default.value}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    if isinstance(default, tuple):
        return f"`{', '.join(default)}`"
    return f"`{default}`"


def documented_settings() -> dict[str, tuple[str, set[str]]]:
    """Default and readers of each setting in the tables of docs/configuration.md."""
    rows = list(table_rows(DOCS / "configuration.md"))
    names = [row[0] for row in rows]
    assert sorted(set(names)) == sorted(names), "a setting has two rows"
    return {name: (default, set(readers.split(", "))) for name, default, readers, _ in rows}


@pytest.mark.parametrize("part", SETTINGS)
def test_settings_are_documented(part: str) -> None:
    """Each setting a part reads has a row with the part and the default, and no other row names the part."""
    expected = {name: shown(default) for name, default in setting_names(SETTINGS[part]).items()}
    documented = {
        name: default for name, (default, readers) in documented_settings().items() if part in readers
    }
    assert documented == expected


def test_every_variable_is_known() -> None:
    """Each TOLLKEEPER_ variable that source or documentation mentions is explained to the operator."""
    variable = re.compile(r"TOLLKEEPER_[A-Z_]*[A-Z]\b")
    known = set(documented_settings()) | set(variable.findall((DOCS / "simulator.md").read_text()))
    unknown = {
        name: str(page.relative_to(ROOT))
        for page in [*PAGES, *(ROOT / "src").rglob("*.py")]
        for name in variable.findall(page.read_text())
        if name not in known
    }
    assert unknown == {}


# ---- errors


def test_reasons_are_documented() -> None:
    """docs/errors.md has a row for each reason: gRPC code, and the edge's status, code and advice to SDKs,
    and its status on management routes."""
    rows = {row[0]: row[1:6] for row in table_rows(DOCS / "errors.md") if re.fullmatch(r"[A-Z_]+", row[0])}
    internal = SHAPES[Reason.INTERNAL]
    expected = {}
    for name, number in Reason.items():
        if number == Reason.ERROR_REASON_UNSPECIFIED:
            continue
        shape, grpc_code = SHAPES[number], f"`{CODES[number].name}`"
        management = str(shape.management_status)
        if shape.code == internal.code and number != Reason.INTERNAL:
            expected[name] = [grpc_code, "–", "–", "", management]
        else:
            advice = {True: "yes", False: "no", None: ""}[shape.should_retry]
            expected[name] = [grpc_code, str(shape.status), f"`{shape.code}`", advice, management]
    assert rows == expected


# ---- metrics


def edge_families() -> Iterator[Metric]:
    """The metrics that importing edge.metrics makes."""
    for value in vars(edge.metrics).values():
        if isinstance(value, MetricWrapperBase):
            yield from value.describe()


METRICS = {"control": lambda: control.metrics.Metrics().registry.collect(), "edge": edge_families}


@pytest.mark.parametrize("part", METRICS)
def test_metrics_are_documented(part: str) -> None:
    """docs/metrics.md has one row for each metric of a part, by the name that is scraped, and no other."""
    section = re.search(
        rf"^## {part.capitalize()}\b.*?(?=^## |\Z)",
        (DOCS / "metrics.md").read_text(),
        flags=re.DOTALL | re.MULTILINE,
    )
    assert section is not None
    documented = re.findall(r"^\| `(tollkeeper_\w+)` \|", section[0], flags=re.MULTILINE)
    scraped = [each.name + ("_total" if each.type == "counter" else "") for each in METRICS[part]()]
    assert sorted(documented) == sorted(scraped)


# ---- numbers


def test_every_ledger_rule_is_told() -> None:
    """docs/ledger.md has L1 to L27 in order, each with what breaks otherwise and how it is done here."""
    rules = re.split(r"^### (?=L\d)", (DOCS / "ledger.md").read_text(), flags=re.MULTILINE)[1:]
    assert [rule.split()[0] for rule in rules] == [f"L{number}" for number in range(1, 28)]
    assert [
        rule.split()[0] for rule in rules if "*Breaks otherwise:*" not in rule or "*Here:*" not in rule
    ] == []


def test_every_requirement_is_told() -> None:
    """docs/requirements.md has C1 to C5, A1 to A26 and B1 to B10, once each, with what is built."""
    rows = re.findall(
        r"^\| ([ABC]\d+) \| .+ \| (\w+).*\|$", (DOCS / "requirements.md").read_text(), flags=re.MULTILINE
    )
    expected = [
        f"{letter}{number}"
        for letter, last in (("C", 5), ("A", 26), ("B", 10))
        for number in range(1, last + 1)
    ]
    assert [number for number, _ in rows] == expected
    assert {status for _, status in rows} <= {"built", "part", "planned"}


def test_every_named_test_is_there() -> None:
    """A test that docs/requirements.md names is there, in the file that the row names beside a pattern, and
    what is built names one."""
    page = (DOCS / "requirements.md").read_text()
    sources = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    names = {name for text in sources.values() for name in re.findall(r"def (test_\w+)", text)}
    missing = [name for name in re.findall(r"`(test_\w+)`", page) if name not in names]
    for row in re.findall(r"^\| [ABC]\d+ \|.*$", page, flags=re.MULTILINE):
        for pattern in re.findall(r"`(test_\w+_)\*`", row):
            files = re.findall(r"`(tests/[\w/]+\.py)`", row)
            missing += (
                [pattern] if not any(f"def {pattern}" in sources[ROOT / file] for file in files) else []
            )
        if "| built" in row and "test_" not in row:
            missing.append(row.split()[1])
    assert missing == []
