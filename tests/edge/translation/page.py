"""What docs/translation.md says happens to each field of a request, by vendor."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "translation.md"
WORDS = ("carried", "refused", "left out")
_CELL = re.compile(r"(?<!\\)\|")


def verdicts(vendor: str) -> dict[str, str]:
    """Field to the first words of its cell in the vendor's column."""
    section = PAGE.read_text().split("\n## Requests\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in _CELL.split(line)[1:-1]]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    column = rows[0].index(vendor)
    return {row[0].strip("`"): _word(row[column]) for row in rows[2:]}


def _word(cell: str) -> str:
    [word] = [word for word in WORDS if cell.startswith(word)]
    return word
