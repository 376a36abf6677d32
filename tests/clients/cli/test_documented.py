"""Every command line that the documentation shows can be typed."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from clients.cli import app

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PASSED_ON = {"up", "control", "edge", "simulator", "doctor"}  # have options of their own


def unknown(words: list[str], rest: str) -> list[str]:
    """What of a command line isn't there: its noun or verb, or options."""
    command: Any = typer.main.get_command(app.build(words[0]))
    for word in words:
        if not hasattr(command, "commands"):
            break  # arguments
        if word not in command.commands:
            return [word]
        command = command.commands[word]
    if words[0] in PASSED_ON:
        return []
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    return [option for option in re.findall(r"(?:^|\s)(--[a-z-]+)", rest) if option not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_the_documentation_are_there(page: Path) -> None:
    """Noun, verb and each option."""
    shown = re.findall(r"tollkeeper ((?:[a-z][a-z-]* ?)+)([^`\n|;#]*)", page.read_text())
    wrong = [(words, missing) for words, rest in shown if (missing := unknown(words.split(), rest))]
    assert wrong == []
