"""About how many tokens a text has, where no vendor says: by runs of characters of one kind.

Tokenizers cut a text at the borders of words, numbers, punctuation and white space, and then into the pieces
that they know; how many depends on the script far more than on the vendor. So each run of one kind counts its
length divided by what its kind has per token, rounded up. The figures are those of today's vocabularies
(100,000 to 260,000 pieces) for ordinary text, rounded towards more tokens: an estimate should rather cover
the bill (docs/streams.md).
"""

import re

# Kind → its characters, and how many of them make ten tokens. The first kind that fits counts. A single
# blank belongs to the word behind it, so no kind has it.
CHARS_PER_TEN_TOKENS: dict[str, tuple[str, int]] = {
    # Keys, hashes, base64: nothing that a vocabulary knows.
    "random": (r"(?=[a-z0-9+/_=-]*[A-Z])(?=[A-Za-z+/_=-]*[0-9])[A-Za-z0-9+/_=-]{32,}", 15),
    "latin": (r"[A-Za-zªº\u00c0-\u024f]+", 60),
    "digits": (r"[0-9]+", 30),
    "white space": (r"\s*\n\s*|\s{2,}", 80),
    "cyrillic and greek": (r"[\u0370-\u052f]+", 30),
    "hebrew and arabic": (r"[\u0590-\u07ff]+", 20),
    "hangul": (r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]+", 8),
    "han and kana": (r"[\u2e80-\u312f\u3190-\ua4cf\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]+", 10),
    "other letters": (r"[\u0800-\u10ff\u1200-\u1fff\ua4d0-\uabff]+", 10),
    "punctuation": (r"[\x00-\x08\x0e-\x1b!-/:-@\[-`{-\x7f\u00a1-\u00bf\u2000-\u206f]+", 20),
    # Emoji and rare symbols.
    "other": (r"[^\s]", 5),
}
_RUN = re.compile("|".join(f"({characters})" for characters, _ in CHARS_PER_TEN_TOKENS.values()))
_CHARS = (0, *(count for _, count in CHARS_PER_TEN_TOKENS.values()))
# Of longer texts so much is counted, a half at each end, and the rest taken to be alike.
MAX_COUNTED_CHARS = 65_536


def text_tokens(text: str) -> int:
    """The estimate for one text; about 10 ms for the longest that is counted whole."""
    if len(text) > MAX_COUNTED_CHARS:
        half = MAX_COUNTED_CHARS // 2
        ends = text[:half] + text[-half:]
        return -(-text_tokens(ends) * len(text) // len(ends))
    tokens = 0
    for run in _RUN.finditer(text):
        tokens -= -10 * (run.end() - run.start()) // _CHARS[run.lastindex or 0]
    return tokens
