"""Decimal dollars in and out of nano-dollars."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.money import MAX_NANOUSD, format_usd, parse_usd


@pytest.mark.parametrize(
    ("text", "nanousd"),
    [("0.01", 10_000_000), ("1", 10**9), ("$2.50", 2_500_000_000), ("-0.000000001", -1), (" 3 ", 3 * 10**9)],
)
def test_parse(text: str, nanousd: int) -> None:
    """Exact decimal text becomes an integer."""
    assert parse_usd(text) == nanousd


@pytest.mark.parametrize(
    "text", ["", "abc", "0.0000000001", "NaN", "inf", "1e20", "1,5", "1e9999999", "1e-9999999"]
)
def test_parse_refuses(text: str) -> None:
    """What isn't an exact amount is refused rather than rounded."""
    with pytest.raises(ValueError, match=r"not an amount|decimals|billion"):
        parse_usd(text)


@given(st.integers(-MAX_NANOUSD, MAX_NANOUSD))
def test_format_and_parse_agree(nanousd: int) -> None:
    """Nothing is lost on the way to text and back."""
    assert parse_usd(format_usd(nanousd)) == nanousd


@pytest.mark.parametrize(("nanousd", "text"), [(0, "0.00"), (12_300_000, "0.0123"), (-5, "-0.000000005")])
def test_format(nanousd: int, text: str) -> None:
    """At least two decimals, no trailing zeros beyond them."""
    assert format_usd(nanousd) == text
