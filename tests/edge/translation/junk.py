"""JSON with one value somewhere that nobody expects."""

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

JUNK = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        10**30,
        "",
        "x",
        [],
        [None],
        [[]],
        [{}],
        {},
        {"type": "text"},
        {"x": {}},
    ]
)


@st.composite
def spoilt(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Any:
    """One of these values with junk in one place, of any depth."""
    value = deepcopy(draw(values))
    places = _places(value)
    holder, key = draw(st.sampled_from(places))
    if draw(st.booleans()) and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = draw(JUNK)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        found.append((value, key))
        found += _places(value[key])
    return found
