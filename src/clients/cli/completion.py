"""What a shell offers where an id or a customer is asked for: the rows that `list` shows."""

import contextlib
import importlib
import io
import json
import os
from typing import Any

import typer

MOST = 100
PROGRAM = "tollkeeper"
# Set by the shell that asks for completions; its words come in one of the others.
COMPLETING = f"_{PROGRAM.upper()}_COMPLETE"
_WORDS = ("_TYPER_COMPLETE_ARGS", "COMP_WORDS")

Offers = list[tuple[str, str]]


def words() -> list[str]:
    """The words of the command line that is being completed, after `tollkeeper`; empty when none is."""
    if COMPLETING not in os.environ:
        return []
    return next((os.environ[name].split()[1:] for name in _WORDS if name in os.environ), [])


def ids(context: typer.Context, incomplete: str) -> Offers:
    """Ids of the noun, each with a name."""
    noun = context.command_path.split()[1]
    customer = context.params.get("customer") or os.environ.get("TOLLKEEPER_CUSTOMER")
    rows = _rows(noun, ["--customer", customer] if customer else [])
    return _offers(rows, next(iter(rows[0])) if rows else "", "name", incomplete)


def customers(incomplete: str) -> Offers:
    """Slugs of customers."""
    return _offers(_rows("customers", []), "slug", "name", incomplete)


def _offers(rows: list[dict[str, Any]], key: str, name: str, incomplete: str) -> Offers:
    found = [(str(row[key]), str(row.get(name) or "")) for row in rows if row.get(key)]
    return [offer for offer in found if offer[0].startswith(incomplete)]


def _rows(noun: str, arguments: list[str]) -> list[dict[str, Any]]:
    """What `tollkeeper NOUN list --json` prints; nothing when it can't."""
    said = io.StringIO()
    command = ["list", *arguments, "--limit", str(MOST), "--json"]
    # A shell that waits for words has no place for an error.
    with contextlib.redirect_stdout(said), contextlib.suppress(Exception, SystemExit):
        app = importlib.import_module(f"clients.cli.{noun.replace('-', '_')}").app
        typer.main.get_command(app).main(command, prog_name=f"tollkeeper {noun}", standalone_mode=False)
    try:
        return list(json.loads(said.getvalue()))
    except ValueError:
        return []
