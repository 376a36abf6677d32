"""What a check found, and how findings are shown."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum


class Status(StrEnum):
    """How bad it is. Only `failed` makes the doctor's exit code 1."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: which check, how it went, what was found, and what to do about it."""

    check: str
    status: Status
    text: str
    advice: str = ""


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, text)


def warning(check: str, text: str, advice: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(check, Status.WARNING, text, advice)


def failed(check: str, text: str, advice: str) -> Finding:
    """It doesn't work."""
    return Finding(check, Status.FAILED, text, advice)


def skipped(check: str, text: str) -> Finding:
    """It couldn't be told, because of something else."""
    return Finding(check, Status.SKIPPED, text)


def is_well(findings: Sequence[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.status is not Status.FAILED for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """One object for programs."""
    return json.dumps({"ok": is_well(findings), "findings": [asdict(finding) for finding in findings]})


def as_text(findings: Sequence[Finding]) -> str:
    """A line each, with what to do below it."""
    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status.value:<8} {finding.check:<{width}}  {_one_line(finding.text)}")
        if finding.advice:
            lines.append(f"{'':<8} {'':<{width}}  → {_one_line(finding.advice)}")
    return "\n".join(lines)


def _one_line(text: str) -> str:
    """What a server said can't move the cursor or fake a line."""
    return "".join(each if each.isprintable() else " " for each in text)
