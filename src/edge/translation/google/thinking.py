"""How hard a Gemini model thinks, from OpenAI's `reasoning_effort` and from what Google's own
OpenAI-compatible endpoint takes under `extra_body.google.thinking_config`."""

from collections.abc import Mapping
from typing import Any

from edge.translation.google import VENDOR
from edge.translation.refusals import malformed, object_of, refuse_others, unsupported

_WHERE = "extra_body.google.thinking_config"
_LEVELS = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
    "max": "XHIGH",
}
# Models up to 2.5 take a number of tokens in place of a level; these are the ones of Google's own endpoint.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_OFF = {"thinkingBudget": 0}


def thinking_config(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Empty when nothing was asked. Raises INVALID_ARGUMENT."""
    config = _of_effort(body.get("reasoning_effort"), model)
    asked = _asked(body.get("extra_body"))
    if config and (asked.get("thinking_budget") is not None or asked.get("thinking_level") is not None):
        raise malformed("reasoning_effort", f"and {_WHERE} both say how hard to think: give one of them")
    names = {"thinking_budget": "thinkingBudget", "include_thoughts": "includeThoughts"}
    config |= {theirs: asked[ours] for ours, theirs in names.items() if asked.get(ours) is not None}
    level = asked.get("thinking_level")
    if level is not None:
        if type(level) is not str:
            raise malformed(f"{_WHERE}.thinking_level", "must be a text")
        config["thinkingLevel"] = level.upper()
    return config


def takes_budget(model: str) -> bool:
    """Whether a model is of the generations that know no thinking levels."""
    return model.startswith(("gemini-1", "gemini-2"))


def _of_effort(effort: object, model: str) -> dict[str, Any]:
    if effort is None:
        return {}
    if effort == "none":
        return dict(_OFF)
    if type(effort) is not str or effort not in _LEVELS:
        raise unsupported("reasoning_effort", VENDOR)
    if takes_budget(model):
        return {"thinkingBudget": _BUDGETS[effort]}
    return {"thinkingLevel": _LEVELS[effort]}


def _asked(extra: object) -> dict[str, Any]:
    if extra is None:
        return {}
    given = object_of(extra, "extra_body")
    refuse_others(given, frozenset({"google"}), "extra_body.", VENDOR)
    google = object_of(given.get("google") or {}, "extra_body.google")
    refuse_others(google, frozenset({"thinking_config"}), "extra_body.google.", VENDOR)
    asked = object_of(google.get("thinking_config") or {}, _WHERE)
    known = frozenset({"include_thoughts", "thinking_budget", "thinking_level"})
    refuse_others(asked, known, f"{_WHERE}.", VENDOR)
    return asked
