"""An OpenAI chat request as the body of generateContent. The model and the choice between a whole answer and
a stream are in the path."""

from collections.abc import Mapping
from typing import Any

from edge.translation.google import VENDOR
from edge.translation.google.contents import contents
from edge.translation.google.schema import json_schema
from edge.translation.google.thinking import thinking_config
from edge.translation.google.tools import tools_and_config
from edge.translation.refusals import list_of, malformed, object_of, refuse_others, text_of, unsupported

# What Gemini has under another name, with the same meaning.
RENAMED = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
# Read below, each in its own way.
CONVERTED = frozenset(
    {
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "reasoning_effort",
        "response_format",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "tool_choice",
        "tools",
        "extra_body",
    }
)
# Left out: they say what the gateway or OpenAI does beside answering, or only give a hint.
LEFT_OUT = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "user",
    }
)
# Values that ask for nothing, so nothing is lost with them.
NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "logit_bias": ({},),
    "modalities": (["text"],),
    "parallel_tool_calls": (True,),
    "store": (False,),
    "verbosity": ("medium",),
}
_KNOWN = frozenset(RENAMED) | CONVERTED | LEFT_OUT
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority", "fast": "priority"}
_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
_MIME_JSON = "application/json"


def request(body: Mapping[str, Any], model: str, output_limit: int | None = None) -> dict[str, Any]:
    """The body to send for a checked chat body.

    `model` is the vendor's name of it: models differ in how they think. `output_limit` replaces the client's
    own. Raises INVALID_ARGUMENT with the name of a field that can't be carried.
    """
    _refuse_the_rest(body)
    options = body.get("stream_options")
    if options is not None:
        known = frozenset({"include_usage", "include_obfuscation"})
        refuse_others(object_of(options, "stream_options"), known, "stream_options.", VENDOR)
    turns, system = contents(body["messages"], model)
    made: dict[str, Any] = {"contents": turns}
    if system:
        made["systemInstruction"] = {"parts": system}
    made.update(tools_and_config(body))
    config = _generation_config(body, model, output_limit)
    if config:
        made["generationConfig"] = config
    tier = body.get("service_tier")
    if tier is not None and tier != "auto":
        if type(tier) is not str or tier not in _TIERS:
            raise unsupported("service_tier", VENDOR, "its tiers are auto, default, flex and priority")
        made["serviceTier"] = _TIERS[tier]
    return made


def _refuse_the_rest(body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name in _KNOWN or value is None or value in NEUTRAL.get(name, ()):
            continue
        raise unsupported(name, VENDOR)


def _generation_config(body: Mapping[str, Any], model: str, output_limit: int | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        theirs: body[ours] for ours, theirs in RENAMED.items() if body.get(ours) is not None
    }
    limit = output_limit or body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None:
        config["maxOutputTokens"] = limit
    stop = body.get("stop")
    if stop is not None:
        config["stopSequences"] = [stop] if type(stop) is str else list_of(stop, "stop")
    config.update(_format(body.get("response_format")))
    detail = _detail(body["messages"])
    if detail is not None:
        config["mediaResolution"] = detail
    thinking = thinking_config(body, model)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


def _detail(messages: list[dict[str, Any]]) -> str | None:
    """How closely images are looked at: Gemini has one setting for all of a request."""
    found = {
        image["detail"]
        for message in messages
        if type(message.get("content")) is list
        for part in message["content"]
        if type(part) is dict
        and type(image := part.get("image_url")) is dict
        and type(image.get("detail")) is str
    }
    levels = found - {"auto"}
    if not levels:
        return None
    where = "messages[].content[].image_url.detail"
    if len(found) > 1:
        raise unsupported(where, VENDOR, "it must be the same for all images")
    [level] = levels
    if level not in _RESOLUTIONS:
        raise unsupported(where, VENDOR, "it knows auto, low and high")
    return _RESOLUTIONS[level]


def _format(given: object) -> dict[str, Any]:
    if given is None:
        return {}
    asked = object_of(given, "response_format")
    refuse_others(asked, frozenset({"type", "json_schema"}), "response_format.", VENDOR)
    kind = asked.get("type")
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"responseMimeType": _MIME_JSON}
    if kind != "json_schema":
        raise unsupported("response_format.type", VENDOR)
    where = "response_format.json_schema"
    schema = object_of(asked.get("json_schema"), where)
    refuse_others(schema, frozenset({"name", "description", "schema", "strict"}), f"{where}.", VENDOR)
    made: dict[str, Any] = {"responseMimeType": _MIME_JSON}
    if schema.get("schema") is not None:
        wanted = json_schema(schema["schema"], f"{where}.schema")
        if schema.get("description") is not None and "description" not in wanted:
            wanted["description"] = text_of(schema["description"], f"{where}.description")
        made["responseJsonSchema"] = wanted
    elif schema.get("strict"):
        raise malformed(f"{where}.schema", "is required")
    return made
