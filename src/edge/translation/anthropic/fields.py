"""Fields of what a vendor says, which may be anything."""

from typing import Any


def text_in(held: dict[str, Any], name: str) -> str:
    """A text; empty where there is none."""
    value = held.get(name)
    return value if type(value) is str else ""


def object_in(held: dict[str, Any], name: str) -> dict[str, Any]:
    """An object; empty where there is none."""
    value = held.get(name)
    return value if type(value) is dict else {}
