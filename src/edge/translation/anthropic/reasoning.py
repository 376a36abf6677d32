"""Thinking on its way through a client that speaks OpenAI's format, and back.

Anthropic wants its thinking back unchanged and in its place, with the signature it made. It travels in
`reasoning_details` of the message, in the form that OpenRouter made common; clients which hand messages back
as they got them return it. Each detail says what came before it in the message (`text_offset` characters of
`content`, `tool_offset` calls; 0 isn't written), since OpenAI's message has one text and one list of calls.
Without a signature of Anthropic's, thinking is left out: it would be refused.
"""

from typing import Any

from edge.translation.anthropic.fields import text_in
from edge.translation.refusals import list_of, object_of

FORMAT = "anthropic-claude-v1"
TEXT, ENCRYPTED = "reasoning.text", "reasoning.encrypted"

Blocks = list[dict[str, Any]]


def detail_of(block: dict[str, Any], index: int, text_offset: int, tool_offset: int) -> dict[str, Any]:
    """A thinking or redacted_thinking block as the `index`-th detail of a message."""
    if block["type"] == "redacted_thinking":
        detail: dict[str, Any] = {"type": ENCRYPTED, "data": text_in(block, "data")}
    else:
        detail = {
            "type": TEXT,
            "text": text_in(block, "thinking"),
            "signature": text_in(block, "signature"),
        }
    detail |= {"format": FORMAT, "index": index}
    if text_offset:
        detail["text_offset"] = text_offset
    if tool_offset:
        detail["tool_offset"] = tool_offset
    return detail


def thoughts_of(details: object, where: str) -> list[tuple[dict[str, Any], int, int]]:
    """Thinking blocks out of a message that came back, each with its offsets, in order."""
    if details is None:
        return []
    thoughts = []
    for index, entry in enumerate(list_of(details, f"{where}.reasoning_details")):
        detail = object_of(entry, f"{where}.reasoning_details[{index}]")
        block = _block(detail) if detail.get("format") == FORMAT else None
        if block is not None:
            thoughts.append((block, _offset(detail, "text_offset"), _offset(detail, "tool_offset")))
    return thoughts


def _block(detail: dict[str, Any]) -> dict[str, Any] | None:
    if detail.get("type") == ENCRYPTED and type(detail.get("data")) is str:
        return {"type": "redacted_thinking", "data": detail["data"]}
    signature = detail.get("signature")
    if detail.get("type") == TEXT and type(signature) is str and signature:
        return {"type": "thinking", "thinking": text_in(detail, "text"), "signature": signature}
    return None


def _offset(detail: dict[str, Any], name: str) -> int:
    value = detail.get(name)
    return value if type(value) is int and value > 0 else 0


def interleave(thoughts: list[tuple[dict[str, Any], int, int]], texts: Blocks, calls: Blocks) -> Blocks:
    """The blocks of an assistant's turn in the order in which they were made."""
    if not thoughts:
        return texts + calls
    blocks: Blocks = []
    texts_left, calls_done, chars_done = list(texts), 0, 0
    for thought, text_offset, tool_offset in thoughts:
        taken, texts_left = _cut(texts_left, text_offset - chars_done)
        chars_done = max(chars_done, text_offset)
        blocks += taken
        blocks += calls[calls_done:tool_offset]
        calls_done = max(calls_done, tool_offset)
        blocks.append(thought)
    return blocks + texts_left + calls[calls_done:]


def _cut(texts: Blocks, chars: int) -> tuple[Blocks, Blocks]:
    """The first characters of some text blocks, and the rest."""
    taken: Blocks = []
    for place, block in enumerate(texts):
        if chars <= 0:
            return taken, texts[place:]
        text = block["text"]
        if len(text) > chars:
            return [*taken, block | {"text": text[:chars]}], [
                block | {"text": text[chars:]},
                *texts[place + 1 :],
            ]
        taken.append(block)
        chars -= len(text)
    return taken, []
