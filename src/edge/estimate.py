"""What an answer cost whose vendor didn't tell, from what was asked and what came (docs/streams.md).

Streams that break off have no usage, and their hold covers the longest answer they might have become. What
was received says better what they had become when they ended. Where it doesn't (nothing readable came, the
model thinks where nobody sees it, input that isn't in the body, anything but text), the hold stands.
"""

import re
from collections import OrderedDict
from enum import StrEnum
from typing import Any

import orjson

from edge import metrics
from edge.call import Call
from edge.grants import RuleView
from edge.text_tokens import text_tokens, vocabulary_of
from tollkeeper.cost import UsageCounts

# Why an answer has no usage, where what was received says what it cost; not what the vendor goes on with.
RECEIVED = frozenset(
    {"usage_missing", "upstream_cut", "upstream_timeout", "upstream_error", "client_hangup", "cancelled"}
)
# So many bytes of a stream are kept before they are counted: most streams end with their usage before that.
# Of longer ones one part in so many is counted, and their end; the parts between are taken to be alike.
HELD_BYTES = 8_192
COUNT_EVERY = 4
# Models known to think, by provider and name; the one reported longest ago is forgotten.
MOST_THINKERS = 1024
# One answer in so many that has its usage is estimated as well, to know how good estimates are.
SAMPLE_EVERY = 64
# What surrounds a message, and a picture of ordinary size; neither can be read from the body.
MESSAGE_TOKENS = 4
IMAGE_TOKENS = 1_000
# Fields of answers that hold text a model produced, in all formats that are relayed. `delta` is one only
# where it is a text (the Responses API, which repeats the whole text afterwards under other names), and then
# it is the only one.
_DELTA = b'"delta":'
_TEXTS = tuple(
    f'"{name}":'.encode()
    for name in (
        "content",
        "reasoning_content",
        "reasoning",
        "refusal",
        "arguments",
        "text",
        "thinking",
        "partial_json",
    )
)
_PROMPT_FIELDS = ("messages", "input", "prompt", "system", "instructions", "contents", "systemInstruction")
_SCHEMA_FIELDS = ("tools", "functions", "response_format", "text", "generationConfig")
_INLINE_DATA = re.compile(r'"(?:data:[^"]*|[A-Za-z0-9+/=_-]{512,})"')


class EstimatePolicy(StrEnum):
    """What is booked for a stream without usage: what was received, or all that was set aside."""

    RELAYED = "relayed"
    HOLD = "hold"


class Relayed:
    """The text of one answer as it goes by. `model` is whose it is: vocabularies differ."""

    __slots__ = (
        "_counted_bytes",
        "_held",
        "_held_bytes",
        "_model",
        "_only_deltas",
        "_part_count",
        "_piece_count",
        "_skipped_bytes",
        "_tokens",
    )

    def __init__(self, model: str) -> None:
        self._model = model
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._only_deltas = False
        self._part_count = 0
        self._counted_bytes = self._skipped_bytes = 0
        self._piece_count = self._tokens = 0

    def add(self, data: bytes) -> None:
        """Whole events, or a whole body."""
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES:
            if self._part_count % COUNT_EVERY == 0:
                self._count()
            else:
                self._skipped_bytes += self._held_bytes
                self._held.clear()
                self._held_bytes = 0
            self._part_count += 1

    def tokens(self) -> int:
        """The estimate for all that was added, at least one for each piece of text."""
        self._count()
        counted = max(self._tokens, self._piece_count)
        if not self._skipped_bytes:
            return counted
        return counted * (self._counted_bytes + self._skipped_bytes) // self._counted_bytes

    def _count(self) -> None:
        data = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        self._counted_bytes += len(data)
        deltas = _strings(data, _DELTA)
        self._only_deltas = self._only_deltas or bool(deltas)
        pieces = deltas if self._only_deltas else [piece for name in _TEXTS for piece in _strings(data, name)]
        self._piece_count += len(pieces)
        self._tokens += text_tokens(_plain(b"".join(pieces)), vocabulary_of(self._model))


def _strings(data: bytes, name: bytes) -> list[bytes]:
    """The texts, as JSON writes them and not empty, that stand behind a name."""
    found = []
    at = data.find(name)
    while at >= 0:
        start = at + len(name)
        while data[start : start + 1] == b" ":
            start += 1
        end = start
        if data[start : start + 1] == b'"':
            start += 1
            end = data.find(b'"', start)
            while end > 0 and _is_escaped(data, end):
                end = data.find(b'"', end + 1)
            if end > start:
                found.append(data[start:end])
        at = data.find(name, max(end, start))
    return found


