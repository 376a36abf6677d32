"""Anthropic's streams on their way to Anthropic's clients: every byte, and what they cost."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.formats.messages_anthropic import MessagesWatcher
from edge.translation.anthropic.usage import counts
from tests.edge.translation.anthropic_reader import FINISHES, answers, encoded, stream
from tests.edge.translation.junk import spoilt


def fed(data: bytes, cuts: list[int]) -> tuple[MessagesWatcher, bytes]:
    """A watcher that got these bytes in pieces, and what it sent on."""
    watcher = MessagesWatcher()
    places = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    return watcher, b"".join(watcher.feed(data[start:end]) for start, end in pairwise(places))


@settings(max_examples=60)
@given(answer=answers(), cuts=st.lists(st.integers(0, 3000), max_size=8), crlf=st.booleans())
def test_bytes_pass_and_usage_stays(answer: dict[str, Any], cuts: list[int], crlf: bool) -> None:
    """However the network cuts it."""
    data = encoded(stream(answer))
    data = data.replace(b"\n", b"\r\n") if crlf else data
    watcher, sent = fed(data, cuts)
    assert sent + watcher.flush() == data
    assert watcher.usage == counts(answer["usage"])
    assert (watcher.done, watcher.usage_is_final, watcher.error) == (True, True, None)
    assert (watcher.model, watcher.finish) == (answer["model"], FINISHES[answer["stop_reason"]])


@settings(max_examples=60)
@given(events=spoilt(answers().map(stream)), cuts=st.lists(st.integers(0, 3000), max_size=4))
def test_junk_passes_too(events: list[dict[str, Any]], cuts: list[int]) -> None:
    """It is between the vendor and its client."""
    data = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events)
    watcher, sent = fed(data, cuts)
    assert (sent + watcher.flush()).startswith(data)


@pytest.mark.parametrize("left", [b"", b"event: content_block_delta\ndata: {"])
def test_a_stream_that_was_cut_off(left: bytes) -> None:
    """It ends with an error event of its own, whatever half of an event came before."""
    watcher = MessagesWatcher()
    sent = watcher.feed(b'event: ping\ndata: {"type":"ping"}\n\n' + left) + watcher.flush()
    name, data = sent.split(b"\n\n")[-2].split(b"\n")
    assert name == b"event: error"
    assert json.loads(data.removeprefix(b"data: "))["error"]["type"] == "api_error"
    assert watcher.error
