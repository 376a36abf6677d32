"""How far estimates are from what is reported, whole answers and cut ones.

    python -m benchmarks.estimates [--encoding o200k_base]

Streams of the simulator are cut after each of their events; what the edge would estimate from the events so
far is compared with what the simulator had billed by then, and the prompt with its usage. Its tokens are
words, though, so `--encoding` says more about vendors: it compares texts of many languages and kinds with one
of OpenAI's tokenizers, where the package tiktoken has that encoding on this machine. The last line is for
programs.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator
from statistics import median
from typing import Any

import httpx

from benchmarks.texts import TEXTS
from edge.estimate import Relayed, prompt_tokens
from edge.families.chat import parse
from edge.text_tokens import text_tokens
from simulator import Settings, Simulator

ANSWERS = {
    "prose": "tokens=200 uncapped",
    "other scripts": "tokens=200 uncapped utf8",
    "tool calls": "tokens=60 uncapped tool",
    "events in pieces": "tokens=100 uncapped split",
}
QUESTION = "Tell me about the history of the toll roads of Europe, in a few paragraphs. "


async def measured() -> dict[str, list[float]]:
    """Estimated over reported, for the prompt and at each event of each answer."""
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
            asked = prompt_tokens(parse(json.dumps(body).encode()))
            usage = json.loads(events[-2].removeprefix(b"data: "))["usage"]
            ratios[f"{name}: prompt"] = [(asked or 0) / usage["prompt_tokens"]]
    return ratios


def _outputs(events: list[bytes]) -> Iterator[float]:
    """At each event that brought a word, of which the simulator bills one token."""
    relayed, reported = Relayed(), 0
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


def tokenized(encoding: str) -> dict[str, list[float]]:
    """Estimated over counted, for each text."""
    import tiktoken

    vocabulary = tiktoken.get_encoding(encoding)
    return {name: [text_tokens(text) / len(vocabulary.encode(text))] for name, text in TEXTS.items()}


def main() -> None:
    """Prints a line for each kind, and one that sums them up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--encoding", help="an encoding of tiktoken, such as o200k_base")
    encoding = parser.parse_args().encoding
    ratios = tokenized(encoding) if encoding else asyncio.run(measured())
    print(f"{'estimated / reported':<28}{'median':>8}{'least':>8}{'most':>8}{'samples':>9}")
    for name, each in ratios.items():
        print(f"{name:<28}{median(each):>8.2f}{min(each):>8.2f}{max(each):>8.2f}{len(each):>9}")
    ends = [each[-1] for each in ratios.values()]
    worst = max(abs(ratio - 1) for ratio in ends)
    against = encoding or "simulator"
    print(f"ESTIMATE_ERROR against={against} kinds={len(ends)} median={median(ends):.3f} worst={worst:.3f}")


if __name__ == "__main__":
    main()
