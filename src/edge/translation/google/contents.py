"""OpenAI's messages as Gemini's turns.

Neighbours of one role become one turn, which is why all results of one turn's calls stand together. System
messages have one place of their own, wherever they stood. Results name the function they are of: the name is
looked up from the call, and they stand in the order of the calls, since models without ids match them by it.
"""

from typing import Any

from edge.translation import exact_json
from edge.translation.google import VENDOR
from edge.translation.google.parts import text_parts, user_parts
from edge.translation.google.thinking import takes_budget
from edge.translation.refusals import list_of, malformed, object_of, refuse_others, text_of, unsupported

Part = dict[str, Any]

# Google's documented stand-in for calls whose signature is unknown: another model's, or lost by a client.
UNSIGNED = "skip_thought_signature_validator"

_SYSTEM = frozenset({"role", "content"})
_USER = _SYSTEM
_TOOL = frozenset({"role", "content", "tool_call_id", "name"})
# `reasoning_details` hold other vendors' signatures, which are of no use here.
_ASSISTANT = frozenset(
    {"role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning_details", "extra_content"}
)
_CALL = frozenset({"id", "type", "function", "extra_content", "index"})
_FUNCTION = frozenset({"name", "arguments"})


def contents(messages: list[dict[str, Any]], model: str) -> tuple[list[dict[str, Any]], list[Part]]:
    """The turns, and the parts of the system instruction. Raises INVALID_ARGUMENT."""
    conversation = _Conversation(needs_signatures=not takes_budget(model))
    for index, message in enumerate(messages):
        conversation.add(message, f"messages[{index}]")
    if not conversation.turns:
        raise malformed("messages", f"must hold more than system messages for {VENDOR}")
    return conversation.finished(), conversation.system


class _Conversation:
    """Turns as they are built."""

    def __init__(self, needs_signatures: bool) -> None:
        self.turns: list[dict[str, Any]] = []
        self.system: list[Part] = []
        self._needs_signatures = needs_signatures
        self._call_count = 0
        self._calls: dict[str, tuple[int, str]] = {}
        """By id: place among all calls, and name."""
        self._results: list[tuple[int, Part]] = []

    def add(self, message: dict[str, Any], where: str) -> None:
        role = message.get("role")
        if role == "tool":
            self._add_result(message, where)
            return
        if role in ("system", "developer"):
            refuse_others(message, _SYSTEM, f"{where}.", VENDOR)
            self.system += text_parts(message.get("content"), f"{where}.content")
        elif role == "user":
            refuse_others(message, _USER, f"{where}.", VENDOR)
            self._turn("user", user_parts(message.get("content"), f"{where}.content"))
        elif role == "assistant":
            self._turn("model", self._answer(message, where))
        else:
            raise unsupported(f"{where}.role", VENDOR)

    def finished(self) -> list[dict[str, Any]]:
        self._place_results()
        return self.turns

    def _turn(self, role: str, parts: list[Part]) -> None:
        self._place_results()
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["parts"] += parts
        else:
            self.turns.append({"role": role, "parts": parts})

    def _place_results(self) -> None:
        """All results that stand together, in the order of their calls."""
        if not self._results:
            return
        results, self._results = self._results, []
        results.sort(key=lambda result: result[0])
        self._turn("user", [part for _, part in results])

    def _add_result(self, message: dict[str, Any], where: str) -> None:
        refuse_others(message, _TOOL, f"{where}.", VENDOR)
        call_id = text_of(message.get("tool_call_id"), f"{where}.tool_call_id")
        call = self._calls.get(call_id)
        if call is None:
            raise malformed(f"{where}.tool_call_id", "answers no call of an earlier message")
        place, name = call
        parts = text_parts(message.get("content"), f"{where}.content")
        output = "".join(part["text"] for part in parts)
        response = {"id": call_id, "name": name, "response": {"output": output}}
        self._results.append((place, {"functionResponse": response}))

    def _answer(self, message: dict[str, Any], where: str) -> list[Part]:
        if message.get("annotations") == []:  # what SDKs hand back when there were none
            message = {name: value for name, value in message.items() if name != "annotations"}
        refuse_others(message, _ASSISTANT, f"{where}.", VENDOR)
        parts: list[Part] = []
        thoughts = message.get("reasoning_content")
        if thoughts:
            parts.append({"text": text_of(thoughts, f"{where}.reasoning_content"), "thought": True})
        texts = text_parts(message.get("content"), f"{where}.content", "refusal")
        if message.get("refusal"):
            texts.append({"text": text_of(message["refusal"], f"{where}.refusal")})
        calls = message.get("tool_calls") or []
        texts = [part for part in texts if part["text"]]
        signature = _signature(message, where)
        if signature or not (texts or calls):
            texts = texts or [{"text": ""}]
        if signature:
            texts[-1]["thoughtSignature"] = signature
        return parts + texts + self._calls_of(list_of(calls, f"{where}.tool_calls"), f"{where}.tool_calls")

    def _calls_of(self, calls: list[Any], where: str) -> list[Part]:
        parts: list[Part] = []
        seen: set[str] = set()
        for index, call in enumerate(calls):
            parts.append(self._call(object_of(call, f"{where}[{index}]"), f"{where}[{index}]", seen))
        # Of parallel calls only the first has a signature.
        if parts and self._needs_signatures and not any("thoughtSignature" in part for part in parts):
            parts[0]["thoughtSignature"] = UNSIGNED
        return parts

    def _call(self, call: dict[str, Any], where: str, seen: set[str]) -> Part:
        refuse_others(call, _CALL, f"{where}.", VENDOR)
        if call.get("type", "function") != "function":
            raise unsupported(f"{where}.type", VENDOR)
        call_id = text_of(call.get("id"), f"{where}.id")
        if call_id in seen:
            raise malformed(f"{where}.id", "is the id of another call of this message")
        seen.add(call_id)
        function = object_of(call.get("function"), f"{where}.function")
        refuse_others(function, _FUNCTION, f"{where}.function.", VENDOR)
        name = text_of(function.get("name"), f"{where}.function.name")
        args = _arguments(function.get("arguments"), f"{where}.function.arguments")
        self._call_count += 1
        self._calls[call_id] = self._call_count, name
        part: Part = {"functionCall": {"id": call_id, "name": name, "args": args}}
        signature = _signature(call, where)
        if signature:
            part["thoughtSignature"] = signature
        return part


def _arguments(given: object, where: str) -> dict[str, Any]:
    """Models sometimes write nothing for a function without parameters."""
    text = text_of(given, where)
    if not text.strip():
        return {}
    try:
        return object_of(exact_json.loads(text), where)
    except ValueError:
        raise malformed(where, "must be a JSON object, as text") from None


def _signature(holder: dict[str, Any], where: str) -> str:
    """What Gemini gave with an answer and wants back unchanged; empty for none."""
    extra = holder.get("extra_content")
    if extra is None:
        return ""
    where = f"{where}.extra_content"
    given = object_of(extra, where)
    refuse_others(given, frozenset({"google"}), f"{where}.", VENDOR)
    google = object_of(given.get("google") or {}, f"{where}.google")
    refuse_others(google, frozenset({"thought_signature"}), f"{where}.google.", VENDOR)
    signature = google.get("thought_signature")
    return "" if signature is None else text_of(signature, f"{where}.google.thought_signature")
