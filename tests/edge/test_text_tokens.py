"""Tokens of texts that no vendor counted, held to what vendors' vocabularies make of them."""

import re
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.text_tokens import (
    CHARS_PER_TEN_TOKENS,
    KINDS,
    MAX_COUNTED_CHARS,
    Vocabulary,
    text_tokens,
    vocabulary_of,
)

ROOT = Path(__file__).parents[2]
PASSAGES = ROOT / "benchmarks/passages"
# The second passage of each file, to which nothing was fitted: its tokens in o200k_base (OpenAI's), claude2
# (Anthropic's), gemma3 (Google's) and tekken (Mistral's), as benchmarks.vocabularies counts them.
COUNTED = {
    "arabic-and-hebrew/arabic": (83, 234, 88, 80),
    "arabic-and-hebrew/hebrew": (87, 191, 102, 96),
    "arabic-and-hebrew/persian": (86, 247, 82, 85),
    "chinese/chinese": (109, 160, 91, 123),
    "chinese/traditional-chinese": (95, 138, 71, 102),
    "code/go": (215, 276, 279, 226),
    "code/html": (235, 263, 274, 241),
    "code/java": (165, 187, 189, 178),
    "code/rust": (245, 271, 292, 247),
    "code/shell": (235, 257, 254, 242),
    "code/typescript": (177, 215, 219, 189),
    "cyrillic-and-greek/greek": (94, 306, 97, 102),
    "cyrillic-and-greek/russian": (85, 171, 83, 98),
    "cyrillic-and-greek/ukrainian": (112, 189, 105, 119),
    "emoji/messages": (136, 177, 107, 226),
    "emoji/symbols": (123, 144, 115, 132),
    "english/english": (93, 94, 94, 93),
    "indic-and-thai/bengali": (77, 398, 55, 104),
    "indic-and-thai/hindi": (85, 280, 69, 97),
    "indic-and-thai/tamil": (60, 369, 48, 76),
    "indic-and-thai/thai": (83, 369, 67, 110),
    "japanese/japanese": (117, 162, 84, 115),
    "korean/korean": (92, 172, 89, 78),
    "latin/french": (83, 111, 88, 84),
    "latin/german": (84, 119, 88, 88),
    "latin/italian": (88, 126, 81, 83),
    "latin/polish": (106, 165, 96, 111),
    "latin/portuguese": (75, 104, 77, 81),
    "latin/spanish": (76, 107, 76, 80),
    "latin/turkish": (92, 141, 89, 103),
    "latin/vietnamese": (90, 238, 84, 88),
    "markdown/answers": (174, 183, 191, 191),
    "markdown/chat": (148, 163, 163, 153),
    "markdown/guides": (158, 175, 178, 170),
    "mathematics/formulas": (201, 205, 195, 186),
    "other-letters/armenian": (80, 408, 115, 88),
    "other-letters/georgian": (72, 251, 91, 102),
}
# Text → how many tokens it has, in all of them.
KNOWN = {
    "The quick brown fox jumps over the lazy dog.": 10,
    "Hello, world!": 4,
    "": 0,
}


@pytest.mark.parametrize("vocabulary", Vocabulary)
def test_error(vocabulary: Vocabulary) -> None:
    """Of texts that it wasn't fitted to: no estimate is far off, and the middle one is right."""
    ratios = []
    for name, counted in COUNTED.items():
        text = (PASSAGES / f"{name}.txt").read_text(encoding="utf-8").split("\n---\n")[1]
        ratios.append(text_tokens(text, vocabulary) / counted[vocabulary])
    assert min(ratios) > 0.7
    assert max(ratios) < 1.6
    assert 1 <= median(ratios) < 1.15


def test_all_passages_are_counted() -> None:
    """A new one is in the table above."""
    assert set(COUNTED) == {str(path.relative_to(PASSAGES))[:-4] for path in PASSAGES.glob("*/*.txt")}


@pytest.mark.parametrize("vocabulary", Vocabulary)
@pytest.mark.parametrize("text", KNOWN)
def test_known_texts(text: str, vocabulary: Vocabulary) -> None:
    """Ordinary English is the same for all, and exact."""
    assert text_tokens(text, vocabulary) == KNOWN[text]


@given(st.text(max_size=300), st.sampled_from(Vocabulary))
def test_bounds(text: str, vocabulary: Vocabulary) -> None:
    """No token for nothing, and never more than the bytes, of which no tokenizer makes two tokens of one."""
    tokens = text_tokens(text, vocabulary)
    assert (tokens == 0) == (not re.search(r"\S|\s{2,}|\n", text))
    assert tokens <= max(len(text.encode("utf-8", "surrogatepass")), 1)


# Whether a word is English shows at its end, perhaps.
ALIKE = st.text(st.characters().filter(lambda each: not re.match(KINDS["accented"], each)), max_size=100)


@given(ALIKE, ALIKE, st.sampled_from(Vocabulary))
def test_two_halves(one: str, other: str, vocabulary: Vocabulary) -> None:
    """Cutting a text changes its estimate by little: a run that is cut is rounded up twice."""
    halves = text_tokens(one, vocabulary) + text_tokens(other, vocabulary)
    assert abs(halves - text_tokens(one + other, vocabulary)) <= 3


def test_long_texts_are_sampled() -> None:
    """Both ends stand for the middle; the time it takes is bounded."""
    text = "The quick brown fox jumps over the lazy dog. " * 20_000
    assert len(text) > 10 * MAX_COUNTED_CHARS
    assert abs(text_tokens(text, Vocabulary.OPENAI) - 200_000) < 2_000


@pytest.mark.parametrize(
    "piece",
    ["a-", "/usr/lib/x", "abc_1", "a1=", "a", "é", "aé", " ", "\n ", "A1", "-", "  x", "a.", "9", "\u3042"],
)
def test_time_grows_with_the_length(piece: str) -> None:
    """No text, however it is made, takes the square of its length: the loop waits for it."""
    text = (piece * MAX_COUNTED_CHARS)[:MAX_COUNTED_CHARS]
    began = perf_counter()
    text_tokens(text, Vocabulary.OPENAI)
    assert perf_counter() - began < 2, "milliseconds, where it doesn't grow with the square"


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("gpt-4o-mini", Vocabulary.OPENAI),
        ("llama-3.3-70b", Vocabulary.OPENAI),
        ("claude-sonnet-4-5", Vocabulary.ANTHROPIC),
        ("anthropic.claude-haiku-4-5-v1:0", Vocabulary.ANTHROPIC),
        ("google/gemini-2.5-flash", Vocabulary.GOOGLE),
        ("mistralai/Mixtral-8x7B", Vocabulary.MISTRAL),
        ("", Vocabulary.OPENAI),
    ],
)
def test_whose_vocabulary(model: str, vocabulary: Vocabulary) -> None:
    """By the model's name, whoever sells it."""
    assert vocabulary_of(model) is vocabulary


def test_the_rule_is_documented() -> None:
    """The table of docs/streams.md is the code's."""
    told = re.findall(
        r"^\| ([a-z ]+) " + r"\| ([0-9.]+) " * 4 + r"\|$", (ROOT / "docs/streams.md").read_text(), re.M
    )
    assert {kind: tuple(figures) for kind, *figures in told} == {
        kind: tuple(f"{count / 10:g}" for count in counts) for kind, counts in CHARS_PER_TEN_TOKENS.items()
    }
