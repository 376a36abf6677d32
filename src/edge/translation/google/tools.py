"""Functions that the model may call, and whether it must."""

from collections.abc import Mapping
from typing import Any

from edge.translation.google import VENDOR
from edge.translation.google.schema import json_schema
from edge.translation.refusals import list_of, malformed, object_of, refuse_others, text_of, unsupported

_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
_FUNCTION = frozenset({"name", "description", "parameters", "strict"})


def tools_and_config(body: Mapping[str, Any]) -> dict[str, Any]:
    """`tools` and `toolConfig`, where the request has functions. Raises INVALID_ARGUMENT."""
    given = body.get("tools")
    if not given:
        if body.get("tool_choice") not in (None, "none", "auto"):
            raise malformed("tool_choice", "needs tools")
        return {}
    functions = [_function(tool, f"tools[{index}]") for index, tool in enumerate(list_of(given, "tools"))]
    made: dict[str, Any] = {"tools": [{"functionDeclarations": [declared for declared, _ in functions]}]}
    config = _calling(body.get("tool_choice"), any(strict for _, strict in functions))
    if config:
        made["toolConfig"] = {"functionCallingConfig": config}
    return made


def _function(tool: object, where: str) -> tuple[dict[str, Any], bool]:
    """A declaration, and whether its arguments must follow the schema."""
    given = object_of(tool, where)
    if given.get("type") != "function":
        raise unsupported(f"{where}.type", VENDOR)
    refuse_others(given, frozenset({"type", "function"}), f"{where}.", VENDOR)
    where = f"{where}.function"
    function = object_of(given.get("function"), where)
    refuse_others(function, _FUNCTION, f"{where}.", VENDOR)
    declared: dict[str, Any] = {"name": text_of(function.get("name"), f"{where}.name")}
    if function.get("description") is not None:
        declared["description"] = text_of(function["description"], f"{where}.description")
    if function.get("parameters") is not None:
        declared["parametersJsonSchema"] = json_schema(function["parameters"], f"{where}.parameters")
    return declared, function.get("strict") is True


def _calling(choice: object, strict: bool) -> dict[str, Any]:
    """VALIDATED is AUTO with arguments that follow the schema, and the only free choice that can be
    narrowed."""
    free = "VALIDATED" if strict else "AUTO"
    if choice is None:
        return {"mode": free} if strict else {}
    if type(choice) is str:
        if choice not in _MODES:
            raise unsupported("tool_choice", VENDOR)
        return {"mode": free if choice == "auto" else _MODES[choice]}
    chosen = object_of(choice, "tool_choice")
    kind = chosen.get("type")
    if kind == "function":
        return {"mode": "ANY", "allowedFunctionNames": [_name(chosen, "tool_choice")]}
    if kind != "allowed_tools":
        raise unsupported("tool_choice.type", VENDOR)
    where = "tool_choice.allowed_tools"
    refuse_others(chosen, frozenset({"type", "allowed_tools"}), "tool_choice.", VENDOR)
    allowed = object_of(chosen.get("allowed_tools"), where)
    refuse_others(allowed, frozenset({"mode", "tools"}), f"{where}.", VENDOR)
    tools = list_of(allowed.get("tools"), f"{where}.tools")
    names = [_name(tool, f"{where}.tools[{index}]") for index, tool in enumerate(tools)]
    mode = allowed.get("mode")
    if mode not in ("auto", "required"):
        raise unsupported(f"{where}.mode", VENDOR)
    return {"mode": "ANY" if mode == "required" else "VALIDATED", "allowedFunctionNames": names}


def _name(chosen: object, where: str) -> str:
    given = object_of(chosen, where)
    if given.get("type") != "function":
        raise unsupported(f"{where}.type", VENDOR)
    refuse_others(given, frozenset({"type", "function"}), f"{where}.", VENDOR)
    function = object_of(given.get("function"), f"{where}.function")
    refuse_others(function, _FUNCTION, f"{where}.function.", VENDOR)
    return text_of(function.get("name"), f"{where}.function.name")
