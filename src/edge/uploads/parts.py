"""The parts of a form as they are written: under a boundary of ours, with no header but those understood."""

import re
from secrets import token_hex

from multipart import MultipartSegment

from edge.call import invalid_field

_SAFE_TYPE = re.compile(r"[\x20-\x7e]{1,255}")


class Parts:
    """Writes the parts of one form."""

    __slots__ = ("_boundary",)

    def __init__(self) -> None:
        self._boundary = f"tollkeeper{token_hex(16)}".encode()

    @property
    def content_type(self) -> bytes:
        """Of the form."""
        return b"multipart/form-data; boundary=%b" % self._boundary

    def field(self, name: str, value: str) -> bytes:
        """A text field."""
        head = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        return b"--%b\r\n%b\r\n\r\n%b\r\n" % (self._boundary, head.encode(), value.encode())

    def file(self, head: bytes) -> bytes:
        """What stands before a file's bytes; a line end follows them."""
        return b"--%b\r\n%b\r\n" % (self._boundary, head)

    def last_line(self) -> bytes:
        """The end."""
        return b"--%b--\r\n" % self._boundary


def name_of(segment: MultipartSegment) -> str:
    """A part's name. Raises INVALID_ARGUMENT."""
    if not segment.name:
        raise invalid_field("A part of the form has no name.", None, "invalid_form")
    return str(segment.name)


def file_head(segment: MultipartSegment) -> bytes:
    """The header lines of a file: its names, and its type where that can be one. Raises INVALID_ARGUMENT."""
    name, filename = _quoted(name_of(segment)), _quoted(segment.filename or "")
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
    kind = segment.header("Content-Type")
    if kind is not None and _SAFE_TYPE.fullmatch(kind):
        head += f"Content-Type: {kind}\r\n"
    return head.encode()


def _quoted(value: str) -> str:
    """As browsers write names and file names (HTML, multipart/form-data encoding)."""
    return value.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
