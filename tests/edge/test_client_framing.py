"""Heads that are told to be valid in a short way are valid in the long one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sanic.compat import Header
from sanic.exceptions import BadRequest

from edge.client_framing import _HEAD, _USUAL_NAMES, EdgeRequest

USUAL = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: 5"
# What a mistake would hide behind, in or instead of a place of a usual head.
PIECES = [b"", b" ", b"\t", b"\r", b"\n", b"\r\n", b"\0", b":", b"\x7f", b"\x80", "\u212a".encode(), b"x-a"]


def request_of(head: bytes) -> EdgeRequest | None:
    """The request as Sanic makes it of a head; None where it doesn't get so far. Raises BadRequest."""
    try:
        first, *lines = head.decode(errors="surrogateescape").split("\r\n")
        method, url, protocol = first.split(" ")
        pairs = [line.split(":", 1) for line in lines]
        headers = Header([(name.lower(), value.lstrip()) for name, value in pairs])
        url_bytes = url.encode("ascii")
    except ValueError:
        return None
    if protocol not in ("HTTP/1.1", "HTTP/1.0"):
        return None
    return EdgeRequest(url_bytes, headers, protocol[5:], method, None, None, head)  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.integers(0, len(USUAL)), st.integers(0, 3), st.sampled_from(PIECES)),
        min_size=1,
        max_size=3,
    )
)
def test_what_passes_is_valid(changes: list[tuple[int, int, bytes]]) -> None:
    """However a usual head is bent, it is refused or it is HTTP/1.1 to the letter."""
    head = USUAL
    for at, dropped, piece in changes:
        head = head[:at] + piece + head[at + dropped :]
    try:
        made = request_of(head)
    except BadRequest:
        return
    assert made is None or _HEAD.fullmatch(head) is not None


@pytest.mark.parametrize("name", sorted(_USUAL_NAMES))
def test_usual_names(name: str) -> None:
    """Each is a token."""
    assert _HEAD.fullmatch(b"GET / HTTP/1.1\r\n" + name.encode() + b": x") is not None


@pytest.mark.parametrize(
    "name", ["", "Content-Length ", "Transfer Encoding", *(f"X{each}Y" for each in '"(),/;<=>?@[\\]{}')]
)
def test_names_that_are_none(name: str) -> None:
    """Others may read a name without them: refused, though all of it can be printed."""
    with pytest.raises(BadRequest):
        request_of(USUAL + f"\r\n{name}: chunked".encode())


def test_a_letter_that_only_looks_like_one() -> None:
    """The Kelvin sign is a k in lower case, and no part of a name."""
    assert request_of(USUAL + b"\r\nX-Stainless-Lang: js, packed") is not None
    with pytest.raises(BadRequest):
        request_of(USUAL + "\r\nX-Stainless-Pac\u212aage-Version: 1".encode())
