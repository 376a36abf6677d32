"""Answers on standard output: tables for people, one JSON value for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from clients.cli.plain import Plain
from clients.cli.session import Session

PIPED_WIDTH = 1000
"""Columns when nobody looks at a terminal, so that nothing is cut for other commands to read."""


def record(session: Session, values: Plain) -> None:
    """One thing: a JSON object, or its fields one below the other."""
    if session.json:
        _print_json(values)
        return
    _print_table(["", ""], [[name, _text(value)] for name, value in values.items()], header=False)


def listing(session: Session, rows: Sequence[Plain], columns: Mapping[str, str]) -> None:
    """Many: a JSON array of whole objects, or a table of the columns (name of the value → heading)."""
    if session.json:
        _print_json(list(rows))
        return
    _print_table(list(columns.values()), [[_text(row[name]) for name in columns] for row in rows])


def line(session: Session, row: Plain, columns: Mapping[str, str]) -> None:
    """One of many that come one by one: a JSON object a line, or the columns with tabs between them."""
    if session.json:
        sys.stdout.write(json.dumps(row) + "\n")
    else:
        _print_line("\t".join(_text(row[name]) for name in columns))
    sys.stdout.flush()


def note(session: Session, text: str) -> None:
    """A remark for people only."""
    if not session.json:
        _print_line(text)


def raw(text: str) -> None:
    """Just this text, for a program to read."""
    _print_line(text)


def _print_json(value: Any) -> None:
    _print_line(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def _print_line(text: str) -> None:
    sys.stdout.write(text + "\n")


def _print_table(headings: list[str], rows: list[list[str]], header: bool = True) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=header, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for position, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", style="bold" if not header and position == 0 else "")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    if header and not rows:
        _print_line("(none)")


def _text(value: Any) -> str:
    """A cell; what a customer typed can't move the cursor or colour the terminal."""
    if value is None or value in ("", []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={_text(each)}" for name, each in value.items() if each is not None)
    return "".join(each for each in str(value) if each.isprintable())
