"""What an app files a request under, for the request log and its sums: its own user, and tags."""

from functools import lru_cache
from typing import Any

MAX_END_USER_CHARS = 256
MAX_TAGS = 8
MAX_TAG_CHARS = 64
MAX_HEADER_CHARS = 1024
TAGS_HEADER = "x-tollkeeper-tags"


def end_user_of(body: dict[str, Any]) -> str:
    """OpenAI's `safety_identifier`, or else `user`, which it replaces; empty for none. What isn't a text is
    the vendor's business."""
    value = body.get("safety_identifier") or body.get("user")
    return clean(value, MAX_END_USER_CHARS) if type(value) is str else ""


def tags_of(header: str) -> tuple[str, ...]:
    """Tags separated by commas: each once, at most 8 of 64 characters; the rest is left out."""
    return _tags_of(header[:MAX_HEADER_CHARS])


@lru_cache(1024)
def _tags_of(header: str) -> tuple[str, ...]:
    tags = dict.fromkeys(clean(part, MAX_TAG_CHARS) for part in header.split(","))
    return tuple(tag for tag in tags if tag)[:MAX_TAGS]


def labels_of(end_user: str, tags: tuple[str, ...]) -> str:
    """Both in one text, for logs that have few fields."""
    return ";".join((*(f"tag:{tag}" for tag in tags), *((f"end_user:{end_user}",) if end_user else ())))


def clean(value: str, most_chars: int) -> str:
    """Without what can't be printed, nor spaces around it."""
    value = value[: 4 * most_chars]
    if not value.isprintable():
        value = "".join(each for each in value if each.isprintable())
    return value.strip()[:most_chars]
