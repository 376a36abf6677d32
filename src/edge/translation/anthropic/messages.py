"""A conversation: OpenAI's list of messages as Anthropic's system prompt and alternating turns."""

from typing import Any

from edge.translation import exact_json
from edge.translation.anthropic import VENDOR
from edge.translation.anthropic.parts import blocks_of, cached, text_block
from edge.translation.anthropic.reasoning import interleave, thoughts_of
from edge.translation.anthropic.tools import call_id
from edge.translation.refusals import list_of, malformed, object_of, refuse_others, text_of, unsupported

_SYSTEM = frozenset({"role", "content", "cache_control"})
_ASSISTANT = frozenset(
    {
        "role",
        "content",
        "refusal",
        "tool_calls",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
        "extra_content",
    }
)
_TOOL = frozenset({"role", "content", "tool_call_id", "cache_control"})
_CALL = frozenset({"id", "type", "function", "index", "extra_content"})
_FUNCTION = frozenset({"name", "arguments"})

Blocks = list[dict[str, Any]]


def conversation(messages: list[Any]) -> tuple[Blocks, list[dict[str, Any]]]:
    """The system prompt and the turns. Neighbours of one role become one turn, so that the results of
    parallel calls come back together, as Anthropic wants them.

    Raises INVALID_ARGUMENT with the place of what can't be carried.
    """
    system: Blocks = []
    turns: list[dict[str, Any]] = []
    for index, entry in enumerate(messages):
        where = f"messages[{index}]"
        message = object_of(entry, where)
        role = message.get("role")
        if role in ("system", "developer"):
            refuse_others(message, _SYSTEM, f"{where}.", VENDOR)
            system += _said(message, where, texts_only=True)
        elif role == "user":
            refuse_others(message, _SYSTEM, f"{where}.", VENDOR)
            _append(turns, "user", _said(message, where))
        elif role == "assistant":
            _append(turns, "assistant", _assistant(message, where))
        elif role == "tool":
            _append(turns, "user", [_result(message, where)])
        else:
            raise unsupported(f"{where}.role", VENDOR, "it knows system, developer, user, assistant and tool")
    return system, turns


def _append(turns: list[dict[str, Any]], role: str, blocks: Blocks) -> None:
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _said(message: dict[str, Any], where: str, texts_only: bool = False) -> Blocks:
    blocks = blocks_of(message.get("content"), f"{where}.content", texts_only)
    if not blocks:
        raise unsupported(f"{where}.content", VENDOR, "it takes no empty message")
    return cached(blocks, message.get("cache_control"))


def _assistant(message: dict[str, Any], where: str) -> Blocks:
    if message.get("annotations") == []:  # what SDKs hand back when there were none
        message = {name: value for name, value in message.items() if name != "annotations"}
    refuse_others(message, _ASSISTANT, f"{where}.", VENDOR)
    content, refusal = message.get("content"), message.get("refusal")
    texts = [] if content is None else blocks_of(content, f"{where}.content", texts_only=True)
    if refusal:
        texts.append(text_block(text_of(refusal, f"{where}.refusal")))
    given = message.get("tool_calls")
    entries = [] if given is None else list_of(given, f"{where}.tool_calls")
    calls = [_call(entry, f"{where}.tool_calls[{number}]") for number, entry in enumerate(entries)]
    return interleave(thoughts_of(message.get("reasoning_details"), where), texts, calls)


def _call(entry: object, where: str) -> dict[str, Any]:
    call = object_of(entry, where)
    if call.get("type", "function") != "function":
        raise unsupported(f"{where}.type", VENDOR, "only functions have an equal there")
    refuse_others(call, _CALL, f"{where}.", VENDOR)
    function = object_of(call.get("function"), f"{where}.function")
    refuse_others(function, _FUNCTION, f"{where}.function.", VENDOR)
    return {
        "type": "tool_use",
        "id": call_id(text_of(call.get("id"), f"{where}.id")),
        "name": text_of(function.get("name"), f"{where}.function.name"),
        "input": _arguments(function.get("arguments"), f"{where}.function.arguments"),
    }


def _arguments(given: object, param: str) -> dict[str, Any]:
    text = "" if given is None else text_of(given, param)
    if not text.strip():
        return {}
    try:
        value = exact_json.loads(text)
    except ValueError:
        value = None
    if type(value) is not dict:
        raise malformed(param, "must be the text of a JSON object")
    return value


def _result(message: dict[str, Any], where: str) -> dict[str, Any]:
    refuse_others(message, _TOOL, f"{where}.", VENDOR)
    answered = call_id(text_of(message.get("tool_call_id"), f"{where}.tool_call_id"))
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": answered}
    blocks = blocks_of(message.get("content"), f"{where}.content")
    if blocks:
        result["content"] = blocks
    return cached([result], message.get("cache_control"))[0]
