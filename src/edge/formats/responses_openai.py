"""Responses in OpenAI's own format: answers go on untouched, their usage and ids are read on the way."""

from collections.abc import Iterable
from typing import Any

from edge.call import Call, Made
from edge.formats import Reading, StreamReader, Unbilled
from edge.formats.openai_json import OpenaiJson, model_of
from edge.sse import Watcher
from edge.usage import counts
from tollkeeper.cost import UsageCounts
from tollkeeper.operations import Operation

KIND = "response"
# Of a response that isn't finished when its request is answered (L15).
BACKGROUND = "background"
_UNFINISHED = frozenset({"queued", "in_progress"})
# Azure answers 200 to what is over a limit, and says so in an event.
_UNBILLED_CODES = frozenset({"rate_limit_exceeded"})


class ResponsesOpenai(OpenaiJson):
    """POST /responses."""

    served = Operation.RESPONSES
    limit_field = "max_output_tokens"

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Usage, served model, and how it ended."""
        if parsed is None:
            return Reading()
        call.made = made_of(call, parsed)
        return read_response(parsed)

    def stream(self, call: Call) -> StreamReader:
        """Everything passes; the event that ends it tells the usage."""
        return ResponsesWatcher(call)


class InputTokensOpenai(OpenaiJson):
    """POST /responses/input_tokens: the vendor counts, and bills nothing for it."""

    served = Operation.RESPONSES_INPUT_TOKENS

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Nothing was used, not even a request."""
        return Reading(UsageCounts(requests=0))


class CompactOpenai(OpenaiJson):
    """POST /responses/compact: a summary that later requests send in place of what it sums up. Nothing is
    kept."""

    served = Operation.RESPONSES_COMPACT

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Usage like any response's."""
        return Reading() if parsed is None else read_response(parsed)


def read_response(response: dict[str, Any]) -> Reading:
    """What a response object tells."""
    status = response.get("status")
    usage = counts(response.get("usage"), searches_of(response.get("output")), response.get("service_tier"))
    reading = Reading(usage, model_of(response), _finish_of(response))
    if status in _UNFINISHED:
        return reading._replace(usage=None, why=BACKGROUND)
    if usage is None and status == "failed":
        return reading._replace(why="upstream_error", unbilled=_code_of(response) in _UNBILLED_CODES)
    return reading


def searches_of(output: object) -> int:
    """The web searches among the items of a response, each of which is billed."""
    if type(output) is not list:
        return 0
    return sum(1 for item in output if type(item) is dict and _is_search(item))


def made_of(call: Call, response: dict[str, Any]) -> tuple[Made, ...]:
    """What the vendor keeps: responses are stored unless the request says otherwise."""
    object_id = response.get("id")
    if type(object_id) is not str or call.body.get("store") is False or response.get("store") is False:
        return ()
    return (Made(object_id, KIND, pending=True),)


def _is_search(item: dict[str, Any]) -> bool:
    if item.get("type") != "web_search_call" or item.get("status") == "failed":
        return False
    action = item.get("action")
    # A page that is opened or searched within isn't billed by the call.
    return type(action) is not dict or action.get("type", "search") == "search"


def _finish_of(response: dict[str, Any]) -> str:
    details = response.get("incomplete_details")
    reason = details.get("reason") if type(details) is dict else None
    for value in (reason, response.get("status")):
        if type(value) is str:
            return value
    return ""


def _code_of(response: dict[str, Any]) -> object:
    error = response.get("error")
    return error.get("code") if type(error) is dict else None


class ResponsesWatcher(Watcher):
    """Everything passes. Parsed are the first event, which names the response, the one that ends it, and
    errors."""

    __slots__ = ("_call", "_has_output", "_usage")
    # The last event repeats the whole response.
    max_event_bytes = 33_554_432

    def __init__(self, call: Call) -> None:
        super().__init__(withhold_usage=False)
        self._call = call
        self._has_output = False
        self._usage: UsageCounts | None = None

    @property
    def usage(self) -> UsageCounts | None:
        """Of the event that ended the response."""
        return self._usage

    def feed(self, chunk: bytes) -> bytes:
        """What to send on now."""
        if not self._has_output and _any_in(_OUTPUT, chunk):
            self._has_output = True
        return super().feed(chunk)

    @staticmethod
    def _is_telling(chunk: bytes) -> bool:
        return _any_in(_TELLING, chunk)

    def _look(self, event: bytes) -> bool:
        if self._is_telling(event) and (told := self._said(event)) is not None:
            self._learn(told)
        return True

    def _learn(self, told: dict[str, Any]) -> None:
        kind = told.get("type")
        if kind == "error":
            self._failed(told, told.get("code"))
            return
        response = told.get("response")
        if not isinstance(response, dict):
            return
        if kind == "response.created":
            self._call.made = made_of(self._call, response)
        elif kind in _ENDS:
            reading = read_response(response)
            self._usage, self.model, self.finish = reading.usage, reading.model, reading.finish
            self.usage_is_final = self.done = True
            if kind == "response.failed":
                self._failed(response.get("error") or told, _code_of(response))

    def _failed(self, error: object, code: object) -> None:
        """An error in place of an answer may cost nothing; one after output is like any broken stream."""
        if self.error is None or isinstance(self.error, Unbilled):
            unbilled = code in _UNBILLED_CODES and not self._has_output
            self.error = Unbilled(error, "rate_limited") if unbilled else error


_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_OUTPUT = (b".delta", b".output_item.")
_TELLING = (
    b"response.completed",
    b"response.incomplete",
    b"response.failed",
    b"response.created",
    b'"error"',
    b"event: error",
    b"[DONE]",
)


def _any_in(needles: Iterable[bytes], chunk: bytes) -> bool:
    for needle in needles:  # noqa: SIM110 - a generator costs three times as much
        if needle in chunk:
            return True
    return False
