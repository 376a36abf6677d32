"""Streams of events, cut anywhere by the network."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.translation import events
from edge.translation.events import EventSplitter

_lines = st.text("ab :", max_size=5).map(str.encode)
_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(
    payloads=st.lists(_lines, max_size=5),
    end=_ends,
    cuts=st.lists(st.integers(0, 200), max_size=12),
)
def test_cuts_change_nothing(payloads: list[bytes], end: bytes, cuts: list[int]) -> None:
    """Whatever ends its lines, each event comes out once, in order."""
    data = b"".join(b": note" + end + b"data: " + payload + end + end for payload in payloads)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    splitter = EventSplitter()
    found = [payload for start, stop in pairwise(places) for payload in splitter.feed(data[start:stop])]
    assert found + splitter.flush() == payloads


def test_a_large_event_in_many_pieces() -> None:
    """Put together once; a piece for each byte at its end."""
    splitter = EventSplitter()
    payload = b"x" * 100_000
    data = b"data: " + payload + b"\n\n"
    found = [each for place in range(0, len(data) - 8, 7) for each in splitter.feed(data[place : place + 7])]
    rest = data[len(range(0, len(data) - 8, 7)) * 7 :]
    found += [each for byte in rest for each in splitter.feed(bytes([byte]))]
    assert found == [payload]


def test_an_event_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it comes."""
    monkeypatch.setattr(events, "MAX_EVENT_BYTES", 100)
    splitter = EventSplitter()
    for _ in range(10):
        splitter.feed(b"data: aaaa")
    with pytest.raises(ValueError, match="too large"):
        splitter.feed(b"a")
    with pytest.raises(ValueError, match="too large"):
        EventSplitter().feed(b"data: a\n\n" + b"b" * 101)


def test_bare_json() -> None:
    """An event of its own: so Gemini tells errors."""
    splitter = EventSplitter()
    assert splitter.feed(b'data: 1\n\n{"error":\n1}\n') == [b"1"]
    assert splitter.flush() == [b'{"error":\n1}\n']
