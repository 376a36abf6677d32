import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.model_match import ModelList


@pytest.mark.parametrize(
    ("entries", "model", "allowed"),
    [
        ([], "gpt-4o", True),
        (["gpt-4o"], "gpt-4o", True),
        (["gpt-4o"], "gpt-4o-mini", False),
        (["gpt-4o"], "GPT-4o", False),
        (["gpt-*"], "gpt-", True),
        (["gpt-*"], "o1", False),
        (["*"], "anything", True),
        (["*-mini"], "gpt-4o-mini", True),
        (["*-mini"], "gpt-4o-mini-2024", False),
        (["claude-*-4-*"], "claude-opus-4-1", True),
        (["claude-*-4-*"], "claude-4-opus", False),
        (["ab*ba"], "aba", False),
        (["ab*ba"], "abba", True),
        (["a.c"], "abc", False),
        (["o1", "gpt-*"], "gpt-4o", True),
    ],
)
def test_list_admits_names_and_wildcards(entries: list[str], model: str, allowed: bool) -> None:
    """Names are exact, `*` stands for any text, an empty list admits all."""
    assert ModelList(entries).allows(model) is allowed


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab", max_size=10))
def test_wildcards_agree_with_a_regular_expression(pattern: str, model: str) -> None:
    """The matcher means what the same pattern means as a regular expression."""
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    assert ModelList([pattern]).allows(model) == bool(re.fullmatch(expression, model))
