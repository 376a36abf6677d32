"""Requests with a field that nobody knows, anywhere in them."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

Body = dict[str, Any]
NAME = "unheard_of"
# JSON of the client's own, carried as it is or left out as a whole.
_FREE = frozenset({"parameters", "schema", "metadata", "logit_bias", "cache_control"})


def places(body: Body) -> list[tuple[str | int, ...]]:
    """The path of every object whose fields are OpenAI's."""
    return list(_objects(body, ()))


def with_unknown(body: Body, place: tuple[str | int, ...]) -> Body:
    """The same with one more field, there."""
    changed: Any = deepcopy(body)
    found = changed
    for step in place:
        found = found[step]
    found[NAME] = 1
    return dict(changed)


def _objects(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        yield path
        for name, inner in value.items():
            if name not in _FREE:
                yield from _objects(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _objects(inner, (*path, index))
