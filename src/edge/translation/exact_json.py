"""JSON whose whole numbers keep all their digits: orjson reads those beyond 64 bits as floats."""

import json
import re
from typing import Any

import orjson

_LONG_NUMBER_TEXT = re.compile(r"\d{19}")
_LONG_NUMBER = re.compile(rb"\d{19}")


def has_long_number(text: str | bytes) -> bool:
    """Whether orjson may not be enough."""
    found = _LONG_NUMBER_TEXT.search(text) if isinstance(text, str) else _LONG_NUMBER.search(text)
    return found is not None


def loads(text: str | bytes) -> Any:
    """Raises ValueError for what isn't JSON, NaN and Infinity included."""
    value = orjson.loads(text)
    return json.loads(text) if has_long_number(text) else value


def dumps(value: Any) -> bytes:
    """Compact; any number that `loads` gave."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
