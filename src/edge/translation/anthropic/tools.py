"""Tools, which of them may be called, and their calls' ids."""

import re
from typing import Any

from edge.translation.anthropic import VENDOR
from edge.translation.refusals import list_of, malformed, object_of, refuse_others, text_of, unsupported

_TOOL = frozenset({"type", "function", "cache_control"})
_FUNCTION = frozenset({"name", "description", "parameters", "strict"})
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


def tools_of(given: object) -> list[dict[str, Any]]:
    """OpenAI's `tools`; functions are all that Anthropic has an equal of."""
    if given is None:
        return []
    tools = []
    for index, entry in enumerate(list_of(given, "tools")):
        where = f"tools[{index}]"
        tool = object_of(entry, where)
        if tool.get("type") != "function":
            raise unsupported(f"{where}.type", VENDOR, "only functions have an equal there")
        refuse_others(tool, _TOOL, f"{where}.", VENDOR)
        tools.append(_function(tool, f"{where}.function"))
    return tools


def _function(tool: dict[str, Any], where: str) -> dict[str, Any]:
    function = object_of(tool.get("function"), where)
    refuse_others(function, _FUNCTION, f"{where}.", VENDOR)
    translated: dict[str, Any] = {"name": text_of(function.get("name"), f"{where}.name")}
    description = function.get("description")
    if description is not None:
        translated["description"] = text_of(description, f"{where}.description")
    parameters = function.get("parameters")
    translated["input_schema"] = (
        object_of(parameters, f"{where}.parameters") if parameters else _NO_PARAMETERS
    )
    strict = function.get("strict")
    if strict is not None:
        translated["strict"] = strict
    cache_control = tool.get("cache_control")
    if cache_control is not None:
        translated["cache_control"] = cache_control
    return translated


def tool_choice_of(given: object, parallel: object, has_tools: bool) -> dict[str, Any] | None:
    """OpenAI's `tool_choice` and `parallel_tool_calls`, which are one field there."""
    choice = _choice(given)
    if not has_tools and (choice is None or choice["type"] in ("auto", "none")):
        return None
    if parallel is False and (choice is None or choice["type"] != "none"):
        return (choice or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    if parallel is not None and type(parallel) is not bool:
        raise malformed("parallel_tool_calls", "must be true or false")
    return choice


def _choice(given: object) -> dict[str, Any] | None:
    if given is None:
        return None
    if type(given) is str:
        if given not in _CHOICES:
            raise malformed("tool_choice", "must be auto, none, required or an object")
        return {"type": _CHOICES[given]}
    choice = object_of(given, "tool_choice")
    if choice.get("type") != "function":
        raise unsupported("tool_choice", VENDOR, "only functions can be chosen there")
    refuse_others(choice, frozenset({"type", "function"}), "tool_choice.", VENDOR)
    function = object_of(choice.get("function"), "tool_choice.function")
    refuse_others(function, frozenset({"name"}), "tool_choice.function.", VENDOR)
    return {"type": "tool", "name": text_of(function.get("name"), "tool_choice.function.name")}


def call_id(given: str) -> str:
    """A tool call's id as Anthropic takes it; other vendors' ids may hold anything. The call and its result
    get the same."""
    return _NOT_IN_IDS.sub(lambda found: f"_{ord(found[0]):x}_", given)
