"""The table of characters per ten tokens, fitted to texts and vocabularies.

For each vocabulary, the figures of which the distance of estimates from counts is least over the texts that
aren't held. An estimate that is too low counts twice, so that the fit leans towards more tokens; what models
write most, English and code, counts three times.
"""

from collections import Counter, defaultdict
from math import log
from statistics import mean

from benchmarks.texts import texts
from benchmarks.vocabularies import load
from edge.text_tokens import KINDS, RUN

# In the order of the table's columns.
COLUMNS = ("o200k_base", "claude2", "gemma3", "tekken")
FIRST = (10, 20, 100)
# Coarse, so that no figure is fitted to the chance of a text or two.
STEPS = (4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 18, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 80, 100)
TOO_LOW = 2
WEIGHTS = {"english": 3, "code": 3}

# Of one text: its kind, how often a run of a kind of characters has a length, and its tokens.
Sample = tuple[str, Counter[tuple[int, int]], int]


def fitted() -> list[str]:
    """The lines of the table."""
    columns = [_fit(_samples(name)) for name in COLUMNS]
    rows = zip(KINDS, zip(*columns, strict=True), strict=True)
    return [f'    "{kind}": ({", ".join(map(str, figures))}),' for kind, figures in rows]


def _samples(vocabulary: str) -> list[Sample]:
    encoding = load(vocabulary)
    found = []
    for each in texts():
        if not each.held:
            runs = Counter(((run.lastindex or 1) - 1, len(run[0])) for run in RUN.finditer(each.text))
            found.append((each.kind, runs, len(encoding.encode(each.text, disallowed_special=()))))
    return found


def _fit(samples: list[Sample]) -> list[int]:
    """The best that is found from a few beginnings, since each may end where others do better."""
    return min((_descended(samples, first) for first in FIRST), key=lambda figures: _loss(samples, figures))


def _descended(samples: list[Sample], first: int) -> list[int]:
    """One figure after the other is moved to where the loss is least, until none moves any more; of equally
    good ones the smallest, which makes most tokens."""
    figures, before = [first] * len(KINDS), list[int]()
    while figures != before:
        before = figures
        for kind in range(len(figures)):
            tried = ([*figures[:kind], step, *figures[kind + 1 :]] for step in STEPS)
            figures = min(tried, key=lambda figures: _loss(samples, figures))
    return figures


def _loss(samples: list[Sample], figures: list[int]) -> float:
    by_kind: dict[str, list[float]] = defaultdict(list)
    for kind, runs, tokens in samples:
        estimate = sum(count * -(-10 * length // figures[of]) for (of, length), count in runs.items())
        distance = log(estimate / tokens)
        by_kind[kind].append(distance if distance > 0 else -TOO_LOW * distance)
    return sum(WEIGHTS.get(kind, 1) * mean(losses) for kind, losses in by_kind.items())
