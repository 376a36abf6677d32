"""Paths of a vendor's API that go through as they are: control checks the lists, the edge asks them."""

import re

# Nothing that servers read differently: no escapes, no empty or dotted segments.
_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._~:@-]+"
_PATH = re.compile(rf"(?=.{{1,200}}\Z){_SEGMENT}(?:/{_SEGMENT})*")


def is_passthrough_path(path: str) -> bool:
    """Whether it can be one: below a vendor's base URL, without a leading slash."""
    return _PATH.fullmatch(path) is not None
