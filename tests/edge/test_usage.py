"""Usage as vendors report it, deviations included."""

import pytest

from edge.usage import counts
from tollkeeper.cost import UsageCounts


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
            UsageCounts(input_tokens=3, output_tokens=5),
        ),
        (
            {
                "prompt_tokens": 2048,
                "completion_tokens": 300,
                "total_tokens": 2348,
                "prompt_tokens_details": {
                    "cached_tokens": 1024,
                    "cache_write_tokens": 512,
                    "audio_tokens": 7,
                },
                "completion_tokens_details": {"reasoning_tokens": 256, "audio_tokens": 9},
            },
            UsageCounts(
                input_tokens=2048,
                cached_input_tokens=1024,
                cache_write_tokens=512,
                audio_input_tokens=7,
                output_tokens=300,
                reasoning_tokens=256,
                audio_output_tokens=9,
            ),
        ),
        # Details may be null, and so may their parts.
        (
            {
                "prompt_tokens": 1,
                "completion_tokens": 2,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            UsageCounts(input_tokens=1, output_tokens=2),
        ),
        # xAI: reasoning is in the total, not in completion_tokens.
        (
            {
                "prompt_tokens": 10120,
                "completion_tokens": 1499,
                "total_tokens": 14428,
                "completion_tokens_details": {"reasoning_tokens": 2809},
            },
            UsageCounts(input_tokens=10120, output_tokens=4308, reasoning_tokens=2809),
        ),
        # Google's compatible endpoint: not even named.
        (
            {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
            UsageCounts(input_tokens=20, output_tokens=603, reasoning_tokens=405),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 8,
                "prompt_tokens_details": {"image_tokens": 4},
                "completion_tokens_details": {"image_tokens": 5},
            },
            UsageCounts(input_tokens=9, output_tokens=8, image_input_tokens=4, image_output_tokens=5),
        ),
        (
            {"input_tokens": 4, "output_tokens": 6, "output_tokens_details": {"reasoning_tokens": 1}},
            UsageCounts(input_tokens=4, output_tokens=6, reasoning_tokens=1),
        ),
    ],
)
def test_counts(usage: dict[str, object], expected: UsageCounts) -> None:
    """Each shape gives these counts."""
    assert counts(usage) == expected


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        "many",
        {},
        {"prompt_tokens": 1},
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": 1.5, "completion_tokens": 2},
        {"prompt_tokens": True, "completion_tokens": 2},
        {"prompt_tokens": 10**13, "completion_tokens": 2},
    ],
)
def test_garbage_is_no_usage(usage: object) -> None:
    """What can't be trusted is treated as missing."""
    assert counts(usage) is None


@pytest.mark.parametrize(
    ("tier", "expected"),
    [
        (None, ""),
        ("default", ""),
        ("auto", ""),
        ("standard", ""),
        ("flex", "flex"),
        ("priority", "priority"),
        (7, ""),
        ("x" * 41, ""),
        ("fl\x00ex", ""),
    ],
)
def test_the_service_tier_that_was_used(tier: object, expected: str) -> None:
    """As the vendor names it; the standard one, and nonsense, are none."""
    found = counts({"prompt_tokens": 1, "completion_tokens": 1}, service_tier=tier)
    assert found is not None
    assert found.service_tier == expected


def test_searches_come_from_the_request() -> None:
    """Vendors don't report them in chat."""
    found = counts({"prompt_tokens": 1, "completion_tokens": 1}, web_searches=1)

    assert found is not None
    assert found.web_searches == 1
