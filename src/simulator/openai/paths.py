"""Where they are, behind a vendor's root."""

import re

OPENAI_PATHS = re.compile(
    r"/(?:v1/)?(completions|embeddings|moderations|responses(?:/[^/]+(?:/cancel|/input_items)?)?)"
)


def is_openai(path: str) -> bool:
    """Whether a vendor's path is one of these."""
    return OPENAI_PATHS.fullmatch(path) is not None
