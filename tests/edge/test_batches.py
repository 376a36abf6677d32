"""What a batch may use, counted from its file, and what it used, read from its end."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.families.batches import demand
from edge.families.chat import parse
from edge.formats.batches_openai import read_batch
from edge.uploads.batch_lines import BatchLines
from tollkeeper.cost import UsageCounts, WorstRates
from tollkeeper.errors import TollkeeperError

RATES = WorstRates(input=150_000_000, output=600_000_000, request=7_000_000, web_search=0)


def line(**fields: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]} | fields
    return {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}


def counted(data: bytes, size: int = 1000) -> BatchLines:
    lines = BatchLines(strict=False)
    for start in range(0, len(data), size):
        lines.feed(data[start : start + size])
    lines.end()
    return lines


bodies = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({"content": st.text(max_size=50)}), min_size=1, max_size=3)},
    optional={"max_tokens": st.integers(1, 5000), "n": st.integers(1, 4)},
)


@given(rows=st.lists(bodies, min_size=1, max_size=8), size=st.integers(1, 400), final=st.booleans())
def test_a_batch_holds_what_its_requests_would(rows: list[dict[str, Any]], size: int, final: bool) -> None:
    """However its file is cut, a batch's worst case is no less than that of its requests one by one."""
    data = b"\n".join(orjson.dumps(line(**row)) for row in rows) + b"\n" * final
    lines = counted(data, size)
    assert lines.problem is None
    whole = demand(lines.counted)
    most, context = 4096, 8000
    alone = 0
    for row in rows:
        call = parse(orjson.dumps({"model": "m"} | row))
        alone += call.demand.hold_nanousd(RATES, context, call.demand.asked_output or most)
    limits = [row.get("max_tokens", most) for row in rows]
    held = whole.hold_nanousd(RATES, context, whole.asked_output or max(most, *limits))
    assert held >= alone - len(rows)  # each alone is rounded up


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([line(), {"url": "/v1/chat/completions"}], "Line 2 .*no request"),
        ([line(), []], "Line 2 .*no request"),
        ([line(), line(model="other")], "Line 2 .*another model"),
        ([line() | {"url": "/v1/moderations"}], "Line 1 .*doesn't serve"),
        ([line() | {"url": 7}], "Line 1 .*doesn't serve"),
        ([line(messages=[])], "Line 1 .*messages"),
        ([line(messages=[{"content": [{"type": "file", "file": {"file_id": "file-1"}}]}])], "refers to"),
        ([line()] * 50_001, "Line 50001 .*one too many"),
    ],
)
def test_lines_that_cannot_be_counted(rows: list[Any], words: str) -> None:
    """The first one is named; strictly it ends the upload, else it waits."""
    data = b"\n".join(orjson.dumps(row) for row in rows)
    assert counted(data, 1_000_000).problem is not None
    lines = BatchLines(strict=True)
    with pytest.raises(TollkeeperError, match=words):  # noqa: PT012 - where, depends on the line
        lines.feed(data)
        lines.end()


def test_a_line_that_is_too_long() -> None:
    """It isn't read into memory."""
    lines = BatchLines(strict=True)
    with pytest.raises(TollkeeperError, match="more than"):  # noqa: PT012
        for _ in range(200):
            lines.feed(b"x" * 65_536)


def fetch_of(*pieces: bytes) -> Any:
    async def fetch(file_id: str) -> AsyncIterator[bytes]:
        assert file_id == "file-out"
        for piece in pieces:
            yield piece

    return fetch


def result(status: int = 200, **usage: int) -> bytes:
    row = {"response": {"status_code": status, "body": {"usage": usage} if usage else {}}, "error": None}
    return orjson.dumps(row)


CHAT = {"prompt_tokens": 10, "completion_tokens": 3}
ENDED = {"status": "completed", "output_file_id": "file-out", "error_file_id": "file-err"}


async def test_its_own_sum() -> None:
    """The usage of the batch counts, at the tier of batches; its files become the customer's."""
    usage = {"input_tokens": 20, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 4}}
    batch = ENDED | {"usage": usage, "request_counts": {"completed": 2}, "model": "m-1"}
    reading = await read_batch(batch, fetch_of())
    assert reading.usage == UsageCounts(
        input_tokens=20, cached_input_tokens=4, output_tokens=5, requests=2, service_tier="batch"
    )
    assert (reading.model, reading.finish) == ("m-1", "completed")
    assert [made.object_id for made in reading.kept] == ["file-out", "file-err"]


@pytest.mark.parametrize(
    ("pieces", "usage"),
    [
        ([result(**CHAT), b"\n", result(**CHAT)], UsageCounts(20, output_tokens=6, requests=2)),
        ([result(**CHAT)[:9], result(**CHAT)[9:] + b"\n\n"], UsageCounts(10, output_tokens=3, requests=1)),
        ([result(400), b"\n", result(**CHAT)], UsageCounts(10, output_tokens=3, requests=1)),
        ([result(prompt_tokens=7, total_tokens=7)], UsageCounts(7, requests=1)),
        ([result()], None),
        ([b"not json"], None),
        ([b"x" * 34_000_000], None),
    ],
)
async def test_the_sum_of_its_results(pieces: list[bytes], usage: UsageCounts | None) -> None:
    """Without a sum of its own the results are added up; one that can't be read leaves the estimate."""
    reading = await read_batch(ENDED, fetch_of(*pieces))
    assert reading.usage == (usage._replace(service_tier="batch") if usage is not None else None)
    assert not reading.unbilled


async def test_before_and_without_results() -> None:
    """Nothing is known before the end; one without results cost nothing."""
    for status in ("validating", "in_progress", "finalizing", "cancelling", "something new"):
        reading = await read_batch({"status": status}, fetch_of())
        assert (reading.usage, reading.unbilled, reading.kept) == (None, False, ())
    reading = await read_batch({"status": "failed", "output_file_id": None}, fetch_of())
    assert (reading.usage, reading.unbilled, reading.finish) == (None, True, "failed")
