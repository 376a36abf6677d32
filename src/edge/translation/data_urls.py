"""Images and files that travel inside a request, as `data:` URLs."""

import re

from edge.translation.refusals import malformed

_HEAD = re.compile(r"data:([\w.+-]+/[\w.+-]+)((?:;[\w-]+=[^;,]*)*);base64,", re.ASCII | re.IGNORECASE)


def split(url: str, param: str) -> tuple[str, str]:
    """Media type, in small letters, and base64 text. Raises INVALID_ARGUMENT for anything else."""
    head = _HEAD.match(url)
    if head is None:
        raise malformed(param, "must be a data URL with a media type and base64 data")
    return head[1].lower(), url[head.end() :]
