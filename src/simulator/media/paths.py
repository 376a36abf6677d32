"""Where they are, behind a vendor's root."""

import re

# `sim/echo` is nobody's: what it is asked it says again, for whatever is passed through.
MEDIA_PATHS = re.compile(
    r"/(?:v1/)?(images/(?:generations|edits|variations)|audio/(?:speech|transcriptions|translations)"
    r"|files(?:/[^/]+(?:/content)?)?|batches(?:/[^/]+(?:/cancel)?)?|sim/echo(?:/.*)?)"
)


def is_media(path: str) -> bool:
    """Whether a vendor's path is one of these."""
    return MEDIA_PATHS.fullmatch(path) is not None
