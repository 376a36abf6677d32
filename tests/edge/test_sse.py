"""The watcher of streams: bytes as they came, but for the usage chunk nobody asked for."""

import random
import re
from collections.abc import Iterable

import orjson
import pytest

from edge.sse import MAX_EVENT_BYTES, Watcher, event_end
from edge.usage import counts

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(delta: dict[str, str] | None = None, finish: str | None = None, **more: object) -> bytes:
    """One event of a chat stream."""
    body: dict[str, object] = {
        "id": "c",
        "model": "gpt-x-2026",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}],
        "usage": None,
    }
    return b"data: " + orjson.dumps(body | more) + b"\n\n"


ROLE = chunk({"role": "assistant", "content": ""})
WORD = chunk({"content": 'Grüße, "usage": none, [DONE]'})
FINISH = chunk(finish="stop")
REPORT = chunk(choices=[], usage=USAGE)
DONE = b"data: [DONE]\n\n"
STREAM = (ROLE, WORD, FINISH, REPORT, DONE)


def run(pieces: Iterable[bytes], withhold: bool = True) -> tuple[bytes, Watcher]:
    """All that goes on to the client."""
    watcher = Watcher(withhold_usage=withhold)
    out = b"".join([watcher.feed(piece) for piece in pieces])
    return out + watcher.flush(), watcher


def cuts(data: bytes, seed: int) -> list[bytes]:
    """The bytes in pieces of random sizes."""
    rng = random.Random(seed)
    pieces = []
    while data:
        size = rng.choice((1, 2, 3, 7, 40, 400))
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@pytest.mark.parametrize("withhold", [True, False])
def test_only_the_usage_chunk_is_withheld(withhold: bool) -> None:
    """Everything else goes on byte for byte."""
    out, watcher = run(STREAM, withhold)

    kept = [each for each in STREAM if each is not REPORT or not withhold]
    assert out == b"".join(kept)
    assert watcher.usage == counts(USAGE)
    assert watcher.usage_is_final
    assert watcher.done
    assert (watcher.finish, watcher.model) == ("stop", "gpt-x-2026")
    assert watcher.withheld_count == int(withhold)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_cuts_anywhere_change_nothing(seed: int, ending: bytes) -> None:
    """Segments end where the network likes, also within [DONE], within UTF-8 and between CR and LF."""
    framed = [each.replace(b"\n", ending) for each in STREAM]
    out, watcher = run(cuts(b"".join(framed), seed))

    # A lone LF behind the CR that ended an event belongs to the same line end, wherever it is cut.
    assert out == b"".join(framed[:3] + framed[4:])
    assert watcher.usage == counts(USAGE)
    assert watcher.done


@pytest.mark.parametrize("seed", range(50))
def test_ends_of_events(seed: int) -> None:
    """Wherever one looks from, an end is where two line ends of any kind meet."""
    draw = random.Random(seed)
    data = b"".join(draw.choices([b"a", b"\n", b"\r\n", b"\r"], k=40))
    pattern = re.compile(rb"(?>\r\n|\n|\r){2}")
    for at in range(len(data)):
        match = pattern.search(data, at)
        open_cr = match is not None and match.end() == len(data) and data.endswith(b"\n\r")
        assert event_end(data, at) == (-1 if match is None or open_cr else match.end())


def test_whole_events_go_on_at_once() -> None:
    """Nothing waits for what comes later; half an event waits for its rest."""
    watcher = Watcher(withhold_usage=True)

    assert watcher.feed(ROLE) == ROLE
    assert watcher.feed(WORD[:20]) == b""
    assert watcher.feed(WORD[20:] + FINISH) == WORD + FINISH


def test_the_last_usage_counts() -> None:
    """Some vendors report on every chunk; the figures grow and are never added up."""
    first = chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1})
    last = chunk(finish="stop", usage=USAGE)
    out, watcher = run([first, last, DONE])

    assert out == first + last + DONE
    assert watcher.usage == counts(USAGE)
    assert watcher.usage_is_final


def test_usage_before_the_finish_is_not_final() -> None:
    """A stream that breaks there hasn't told everything."""
    _, watcher = run([chunk({"content": "a"}, usage=USAGE)])

    assert watcher.usage == counts(USAGE)
    assert not watcher.usage_is_final


def test_an_empty_choice_list_without_usage_is_passed_on() -> None:
    """Azure begins with the results of its filters."""
    filters = chunk(choices=[], prompt_filter_results=[])

    assert run([filters, ROLE])[0] == filters + ROLE


def test_spaced_json_is_understood() -> None:
    """Not every vendor writes JSON without spaces."""
    spaced = b'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}\n\n'
    out, watcher = run([ROLE + spaced + DONE])

    assert out == ROLE + DONE
    assert watcher.usage == counts({"prompt_tokens": 1, "completion_tokens": 2})


@pytest.mark.parametrize(
    "odd",
    [
        b": ping\n\n",
        b"data: not json\n\n",
        b'data: ["usage"]\n\n',
        b'data: {"usage": 7}\n\n',
        b"event: x\nid: 1\n\n",
        b"data: \xff\xfe\n\n",
    ],
)
def test_odd_events_are_passed_on(odd: bytes) -> None:
    """Comments, garbage and foreign fields are the vendor's business."""
    out, watcher = run([ROLE, odd, DONE])

    assert out == ROLE + odd + DONE
    assert watcher.usage is None


def test_data_over_several_lines() -> None:
    """The lines of one event belong together."""
    split = b'data: {"choices":[],\ndata: "usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
    out, watcher = run([split])

    assert out == b""
    assert watcher.usage == counts({"prompt_tokens": 1, "completion_tokens": 1})


def test_an_error_event_is_noticed_and_passed_on() -> None:
    """The client's SDK raises on it; the ledger must not take the stream for complete."""
    error = b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'
    out, watcher = run([ROLE, error])

    assert out == ROLE + error
    assert watcher.error == {"message": "overloaded", "type": "server_error"}
    assert not watcher.done


def test_an_end_without_a_blank_line() -> None:
    """The rest of a stream that ends abruptly but cleanly is looked at, too."""
    out, watcher = run([ROLE, REPORT.rstrip(b"\n")])

    assert out == ROLE
    assert watcher.usage == counts(USAGE)


def test_an_endless_event_is_let_go() -> None:
    """What is held back is bounded."""
    watcher = Watcher(withhold_usage=True)
    huge = b"data: " + b"x" * (MAX_EVENT_BYTES + 1)

    assert watcher.feed(huge) == huge
    assert watcher.feed(b"\n\n" + DONE) == b"\n\n" + DONE
    assert watcher.done
