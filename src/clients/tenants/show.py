"""Steps of a plan as text, the way `diff` shows changes."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from clients.cli.failures import one_line
from clients.tenants.plan import Step


def step_lines(step: Step) -> Iterator[str]:
    """`+` for what is made, `~` for what changes, each with its fields."""
    yield f"  {'+' if step.present is None else '~'} {step.kind} {one_line(step.name)}"
    for name, (before, after) in step.changes.items():
        if isinstance(after, list) and (before or after):
            yield f"      {name}:"
            yield from (f"        - {_text(each)}" for each in before or [] if each not in (after or []))
            yield from (f"        + {_text(each)}" for each in after or [] if each not in (before or []))
        elif step.present is None:
            yield f"      {name}: {_text(after)}"
        else:
            yield f"      {name}: {_text(before)} → {_text(after)}"


def plain(value: Any) -> Any:
    """A value of a part for JSON."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value


def _text(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, BaseModel):
        fields = value.model_dump(exclude_defaults=True)
        return ", ".join(f"{name} {_text(each)}" for name, each in fields.items())
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " ".join(_text(each) for each in value)
    return one_line(str(value))
