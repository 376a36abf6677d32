"""Lists of allowed models, as keys and routing rules carry them: names with `*` wildcards; empty allows all.

Control checks such lists when they are stored, the edge asks them once per request. Names compare exactly,
case included; `*` stands for any text, also none. There is no backtracking, so no pattern can be slow.
"""

from collections.abc import Iterable

WILDCARD = "*"


class ModelList:
    """One such list, made ready for asking."""

    __slots__ = ("_names", "_patterns", "everything")

    def __init__(self, entries: Iterable[str]) -> None:
        entries = tuple(entries)
        self.everything = not entries or WILDCARD in entries
        self._names = frozenset(entry for entry in entries if WILDCARD not in entry)
        self._patterns = tuple(tuple(entry.split(WILDCARD)) for entry in entries if WILDCARD in entry)

    def allows(self, model: str) -> bool:
        """Whether the list admits the model."""
        return (
            self.everything
            or model in self._names
            or any(_matches(pieces, model) for pieces in self._patterns)
        )


def _matches(pieces: tuple[str, ...], model: str) -> bool:
    """Whether the texts between wildcards occur in order, the first at the start and the last at the end."""
    first, *middle, last = pieces
    if len(model) < len(first) + len(last) or not (model.startswith(first) and model.endswith(last)):
        return False
    position, end = len(first), len(model) - len(last)
    for piece in middle:
        # The leftmost place leaves most room for the pieces after it.
        position = model.find(piece, position, end)
        if position < 0:
            return False
        position += len(piece)
    return True
