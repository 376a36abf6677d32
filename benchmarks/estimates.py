"""How far estimates are from what vendors count and report.

    python -m benchmarks.estimates [--fit] [VOCABULARY ...]

Texts of many kinds are cut into tokens with vocabularies that vendors published, and relayed as a stream of
them; what the edge would estimate is compared with how many they were. The figures are those of texts that
nothing was fitted to. `long` is one stream of all texts of a kind, of which the edge reads a quarter. The
last lines compare streams of the simulator, cut after each event, and prompts with what it billed: its tokens
are words, so that says whether anything is missed. `--fit` prints the table of `edge.text_tokens` instead,
fitted to the other texts.

Lines that begin with ESTIMATE_ERROR are for programs.
"""

import argparse
import asyncio
import codecs
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from statistics import median, quantiles
from typing import Any

import httpx
import tiktoken

from benchmarks.estimates_fit import fitted
from benchmarks.packages import Unfetched
from benchmarks.texts import Text, texts
from benchmarks.vocabularies import VOCABULARIES, load
from edge.estimate import Relayed, prompt_tokens
from edge.families.chat import parse
from simulator import Settings, Simulator

# A model of each vocabulary's vendor.
MODELS = {
    "o200k_base": "gpt-4o",
    "cl100k_base": "gpt-4",
    "claude2": "claude-sonnet-4-5",
    "gemma3": "gemini-2.5-flash",
    "tekken": "mistral-large-latest",
}
# What one event carries: OpenAI sends a token at a time, others several.
EVENT_TOKENS = 4
ANSWERS = {
    "prose": "tokens=200 uncapped",
    "other scripts": "tokens=200 uncapped utf8",
    "tool calls": "tokens=60 uncapped tool",
    "events in pieces": "tokens=100 uncapped split",
}
QUESTION = "Tell me about the history of the toll roads of Europe, in a few paragraphs. "


def against_vocabulary(name: str) -> None:
    """A line for each kind of text, and one that sums them up."""
    vocabulary = load(name)
    by_kind: dict[str, list[Text]] = defaultdict(list)
    for text in texts():
        if text.held:
            by_kind[text.kind].append(text)
    print(
        f"\n{name + ': estimated / counted':<40}{'median':>8}{'least':>8}{'most':>8}{'long':>8}{'texts':>7}"
    )
    ratios: list[float] = []
    for kind, each in sorted(by_kind.items()):
        found = [_ratio(vocabulary, MODELS[name], [text.text]) for text in each]
        long = _ratio(vocabulary, MODELS[name], [text.text for text in each])
        print(
            f"{kind:<40}{median(found):>8.2f}{min(found):>8.2f}{max(found):>8.2f}{long:>8.2f}{len(found):>7}"
        )
        ratios += found
    _sum_up(name, ratios)


def _sum_up(name: str, ratios: list[float]) -> None:
    tenths = quantiles(ratios, n=10, method="inclusive")
    worst = max(ratios, key=lambda ratio: max(ratio, 1 / ratio))
    print(
        f"ESTIMATE_ERROR vocabulary={name} texts={len(ratios)} median={median(ratios):.3f} "
        f"p10={tenths[0]:.3f} p90={tenths[-1]:.3f} worst={worst:.3f}"
    )


def _ratio(vocabulary: tiktoken.Encoding, model: str, told: list[str]) -> float:
    relayed, count = Relayed(model), 0
    for text in told:
        tokens = vocabulary.encode(text, disallowed_special=())
        count += len(tokens)
        for event in _events(vocabulary, tokens):
            relayed.add(event)
    return relayed.tokens() / count


def _events(vocabulary: tiktoken.Encoding, tokens: list[int]) -> Iterator[bytes]:
    """As OpenAI streams them; a character that two tokens share comes with the second."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, len(tokens), EVENT_TOKENS):
        text = decoder.decode(vocabulary.decode_bytes(tokens[at : at + EVENT_TOKENS]))
        chunk = {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": text}}]}
        yield b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


async def against_simulator() -> None:
    """A line for the prompt and the output of each kind of answer, and one that sums them up."""
    ratios: dict[str, list[float]] = {}
    async with Simulator(Settings(port=0)) as simulator, httpx.AsyncClient(base_url=simulator.url) as client:
        for name, steering in ANSWERS.items():
            body = {
                "model": "gpt-4o-mini",
                "messages": [{"role": "user", "content": QUESTION * 8}],
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            answer = await client.post("/v1/chat/completions", json=body, headers={"x-sim": steering})
            answer.raise_for_status()
            events = [each + b"\n\n" for each in answer.content.split(b"\n\n") if each]
            ratios[f"{name}: output"] = list(_outputs(events))
            asked = prompt_tokens(parse(json.dumps(body).encode()), "gpt-4o-mini")
            usage = json.loads(events[-2].removeprefix(b"data: "))["usage"]
            ratios[f"{name}: prompt"] = [(asked or 0) / usage["prompt_tokens"]]
    print(f"\n{'simulator: estimated / reported':<40}{'median':>8}{'least':>8}{'most':>8}{'events':>15}")
    for name, each in ratios.items():
        print(f"{name:<40}{median(each):>8.2f}{min(each):>8.2f}{max(each):>8.2f}{len(each):>15}")
    _sum_up("simulator", [each[-1] for each in ratios.values()])


def _outputs(events: list[bytes]) -> Iterator[float]:
    """At each event that brought a word, of which the simulator bills one token."""
    relayed, reported = Relayed("gpt-4o-mini"), 0
    for event in events:
        relayed.add(event)
        if _brings_text(event):
            reported += 1
            yield relayed.tokens() / reported


def _brings_text(event: bytes) -> bool:
    payload = event.removeprefix(b"data: ").strip()
    if payload == b"[DONE]":
        return False
    choices: list[dict[str, Any]] = json.loads(payload)["choices"]
    for choice in choices:
        delta = choice["delta"]
        if delta.get("content") or any(
            call["function"].get("arguments") for call in delta.get("tool_calls", ())
        ):
            return True
    return False


def main() -> None:
    """Prints all that can be measured here; fails where a vocabulary can't."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("vocabularies", nargs="*", metavar="VOCABULARY", help=", ".join(VOCABULARIES))
    args = parser.parse_args()
    if args.fit:
        print("\n".join(fitted()))
        return
    missing = False
    for name in args.vocabularies or VOCABULARIES:
        try:
            against_vocabulary(name)
        except Unfetched as why:
            missing = True
            print(f"\nNOT MEASURED vocabulary={name}: {why}")
    asyncio.run(against_simulator())
    sys.exit(missing)


if __name__ == "__main__":
    main()
