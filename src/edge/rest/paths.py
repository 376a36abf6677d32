"""Which route a path is: templates as `google.api.http` writes them, in a small tree of path segments.

Sanic sees one catch-all route; its own router stays as small as inference needs it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

from tollkeeper.errors import Reason, TollkeeperError

Target = TypeVar("Target")


@dataclass(frozen=True, slots=True)
class Template:
    """`/v1/keys/{key.key_id}:revoke`: segments (None for a variable), names of the variables, and a verb."""

    segments: tuple[str | None, ...]
    variables: tuple[str, ...]
    verb: str

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Raises ValueError for what isn't used here: wildcards, and variables of several segments."""
        path, colon, verb = text.rpartition(":")
        if not colon:
            path = text
        segments: list[str | None] = []
        variables: list[str] = []
        for segment in path.removeprefix("/").split("/"):
            if segment.startswith("{") and segment.endswith("}"):
                variables.append(segment[1:-1])
                segments.append(None)
            else:
                segments.append(segment)
        written = [*(each for each in segments if each is not None), *variables]
        if not path.startswith("/") or any(set("{}*=") & set(each) or not each for each in written):
            raise ValueError(f"{text!r} is not a path template this facade serves")
        return cls(tuple(segments), tuple(variables), verb if colon else "")


@dataclass(frozen=True, slots=True)
class Found(Generic[Target]):
    """A route, and the values of its template's variables by their (dotted) names."""

    target: Target
    variables: dict[str, str]


@dataclass(slots=True)
class _Node(Generic[Target]):
    literals: dict[str, "_Node[Target]"] = field(default_factory=dict)
    variable: "_Node[Target] | None" = None
    ends: dict[str, dict[str, tuple[Template, Target]]] = field(default_factory=dict)
    """By verb, then by HTTP method."""


class Routes(Generic[Target]):
    """Finds targets by method and path. A literal segment goes before a variable."""

    def __init__(self) -> None:
        self._root: _Node[Target] = _Node()

    def add(self, method: str, text: str, target: Target) -> None:
        """Raises ValueError when the route is there already, or can't be one."""
        template = Template.parse(text)
        node = self._root
        for segment in template.segments:
            if segment is not None:
                node = node.literals.setdefault(segment, _Node())
            else:
                node.variable = node.variable or _Node()
                node = node.variable
        methods = node.ends.setdefault(template.verb, {})
        if method in methods:
            raise ValueError(f"{method} {text} is there twice")
        methods[method] = (template, target)

    def find(self, method: str, path: str) -> Found[Target]:
        """Raises NOT_FOUND for an unknown path, METHOD_NOT_ALLOWED (with `allow`) for another method."""
        known = False
        for methods, values in self._ends(path):
            known = True
            end = methods.get(method)
            if end is not None:
                template, target = end
                return Found(target, dict(zip(template.variables, values, strict=True)))
        if not known:
            raise TollkeeperError(Reason.NOT_FOUND, "")
        message = f"Not allowed to {method} on {path}."
        raise TollkeeperError(Reason.METHOD_NOT_ALLOWED, message, {"allow": ", ".join(self.allowed(path))})

    def allowed(self, path: str) -> list[str]:
        """The methods of a path; none for an unknown one."""
        return sorted({method for methods, _ in self._ends(path) for method in methods})

    def _ends(self, path: str) -> Iterator[tuple[dict[str, tuple[Template, Target]], list[str]]]:
        segments = path.removeprefix("/").removesuffix("/").split("/")
        *before, last = segments
        bare, colon, verb = last.rpartition(":")
        if colon:
            yield from _matches(self._root, [*before, bare], verb)
        yield from _matches(self._root, segments, "")


def _matches(
    node: _Node[Target], segments: list[str], verb: str
) -> Iterator[tuple[dict[str, tuple[Template, Target]], list[str]]]:
    if not segments:
        if verb in node.ends:
            yield node.ends[verb], []
        return
    segment, *rest = segments
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _matches(literal, rest, verb)
    if node.variable is not None and segment:
        value = _decoded(segment)
        if value is not None:
            for methods, values in _matches(node.variable, rest, verb):
                yield methods, [value, *values]


def _decoded(segment: str) -> str | None:
    """None for what isn't UTF-8, so that nothing is found there."""
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return None
