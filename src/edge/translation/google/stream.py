"""A Gemini stream as OpenAI's chunks.

Each event carries whole parts, so a call comes in one chunk with all its arguments. Usage is on nearly every
event and grows: the last one counts. There is no last event that says so: the stream just ends, and an end
without a finish reason is a broken one.
"""

from secrets import token_hex
from typing import Any

from edge.dialects import OPENAI
from edge.translation import exact_json
from edge.translation.events import EventSplitter
from edge.translation.google.answer import (
    candidates_of,
    image,
    index_of,
    logprobs,
    openai_tier,
    parts_of,
    refusal,
    signed,
    text,
    tool_call,
)
from edge.translation.google.errors import envelope, read_error
from edge.translation.google.finish import FAILED, blocked, failure, finish_reason
from edge.translation.google.usage import usage_counts
from edge.translation.openai_answer import DONE, Chunks, error_event
from tollkeeper.cost import UsageCounts
from tollkeeper.errors import Reason, TollkeeperError


class ChatStream:
    """One answer on its way to the client; see `edge.formats.StreamReader`."""

    def __init__(self, asked_model: str, wants_usage: bool, choice_count: int = 1) -> None:
        """`wants_usage`: the client asked for the chunk that tells it."""
        self._events = EventSplitter()
        self._wants_usage = wants_usage
        self._choice_count = choice_count
        self._metadata: object = None
        self._chunks: Chunks | None = None
        self._answer_id = ""
        self._call_counts: dict[int, int] = {}
        """By choice that has begun."""
        self._finished: set[int] = set()
        self._is_blocked = False
        self.model = asked_model
        self.finish = ""
        self.error: object = None
        self.done = False
        self.withheld_count = 0

    @property
    def usage(self) -> UsageCounts | None:
        """As last reported."""
        return usage_counts(self._metadata)

    @property
    def usage_is_final(self) -> bool:
        """Whether every choice has ended: the event of an end has the usage too."""
        return self._is_blocked or len(self._finished) >= self._choice_count

    def feed(self, chunk: bytes) -> bytes:
        """Chunks for the client. Raises ValueError for an event that is too large."""
        return b"".join([self._event(payload) for payload in self._events.feed(chunk)])

    def flush(self) -> bytes:
        """The end of the answer, or the error that there is none."""
        out = b"".join([self._event(payload) for payload in self._events.flush()])
        if self.error is not None:
            return out
        if self._chunks is None or not self._finished or len(self._finished) < len(self._call_counts):
            message = "The provider ended its answer before it was complete."
            return out + self._fail(TollkeeperError(Reason.UPSTREAM_DISCONNECTED, message))
        usage = self.usage
        if self._wants_usage and usage is not None:
            out += self._chunks.usage(usage)
        self.done = True
        return out + DONE

    def _event(self, payload: bytes) -> bytes:
        if self.error is not None:
            return b""  # nothing can follow an error
        try:
            given = exact_json.loads(payload)
        except ValueError:
            return b""
        refused = read_error(given)
        if refused is not None:
            self.error = given
            return error_event(envelope(refused, refused.status))
        if type(given) is not dict:
            return b""
        metadata = given.get("usageMetadata")
        if metadata is not None:
            self._metadata = metadata
        chunks = self._chunks or self._begin(given)
        out = [self._candidate(candidate, chunks) for candidate in candidates_of(given)]
        block = blocked(given.get("promptFeedback"))
        if block is not None and not self._call_counts:
            out.append(self._refuse(block, chunks))
        return b"".join(out)

    def _begin(self, given: dict[str, Any]) -> Chunks:
        self.model = text(given.get("modelVersion")) or self.model
        self._answer_id = text(given.get("responseId")) or token_hex(12)
        tier = openai_tier(given.get("usageMetadata"))
        self._chunks = Chunks(f"chatcmpl-{self._answer_id}", self.model, self._wants_usage, tier)
        return self._chunks

    def _candidate(self, candidate: dict[str, Any], chunks: Chunks) -> bytes:
        index = index_of(candidate)
        if self.error is not None or index in self._finished:
            return b""
        out = []
        if index not in self._call_counts:
            self._call_counts[index] = 0
            out.append(chunks.delta({"role": "assistant", "content": "", "refusal": None}, index))
        probabilities = logprobs(candidate.get("logprobsResult"))
        for part in parts_of(candidate):
            delta = self._delta(part, index)
            if delta:
                out.append(chunks.delta(delta, index, probabilities))
                probabilities = None
        reason = text(candidate.get("finishReason"))
        if reason in FAILED:
            out.append(self._fail(failure(reason, candidate.get("finishMessage"))))
        elif reason:
            self._finished.add(index)
            word = finish_reason(reason, self._call_counts[index] > 0)
            self.finish = self.finish or word
            out.append(chunks.finish(word, index))
        return b"".join(out)

    def _delta(self, part: dict[str, Any], index: int) -> dict[str, Any]:
        if type(part.get("functionCall")) is dict:
            place = self._call_counts[index]
            self._call_counts[index] = place + 1
            return {"tool_calls": [{"index": place} | tool_call(part, self._answer_id, index, place)]}
        if type(part.get("inlineData")) is dict:
            return {"images": [{"index": 0} | image(part)]}
        if type(part.get("text")) is not str:
            return {}
        if part.get("thought") is True:
            return {"reasoning_content": part["text"]}
        return ({"content": part["text"]} if part["text"] else {}) | signed(part)

    def _refuse(self, block: str, chunks: Chunks) -> bytes:
        self._call_counts[0] = 0
        self._finished.add(0)
        self._is_blocked = True
        self.finish = "content_filter"
        opening = {"role": "assistant", "content": None, "refusal": refusal(block)}
        return chunks.delta(opening) + chunks.finish(self.finish)

    def _fail(self, error: TollkeeperError) -> bytes:
        self.error = error.message
        return OPENAI.event(error)
