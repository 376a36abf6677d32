"""About how many tokens a text has, where no vendor says: by runs of characters of one kind.

Tokenizers cut a text at the borders of words, numbers, punctuation and white space, and then into the pieces
that their vocabulary has. So each run of one kind counts its length divided by what its kind has per token,
rounded up. How much that is depends on the script and on the vendor: an old vocabulary has few pieces for
most scripts, and some cut numbers into digits. The figures are fitted to vocabularies that vendors published,
towards more tokens: an estimate should rather cover the bill (docs/streams.md).
"""

import re
from enum import IntEnum


class Vocabulary(IntEnum):
    """Whose vocabulary: the column of CHARS_PER_TEN_TOKENS."""

    OPENAI = 0
    ANTHROPIC = 1
    GOOGLE = 2
    MISTRAL = 3


# Letters of European alphabets beyond ASCII; of Vietnamese, too.
_ACCENTED = "ªº\u00c0-\u024f\u1e00-\u1eff"
# What keys, hashes and base64 are made of. Only where such a run begins is it looked at as a whole: from each
# of its words it would take a time that grows with the square of its length.
_OF_KEYS = "A-Za-z0-9+/_=-"
# Kind → its characters. The first kind that fits counts. A single blank belongs to the word behind it, so no
# kind has it.
KINDS: dict[str, str] = {
    "random": rf"(?<![{_OF_KEYS}])(?=[{_OF_KEYS}]{{32}})(?=[a-z0-9+/_=-]*[A-Z])(?=[A-Za-z+/_=-]*[0-9])"
    rf"[{_OF_KEYS}]+",
    "latin": rf"[A-Za-z]++(?![{_ACCENTED}])",
    # Words that are hardly English.
    "accented": rf"[A-Za-z{_ACCENTED}]+",
    "digits": r"[0-9]+",
    "white space": r"\s*\n\s*|\s{2,}",
    "cyrillic": r"[\u0400-\u052f]+",
    "greek": r"[\u0370-\u03ff\u1f00-\u1fff]+",
    "hebrew": r"[\u0590-\u05ff]+",
    "arabic": r"[\u0600-\u07ff]+",
    "indic": r"[\u0900-\u0dff]+",
    "thai": r"[\u0e00-\u0eff]+",
    "hangul": r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]+",
    "kana": r"[\u3040-\u30ff]+",
    "han": r"[\u2e80-\u303f\u3100-\u312f\u3190-\ua4cf\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]+",
    "other letters": r"[\u0530-\u058f\u0800-\u08ff\u0f00-\u10ff\u1200-\u1dff\ua4d0-\uabff]+",
    "punctuation": r"[\x00-\x08\x0e-\x1b!-/:-@\[-`{-\x7f\u00a1-\u00bf\u2000-\u206f]+",
    "emoji": r"[\U0001f000-\U0001ffff]",
    # Rare symbols.
    "other": r"\S",
}
# Kind → how many of its characters make ten tokens, by vocabulary. `make estimate-error ARGS=--fit` makes it.
CHARS_PER_TEN_TOKENS: dict[str, tuple[int, int, int, int]] = {
    "random": (15, 14, 14, 13),
    "latin": (80, 60, 65, 65),
    "accented": (25, 12, 30, 20),
    "digits": (30, 30, 10, 10),
    "white space": (100, 100, 65, 100),
    "cyrillic": (30, 15, 35, 30),
    "greek": (30, 8, 25, 25),
    "hebrew": (25, 10, 20, 20),
    "arabic": (30, 9, 30, 35),
    "indic": (30, 5, 45, 20),
    "thai": (20, 5, 25, 16),
    "hangul": (14, 8, 18, 18),
    "kana": (18, 16, 60, 18),
    "han": (10, 7, 12, 10),
    "other letters": (30, 5, 18, 20),
    "punctuation": (100, 100, 100, 100),
    "emoji": (5, 4, 5, 4),
    "other": (10, 10, 10, 10),
}
RUN = re.compile("|".join(f"({characters})" for characters in KINDS.values()))
_CHARS = tuple((0, *column) for column in zip(*CHARS_PER_TEN_TOKENS.values(), strict=True))
# Whoever trained a model, its name tells, at every vendor that sells it. The vocabularies of other models
# resemble OpenAI's.
_BY_NAME = {
    "claude": Vocabulary.ANTHROPIC,
    "gemini": Vocabulary.GOOGLE,
    "gemma": Vocabulary.GOOGLE,
    "mistral": Vocabulary.MISTRAL,
    "ministral": Vocabulary.MISTRAL,
    "magistral": Vocabulary.MISTRAL,
    "codestral": Vocabulary.MISTRAL,
    "devstral": Vocabulary.MISTRAL,
    "mixtral": Vocabulary.MISTRAL,
    "pixtral": Vocabulary.MISTRAL,
}
# Of longer texts so much is counted, a half at each end, and the rest taken to be alike.
MAX_COUNTED_CHARS = 65_536


def vocabulary_of(model: str) -> Vocabulary:
    """Whose vocabulary a model has, by its name."""
    lowered = model.lower()
    for name, vocabulary in _BY_NAME.items():
        if name in lowered:
            return vocabulary
    return Vocabulary.OPENAI


def text_tokens(text: str, vocabulary: Vocabulary) -> int:
    """The estimate for one text; about 10 ms for the longest that is counted whole."""
    if len(text) > MAX_COUNTED_CHARS:
        half = MAX_COUNTED_CHARS // 2
        ends = text[:half] + text[-half:]
        return -(-text_tokens(ends, vocabulary) * len(text) // len(ends))
    chars, tokens = _CHARS[vocabulary], 0
    for run in RUN.finditer(text):
        tokens -= -10 * (run.end() - run.start()) // chars[run.lastindex or 0]
    return tokens
