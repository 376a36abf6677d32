"""Page sizes and page tokens of lists (AIP-158)."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from tollkeeper.errors import invalid
from tollkeeper.ids import is_uuid

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
_DIGEST_BYTES = 8

Item = TypeVar("Item")


class ListRequest(Protocol):
    """Any List request of the contract."""

    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class Page:
    """What part of a list is wanted: `size` items after the one with the key `after`."""

    size: int
    after: str | None
    _digest: bytes

    def next_token(self, items: Sequence[Any], last_key: str) -> str:
        """The token of the page after this one; empty when `items` (asked for with one more) are all there
        is."""
        return self.token(last_key) if len(items) > self.size else ""

    def token(self, last_key: str) -> str:
        """The token of what comes behind a key."""
        cursor = b"u" + UUID(last_key).bytes if is_uuid(last_key) else b"t" + last_key.encode()
        check = hashlib.sha256(self._digest + cursor).digest()[:_DIGEST_BYTES]
        return base64.urlsafe_b64encode(check + cursor).decode().rstrip("=")


def page_of(request: ListRequest, max_size: int = MAX_PAGE_SIZE) -> Page:
    """Reads page_size (0: the default; more than the maximum: the maximum) and page_token.

    Raises INVALID_ARGUMENT for a negative size, and for a token that isn't ours or belongs to a list with
    other arguments.
    """
    if request.page_size < 0:
        raise invalid("page_size must not be negative.", field="page_size")
    size = min(request.page_size or DEFAULT_PAGE_SIZE, max_size)
    digest = _arguments_digest(request)
    return Page(size, _decode(request.page_token, digest) if request.page_token else None, digest)


def _arguments_digest(request: ListRequest) -> bytes:
    assert isinstance(request, Message)
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("page_size")
    bare.ClearField("page_token")
    content = bare.DESCRIPTOR.full_name.encode() + b"\0" + bare.SerializeToString(deterministic=True)
    return hashlib.sha256(content).digest()


def _decode(token: str, digest: bytes) -> str:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        check, cursor = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if hashlib.sha256(digest + cursor).digest()[:_DIGEST_BYTES] != check:
            raise ValueError
        return str(UUID(bytes=cursor[1:])) if cursor[:1] == b"u" else cursor[1:].decode()
    except (binascii.Error, ValueError):
        raise invalid("page_token isn't one of this list.", field="page_token") from None
