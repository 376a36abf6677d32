"""Slugs: how people and commands name a customer."""

import re
import unicodedata

from tollkeeper.errors import invalid
from tollkeeper.ids import is_uuid

MAX_CHARS = 63
# Room for the number that tells slugs of equal names apart.
_MAX_MADE_CHARS = 55
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def checked_slug(text: str) -> str:
    """A slug somebody chose. Raises INVALID_ARGUMENT unless it is lower case letters, digits and inner
    hyphens."""
    if _SLUG.fullmatch(text) is None or is_uuid(text):
        raise invalid(
            f"slug has 1 to {MAX_CHARS} lower case letters, digits and, between them, hyphens.", field="slug"
        )
    return text


def slug_of(name: str, number: int = 1) -> str:
    """A slug made from a name; with a number from 2 on, another one for the same name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_MAX_MADE_CHARS].strip("-") or "customer"
    return base if number == 1 and not is_uuid(base) else f"{base}-{number}"
