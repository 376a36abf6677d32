"""What a request asks and what an answer says, whatever the format: compared field by field.

Each format has a reader of its own (`openai_reader` and one for each vendor), written against the vendor's
documentation and not against the translation. Where docs/translation.md says that something is lost, the
canonical form doesn't have it.
"""

import json
from dataclasses import dataclass, field
from typing import Any


def frozen(value: Any) -> str:
    """A JSON value that can be compared: `1` and `1.0` differ, the order of keys doesn't."""
    return json.dumps(value, sort_keys=True)


@dataclass(frozen=True)
class Text:
    text: str
    cached: bool = False


@dataclass(frozen=True)
class Image:
    source: str
    """A URL, of data or of a place."""
    cached: bool = False


@dataclass(frozen=True)
class Document:
    source: str
    name: str = ""
    cached: bool = False


@dataclass(frozen=True)
class Thought:
    """Signed reasoning; `text` is empty where it is redacted."""

    text: str
    signature: str


@dataclass(frozen=True)
class ToolCall:
    call_id: str
    name: str
    arguments: str
    """Frozen JSON."""


@dataclass(frozen=True)
class ToolResult:
    call_id: str
    parts: tuple["Part", ...]


Part = Text | Image | Document | Thought | ToolCall | ToolResult


@dataclass(frozen=True)
class Turn:
    role: str
    """`user`, who also brings results, or `assistant`."""
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    parameters: str
    """Frozen JSON."""
    strict: bool | None


@dataclass(frozen=True)
class Request:
    """What is asked. None: nothing is said about it."""

    model: str
    system: tuple[Text, ...] = ()
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    """`auto`, `none`, `required` or `= name`."""
    parallel_calls: bool = True
    output_limit: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    schema: str | None = None
    effort: str | None = None
    end_user: str = ""
    service_tier: str | None = None
    stream: bool = False


@dataclass(frozen=True)
class Answer:
    """What is said. `parts` are texts, thoughts and calls."""

    answer_id: str
    model: str
    finish: str
    parts: tuple[Part, ...] = ()
    refusal: str | None = None
    usage: dict[str, int] = field(default_factory=dict, hash=False)


def turn_list(turns: list[tuple[str, list[Part]]]) -> tuple[Turn, ...]:
    """Turns with neighbours of one role put together, and neighbouring plain texts of the assistant joined:
    OpenAI's form of an answer has only one text."""
    joined: list[tuple[str, list[Part]]] = []
    for role, parts in turns:
        if joined and joined[-1][0] == role:
            joined[-1][1].extend(parts)
        elif parts:
            joined.append((role, list(parts)))
    return tuple(
        Turn(role, _texts_joined(parts) if role == "assistant" else tuple(parts)) for role, parts in joined
    )


def _texts_joined(parts: list[Part]) -> tuple[Part, ...]:
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(last, Text) and not last.cached:
            joined[-1] = Text(last.text + part.text, part.cached)
        else:
            joined.append(part)
    return tuple(joined)
