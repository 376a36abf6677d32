"""What a request asks of its answer: `key=value` pairs in a header, a message or the model name.

Unknown keys and bad values are refused, never ignored: a test with a typo must not pass by luck. The
one exception is a model name whose first `+` part names no key; it is taken as a plain name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

MARKER = "[[sim"
_MARKER_PATTERN = re.compile(r"\[\[sim\s+([^\]]*)\]\]")
_SEPARATOR = re.compile(r"[,\s]+")
_GATE_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")

PAD_LIMIT_BYTES = 16 * 1024 * 1024
NUMBER_LIMIT = 1_000_000_000


class SteeringError(ValueError):
    """The steering text can't be understood; the message names the key."""


@dataclass(frozen=True, slots=True)
class Steering:
    """One request's wishes; `docs/simulator.md` explains each field under the same name."""

    tokens: int | None = None
    tokens_max: bool = False
    uncapped: bool = False
    prompt: int | None = None
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0
    queued: bool = False
    tier: str | None = None
    reasoning: int = 0
    bytes: int = 0
    utf8: bool = False
    tool: bool = False
    finish: str | None = None
    blocked: bool = False
    status: int | None = None
    code: int | None = None
    error: str | None = None
    billed: bool = False
    retry_after: str | None = None
    first_byte_ms: int = 0
    drip_ms: int | None = None
    gate: str | None = None
    stall_after: int | None = None
    cut_after: int | None = None
    cut_body: bool = False
    rst: bool = False
    error_event_after: int | None = None
    garbage: bool = False
    no_usage: bool = False
    usage_in_finish: bool = False
    usage_every_chunk: bool = False
    no_done: bool = False
    crlf: bool = False
    split: bool = False
    ping: bool = False
    close: bool = False
    drop: bool = False

    @property
    def paced(self) -> bool:
        """Whether the answer takes time or ends badly, so that it can't be written at once."""
        return bool(
            self.first_byte_ms
            or self.drip_ms is not None
            or self.gate
            or self.stall_after is not None
            or self.cut_after is not None
            or self.cut_body
            or self.split
        )


PLAIN = Steering()
_FLAGS = frozenset(each.name for each in fields(Steering) if each.type is bool) - {"tokens_max"}
_TEXTS = frozenset({"error", "finish", "retry_after", "gate", "tier"})
_NUMBERS = frozenset(each.name for each in fields(Steering)) - _FLAGS - _TEXTS - {"tokens_max"}
_KEYS = _FLAGS | _TEXTS | _NUMBERS | {"stall"}


def parse(text: str, base: Steering = PLAIN) -> Steering:
    """Return `base` changed by the pairs of `text`, which commas or blanks separate.

    Raises SteeringError on an unknown key or a bad value.
    """
    return _apply(_SEPARATOR.split(text.strip(", \t\r\n")), base)


def from_message(text: str, base: Steering) -> Steering:
    """Return `base` changed by every `[[sim key=value …]]` in a message's text. Raises SteeringError."""
    for pairs in _MARKER_PATTERN.findall(text):
        base = parse(pairs, base)
    return base


def from_model(model: str, base: Steering) -> tuple[str, Steering]:
    """Split `name+key=value+…` into the plain name and its steering. Raises SteeringError."""
    name, _, suffix = model.partition("+")
    parts = suffix.split("+")
    if parts[0].partition("=")[0] not in _KEYS:
        return model, base
    return name, _apply(parts, base)


def _apply(pairs: Iterable[str], base: Steering) -> Steering:
    changes: dict[str, object] = {}
    for pair in pairs:
        if pair:
            key, _, value = pair.partition("=")
            changes.update(_change(key, value))
    return replace(base, **changes) if changes else base  # type: ignore[arg-type]


def _change(key: str, value: str) -> Mapping[str, object]:
    if key == "stall":
        return {"stall_after": 1}
    if key == "tokens" and value == "max":
        return {"tokens_max": True, "tokens": None}
    if key in _FLAGS:
        return {key: value not in ("0", "false")}
    if key in _TEXTS:
        if not value or (key == "gate" and not _GATE_PATTERN.fullmatch(value)):
            raise SteeringError(f"sim: {key} has no usable value: {value!r}")
        return {key: value}
    if key not in _NUMBERS:
        raise SteeringError(f"sim: unknown key {key!r}")
    return {key: _number(key, value)} | ({"tokens_max": False} if key == "tokens" else {})


def _number(key: str, value: str) -> int:
    limit = PAD_LIMIT_BYTES if key == "bytes" else NUMBER_LIMIT
    if not value.isascii() or not value.isdigit() or int(value[:12]) > limit:
        raise SteeringError(f"sim: {key} is no whole number up to {limit}: {value!r}")
    if key == "status" and not 400 <= int(value) <= 599:
        raise SteeringError(f"sim: status must lie in 400..599: {value!r}")
    return int(value)