def _is_escaped(data: bytes, at: int) -> bool:
    backslashes = 0
    while data[at - 1 - backslashes] == 0x5C:
        backslashes += 1
    return backslashes % 2 == 1


def _plain(text: bytes) -> str:
    try:
        return str(orjson.loads(b'"%b"' % text))
    except orjson.JSONDecodeError:  # half a character, where a piece ended
        return text.decode(errors="replace")


def prompt_tokens(call: Call, model: str) -> int | None:
    """The estimate for what a model was asked; None where it isn't all in the body."""
    demand = call.demand
    if demand.beyond_body or not call.body or _is_media(call):
        return None
    texts: list[str] = []
    for name in _PROMPT_FIELDS:
        _collect(call.body.get(name), texts)
    for name in _SCHEMA_FIELDS:
        if name in call.body:
            texts.append(_INLINE_DATA.sub('""', orjson.dumps(call.body[name]).decode()))
    messages = call.body.get("messages")
    count = len(messages) if type(messages) is list else 1
    tokens = text_tokens("\n".join(texts), vocabulary_of(model))
    return tokens + MESSAGE_TOKENS * count + IMAGE_TOKENS * demand.image_count


def _is_media(call: Call) -> bool:
    """Images or audio are asked for or brought, which no text tells of."""
    demand = call.demand
    return bool(demand.seconds or demand.images or demand.characters)


def _collect(value: Any, texts: list[str]) -> None:
    """All texts inside a value but for data that isn't text."""
    kind = type(value)
    if kind is str:
        if _INLINE_DATA.fullmatch(f'"{value}"') is None:
            texts.append(value)
    elif kind is dict:
        for each in value.values():
            _collect(each, texts)
    elif kind is list:
        for each in value:
            _collect(each, texts)


class Estimates:
    """What the requests of one worker share."""

    __slots__ = ("_policy", "_reported_count", "_thinkers")

    def __init__(self, policy: EstimatePolicy) -> None:
        self._policy = policy
        self._thinkers: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._reported_count = 0

    @property
    def samples(self) -> bool:
        """Whether the next answer with usage is one of those compared."""
        return self._reported_count % SAMPLE_EVERY == 0

    def usage(
        self, call: Call, relayed: Relayed | None, rule: RuleView, model: str, told: UsageCounts | None
    ) -> UsageCounts | None:
        """The estimate for an answer without usage; None: the hold stands. `told` is what its vendor had
        reported before it broke off."""
        if self._policy is EstimatePolicy.HOLD or _is_asked_to_think(call.body):
            return None
        if call.body.get("background"):
            return None  # the vendor goes on after whoever asked is gone
        if (rule.provider_id, model) in self._thinkers:
            return None
        output = relayed.tokens() if relayed is not None else 0
        prompt = told.input_tokens if told is not None and told.input_tokens else prompt_tokens(call, model)
        if not output or prompt is None:
            return None
        if told is None:
            return UsageCounts(
                input_tokens=prompt, output_tokens=output, web_searches=call.demand.web_searches
            )
        return told._replace(input_tokens=prompt, output_tokens=max(told.output_tokens, output))

    def reported(
        self, call: Call, relayed: Relayed | None, rule: RuleView, model: str, usage: UsageCounts
    ) -> None:
        """Learns from a usage which models think, and now and then how good an estimate would have been.

        By provider and not by its type: what one customer's own server says must not raise another's bill.
        """
        sampled = self.samples
        self._reported_count += 1
        if usage.reasoning_tokens:
            self._thinkers[rule.provider_id, model] = None
            if len(self._thinkers) > MOST_THINKERS:
                self._thinkers.popitem(last=False)
            return
        if (
            not sampled
            or relayed is None
            or not usage.output_tokens
            or not usage.input_tokens
            or _is_media(call)
        ):
            return
        metrics.estimate_compared(rule.provider_type, "output", relayed.tokens() / usage.output_tokens)
        prompt = prompt_tokens(call, model)
        if prompt is not None:
            metrics.estimate_compared(rule.provider_type, "prompt", prompt / usage.input_tokens)


def _is_asked_to_think(body: dict[str, Any]) -> bool:
    return any(body.get(name) for name in ("reasoning_effort", "reasoning", "thinking"))
