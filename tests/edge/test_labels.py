"""What apps file their requests under: read from body and header, cut and cleaned."""

from typing import Any

import pytest

from edge.labels import end_user_of, tags_of


@pytest.mark.parametrize(
    ("body", "end_user"),
    [
        ({}, ""),
        ({"user": "ann"}, "ann"),
        ({"safety_identifier": "s-1"}, "s-1"),
        ({"user": "ann", "safety_identifier": "s-1"}, "s-1"),
        ({"user": "ann", "safety_identifier": ""}, "ann"),
        ({"user": " a\x00n\nn "}, "ann"),
        ({"user": "é" * 300}, "é" * 256),
        ({"user": "\x00"}, ""),
        ({"user": 7}, ""),
        ({"user": {"id": "ann"}}, ""),
        ({"user": None, "safety_identifier": []}, ""),
    ],
)
def test_the_apps_own_user(body: dict[str, Any], end_user: str) -> None:
    """safety_identifier before user; what isn't a text is none of ours, and no error."""
    assert end_user_of(body) == end_user


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("", ()),
        (" , ,", ()),
        ("a", ("a",)),
        ("a, b ,a", ("a", "b")),
        ("team=x;y", ("team=x;y",)),
        ("t\x07ab\udcff", ("tab",)),
        ("x" * 100, ("x" * 64,)),
        (",".join(f"t{n}" for n in range(20)), tuple(f"t{n}" for n in range(8))),
        ("," * 100_000, ()),
    ],
)
def test_tags(header: str, tags: tuple[str, ...]) -> None:
    """Each once, eight at most, of 64 characters that can be printed."""
    assert tags_of(header) == tags
