"""Completions, embeddings and moderations as clients send them: what is refused, and what they can cost."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.call import Call
from edge.families import completions, embeddings, moderations
from tollkeeper.cost import WorstRates
from tollkeeper.errors import Reason, TollkeeperError

PARSERS = {
    "completions": completions.parse,
    "embeddings": embeddings.parse,
    "moderations": moderations.parse,
}
# One nano-dollar a model token in, a thousand out.
RATES = WorstRates(1_000_000, 1_000_000_000, 0, 0)


def parse(family: str, body: dict[str, Any]) -> Call:
    return PARSERS[family](orjson.dumps({"model": "m", **body}))


def hold(family: str, body: dict[str, Any], limit: int = 0, context_tokens: int = 0) -> int:
    return parse(family, body).demand.hold_nanousd(RATES, context_tokens, limit)


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("completions", {"model": None}, "model"),
    ("completions", {"prompt": 5}, "prompt"),
    ("completions", {"prompt": []}, "prompt"),
    ("completions", {"prompt": [1, "a"]}, "prompt"),
    ("completions", {"prompt": [[1], []]}, "prompt[1]"),
    ("completions", {"prompt": ["a"] * 16_385}, "prompt"),
    ("completions", {"prompt": "a", "n": 0}, "n"),
    ("completions", {"prompt": "a", "n": 129}, "n"),
    ("completions", {"prompt": "a", "best_of": -1}, "best_of"),
    ("completions", {"prompt": "a", "max_tokens": "5"}, "max_tokens"),
    ("completions", {"prompt": "a", "stream": 1}, "stream"),
    ("completions", {"prompt": "a", "stream_options": 1}, "stream_options"),
    ("embeddings", {}, "input"),
    ("embeddings", {"input": {}}, "input"),
    ("embeddings", {"input": []}, "input"),
    ("embeddings", {"input": [[]]}, "input[0]"),
    ("embeddings", {"input": "a", "model": 5}, "model"),
    ("moderations", {}, "input"),
    ("moderations", {"input": 5}, "input"),
    ("moderations", {"input": "a", "model": ""}, "model"),
]


@pytest.mark.parametrize(("family", "body", "param"), BAD, ids=str)
def test_what_cannot_be_billed_is_refused(family: str, body: dict[str, Any], param: str) -> None:
    """With the field's name."""
    with pytest.raises(TollkeeperError) as caught:
        parse(family, body)
    assert caught.value.reason == Reason.INVALID_ARGUMENT
    assert caught.value.metadata["param"] == param


@pytest.mark.parametrize(
    ("body", "output_tokens"),
    [
        ({"prompt": "a", "max_tokens": 7}, 7),
        ({"prompt": "a", "max_tokens": 7, "n": 3}, 21),
        ({"prompt": "a", "max_tokens": 7, "n": 3, "best_of": 5}, 35),
        ({"prompt": "a", "max_tokens": 7, "best_of": 0}, 7),
        ({"prompt": ["a", "b"], "max_tokens": 7, "n": 3}, 42),
        ({"prompt": [1, 2, 3], "max_tokens": 7}, 7),
        ({"prompt": [[1], [2], [3]], "max_tokens": 7}, 21),
        ({"max_tokens": 7}, 7),
    ],
    ids=str,
)
def test_every_candidate_of_every_prompt_is_held_for(body: dict[str, Any], output_tokens: int) -> None:
    """L15: vendors bill all of `best_of`, and each prompt of a list."""
    call = parse("completions", body)
    assert call.demand.asked_output == 7
    free_input = WorstRates(0, 1_000_000_000, 0, 0)
    assert call.demand.hold_nanousd(free_input, 0, 7) == output_tokens * 1000


def test_inputs_have_windows_of_their_own() -> None:
    """A context window bounds each input, not all of them together."""
    assert hold("embeddings", {"input": ["x" * 100] * 5}, context_tokens=10) == 50
    assert hold("embeddings", {"input": "x" * 100}, context_tokens=10) == 10
    assert hold("embeddings", {"input": [[1] * 30, [2] * 30]}, context_tokens=100) == 60
    assert hold("embeddings", {"input": [{"image": "…"}, {"text": "a"}]}, context_tokens=100) == 200


def test_no_output_is_held_for_where_there_is_none() -> None:
    """Embeddings and moderations generate nothing: an output limit in force doesn't count."""
    body = {"input": "toll"}
    for family in ("embeddings", "moderations"):
        assert hold(family, body, limit=10_000) == len(orjson.dumps({"model": "m", **body}))


@given(st.one_of(st.text(), st.lists(st.text(), min_size=1), st.lists(st.integers(0, 200_000), min_size=1)))
def test_the_bound_is_never_below_the_tokens(value: Any) -> None:
    """A model token is a byte at least, or is given as such."""
    tokens = len(value) if isinstance(value, list) and isinstance(value[0], int) else 0
    texts = [value] if isinstance(value, str) else [each for each in value if isinstance(each, str)]
    least = max(tokens, sum(len(each.encode("utf-8", "replace")) for each in texts))
    assert hold("embeddings", {"input": value}) >= least


def test_the_default_moderation_model_is_said() -> None:
    """What is priced is what is asked of the vendor."""
    call = moderations.parse(b'{"input":"a"}')
    assert call.model == moderations.DEFAULT_MODEL
    assert orjson.loads(call.raw) == {"model": moderations.DEFAULT_MODEL, "input": "a"}


def test_a_field_that_is_written_twice() -> None:
    """Such a body is sent on as it was understood."""
    assert completions.parse(b'{"model":"m","n":1,"n":5,"prompt":"a"}').ambiguous
    assert not completions.parse(b'{"model":"m","n":1,"prompt":"a"}').ambiguous
