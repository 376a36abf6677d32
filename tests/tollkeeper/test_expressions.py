"""The expressions of routing rules: what they mean, what is refused when they are written, what they cost."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.expressions import (
    MAX_DEPTH,
    MAX_EXPRESSION_CHARS,
    ExpressionError,
    Facts,
    compile_expression,
)

FACTS = Facts(
    model="gpt-4o",
    family="chat",
    stream=True,
    prompt_bytes=50,
    output_limit=7,
    end_user='ann "a"',
    tags=("vip", "eu"),
    key_id="k1",
    hour=22,
    weekday=7,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("stream", True),
        ("!stream", False),
        ("!!stream", True),
        ('model == "gpt-4o"', True),
        ("model != 'gpt-4o'", False),
        ('model.startsWith("gpt-")', True),
        ('model.endsWith("mini") || model.contains("4")', True),
        ('family == "embeddings"', False),
        ("prompt_bytes < 50", False),
        ("prompt_bytes <= 50 && prompt_bytes >= 50", True),
        ("output_limit > -1", True),
        ('"vip" in tags', True),
        ('!("us" in tags)', True),
        ('model in ["o3", "gpt-4o"]', True),
        ("weekday in [6, 7] && hour >= 22", True),
        ("size(tags) == 2 && size(model) == 6", True),
        ('end_user == "ann \\"a\\""', True),
        ("end_user == 'ann \"a\"'", True),
        ('"&&" == "&&"', True),
        ("stream == true", True),
        ('tags == ["vip", "eu"]', True),
        # && binds closer than ||.
        ("true || false && false", True),
        ("(true || false) && false", False),
        ('team_id == ""', True),
        ('model < "h"', True),
    ],
)
def test_meaning(text: str, value: bool) -> None:
    """As CEL has it."""
    assert compile_expression(text)(FACTS) is value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "model",
        "model < 3",
        "model && stream",
        "!model",
        "stream < true",
        '"vip" in model',
        "3 in tags",
        "[] == []",
        '["a", 1] == tags',
        "[true] == [true]",
        "size(3) == 3",
        'model.matches("x")',
        "model.startsWith(3)",
        "stream.contains('x')",
        "price < 3",
        "model == gpt",
        "model ==",
        "(stream",
        "stream)",
        "stream stream",
        "1 < 2 < 3",
        "1.5 < 2",
        "1 + 1 == 2",
        "model == 'it\\n'",
        "model == 'open",
        "tags.all(t, t == 'x')",
        "__import__('os')",
        "stream # comment",
        "٣ < 4",
        "stream && " * 60 + "stream",
        "(" * (MAX_DEPTH + 1) + "true" + ")" * (MAX_DEPTH + 1),
    ],
)
def test_what_is_refused(text: str) -> None:
    """Unknown names and methods, types that don't meet, loops, and what is too long or too deep."""
    with pytest.raises(ExpressionError):
        compile_expression(text)


def test_the_longest_expression_costs_microseconds() -> None:
    """There is nothing in the language that repeats."""
    text = " || ".join(["hour<0"] * (MAX_EXPRESSION_CHARS // 10))
    compiled = compile_expression(text)
    took_s = []
    for _ in range(100):
        began = perf_counter()
        assert not compiled(FACTS)
        took_s.append(perf_counter() - began)
    # The quickest: whatever else the machine does, it isn't in the way of all of them.
    assert min(took_s) < 0.001


@given(st.text(max_size=60))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    """Never another error, and what compiles doesn't fail."""
    try:
        compiled = compile_expression(text)
    except ExpressionError:
        return
    assert compiled(FACTS) in (True, False)


_PARTS = st.sampled_from(
    [
        "model",
        "stream",
        "tags",
        "hour",
        '"a"',
        "3",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "!",
        "in",
        "==",
        "<",
        "&&",
        "||",
        "size",
        "startsWith",
        "-",
        "true",
    ]
)


@given(st.lists(_PARTS, max_size=12))
def test_any_words_compile_or_are_refused(words: list[str]) -> None:
    """The same for text that is nearly right."""
    test_any_text_compiles_or_is_refused.hypothesis.inner_test(" ".join(words))  # type: ignore[attr-defined]
