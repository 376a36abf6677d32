"""What a request may cost at most."""

from typing import Any

import orjson
import pytest

from edge.worst_case import (
    IMAGE_TOKENS,
    MAX_WEB_SEARCHES,
    TOOL_WORDS_TOKENS,
    UNKNOWN_CONTEXT_TOKENS,
    demand,
)
from tollkeeper.cost import PriceRates, WorstRates, resolve, worst_rates

RATES = worst_rates(
    PriceRates(
        resolve(
            {
                "input": 1_000_000,
                "output": 4_000_000,
                "cached_input": 500_000,
                "cache_write": 1_250_000,
                "request": 7_000_000,
                "web_search": 10_000_000,
            }
        )
    )
)


def text(content: object = "hi") -> list[dict[str, Any]]:
    """One message of a user."""
    return [{"role": "user", "content": content}]


def bound(**body: Any) -> tuple[int, int]:
    """Prompt bound (context 1,000,000) and size of a body."""
    raw = orjson.dumps({"model": "m", "messages": text()} | body)
    return demand(orjson.loads(raw), len(raw)).input_tokens(1_000_000), len(raw)


@pytest.mark.parametrize("field", ["tools", "response_format"])
def test_what_vendors_say_about_tools_counts(field: str) -> None:
    """Their words to the model are in no body."""
    tokens, size = bound(**{field: {}})
    assert tokens == size + TOOL_WORDS_TOKENS


def test_text_counts_by_its_bytes() -> None:
    """No tokenizer makes two tokens of one byte."""
    tokens, size = bound(messages=text("ü" * 100))

    assert tokens == size


def test_a_window_bounds_the_prompt() -> None:
    """A vendor refuses what doesn't fit its window, so it can't bill more."""
    raw = orjson.dumps({"model": "m", "messages": text("x" * 10_000)})
    needed = demand(orjson.loads(raw), len(raw))

    assert (needed.input_tokens(4096), needed.input_tokens(0)) == (4096, len(raw))


@pytest.mark.parametrize("url", ["https://example.com/cat.png", "data:image/png;base64," + "A" * 90_000])
def test_an_image_counts_by_a_fixed_bound(url: str) -> None:
    """However few or many bytes stand for it."""
    tokens, size = bound(messages=text([{"type": "image_url", "image_url": {"url": url}}]))
    carried = len(url) if url.startswith("data:") else 0

    assert tokens == size - carried + IMAGE_TOKENS


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/v"}},
        "not even an object",
    ],
)
def test_what_is_only_referred_to_counts_as_the_window(part: object) -> None:
    """A file's size, or an unknown part's, can't be seen from here."""
    assert bound(messages=text([part]))[0] == 1_000_000


@pytest.mark.parametrize(
    "body",
    [
        {"web_search_options": {}},
        {"search_parameters": {"mode": "on"}},
        {"messages": [{"role": "assistant", "audio": {"id": "a"}}]},
    ],
)
def test_searches_and_earlier_audio_count_as_the_window(body: dict[str, Any]) -> None:
    """Their input isn't in the body."""
    assert bound(**body)[0] == 1_000_000


def test_an_unknown_window_is_the_largest_there_is() -> None:
    """Better refused than billed past the limit."""
    raw = orjson.dumps({"model": "m", "messages": text([{"type": "file"}])})

    assert demand(orjson.loads(raw), len(raw)).input_tokens(0) == UNKNOWN_CONTEXT_TOKENS


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": None, "max_completion_tokens": 6}, 6),
        ({"max_tokens": 9, "max_completion_tokens": 6}, 9),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
    ],
)
def test_asked_output(body: dict[str, Any], limit: int | None) -> None:
    """The larger of both names, since a vendor may obey either."""
    raw = orjson.dumps({"model": "m", "messages": text()} | body)

    assert demand(orjson.loads(raw), len(raw)).asked_output == limit


@pytest.mark.parametrize(
    ("body", "output_limit", "output_tokens", "searches"),
    [
        ({}, 10, 10, 0),
        ({"n": 3}, 10, 30, 0),
        ({"n": None}, 10, 10, 0),
        ({"prediction": {"type": "content", "content": "abcd"}}, 10, 10 + len("content") + 4, 0),
    ],
)
def test_hold(body: dict[str, Any], output_limit: int, output_tokens: int, searches: int) -> None:
    """Dearest input, all choices, predicted text, the fee of the request; rounded up."""
    raw = orjson.dumps({"model": "m", "messages": text()} | body)
    needed = demand(orjson.loads(raw), len(raw))

    total = len(raw) * 1_250_000 + output_tokens * 4_000_000 + 7_000_000 + searches * 10_000_000
    assert needed.hold_nanousd(RATES, 0, output_limit) == -(-total // 1_000_000)


def test_hold_of_a_search() -> None:
    """As many searches as one request may make, and a whole window of what they find."""
    raw = orjson.dumps({"model": "m", "messages": text(), "web_search_options": {}})
    needed = demand(orjson.loads(raw), len(raw))

    assert needed.hold_nanousd(RATES, 1000, 10) == 1250 + 40 + 7 + 10 * MAX_WEB_SEARCHES


@pytest.mark.parametrize("fits", [500, 1_000, 1_234, 99_999])
@pytest.mark.parametrize("body", [{}, {"n": 3}, {"prediction": "abc"}])
def test_largest_output_is_exact(fits: int, body: dict[str, Any]) -> None:
    """The limit fits, one more doesn't."""
    raw = orjson.dumps({"model": "m", "messages": text()} | body)
    needed = demand(orjson.loads(raw), len(raw))
    largest = needed.largest_output(RATES, 0, fits)

    assert largest is not None
    assert needed.hold_nanousd(RATES, 0, largest) <= fits
    assert needed.hold_nanousd(RATES, 0, largest + 1) > fits


@pytest.mark.parametrize(
    ("worst", "fits", "largest"),
    [
        (RATES, 10, 0),  # the prompt alone is too much
        (WorstRates(input=0, output=0, request=0, web_search=0), 0, None),  # output is free
    ],
)
def test_largest_output_at_the_ends(worst: WorstRates, fits: int, largest: int | None) -> None:
    """Nothing fits, or everything."""
    raw = orjson.dumps({"model": "m", "messages": text()})

    assert demand(orjson.loads(raw), len(raw)).largest_output(worst, 0, fits) == largest
