"""An OpenAI chat request as a Messages request."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from edge.labels import end_user_of
from edge.translation.anthropic import VENDOR
from edge.translation.anthropic.effort import goes_on_unthought, thinking_of
from edge.translation.anthropic.messages import conversation
from edge.translation.anthropic.models import Capability
from edge.translation.anthropic.tools import tool_choice_of, tools_of
from edge.translation.refusals import list_of, malformed, object_of, refuse_others, text_of, unsupported

# Read somewhere in this package.
_READ = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "top_k",
        "stop",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "thinking",
        "service_tier",
        "user",
        "safety_identifier",
    }
)
# Values that ask for what Anthropic does anyway.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "store": (False,),
    "verbosity": ("medium",),
}
# For OpenAI's own bookkeeping and caches; the answer is the same without. Listed in docs/translation.md.
_LEFT_OUT = frozenset({"metadata", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"})
_STREAM_OPTIONS = frozenset({"include_usage", "include_obfuscation"})
_TIERS = {"auto": "auto", "default": "standard_only"}


def messages_request(
    body: dict[str, Any], model: str, max_tokens: int, capability: Capability
) -> dict[str, Any]:
    """`body` is a checked chat request, `max_tokens` the output limit in force, which Anthropic must be told.

    Raises INVALID_ARGUMENT with the name of what can't be carried as `param`.
    """
    _refuse_unknown(body)
    system, messages = conversation(list_of(body.get("messages"), "messages"))
    request: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "messages": messages}
    if system:
        request["system"] = system
    if body.get("stream"):
        request["stream"] = True
    tools = tools_of(body.get("tools"))
    if tools:
        request["tools"] = tools
    choice = tool_choice_of(body.get("tool_choice"), body.get("parallel_tool_calls"), bool(tools))
    if choice is not None:
        request["tool_choice"] = choice
    _sampling(body, capability, request)
    _stop(body.get("stop"), request)
    output = _output_format(body.get("response_format"), capability)
    thinking, effort = thinking_of(body, max_tokens, capability)
    if effort is not None:
        output["effort"] = effort
    if thinking is not None and not (body.get("thinking") is None and goes_on_unthought(thinking, messages)):
        request["thinking"] = thinking
    if output:
        request["output_config"] = output
    _labels(body, request)
    return request


def _refuse_unknown(body: dict[str, Any]) -> None:
    for name, value in body.items():
        if name in _READ or name in _LEFT_OUT or value is None:
            continue
        if not any(value == neutral for neutral in _NEUTRAL.get(name, ())):
            raise unsupported(name, VENDOR)
    options = body.get("stream_options")
    if options is not None:
        refuse_others(object_of(options, "stream_options"), _STREAM_OPTIONS, "stream_options.", VENDOR)


def _sampling(body: dict[str, Any], capability: Capability, request: dict[str, Any]) -> None:
    """Anthropic's temperature ends at 1, and newer models have none; 1 is what they do without."""
    given = 0
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is None:
            continue
        if type(value) not in (int, float):
            raise malformed(name, "must be a number")
        if value == 1:
            continue
        if value > 1:
            raise unsupported(name, VENDOR, "it ends at 1 there")
        given += 1
        if given > capability.samplers:
            why = "this model takes only one of temperature and top_p"
            raise unsupported(name, VENDOR, why if capability.samplers else "this model doesn't take it")
        request[name] = value
    top_k = body.get("top_k")
    if top_k is not None:
        if not capability.samplers:
            raise unsupported("top_k", VENDOR, "this model doesn't take it")
        request["top_k"] = top_k


def _stop(stop: object, request: dict[str, Any]) -> None:
    if stop is None or stop == []:
        return
    texts = [stop] if type(stop) is str else list_of(stop, "stop")
    for text in texts:
        if not text_of(text, "stop").strip():
            raise unsupported("stop", VENDOR, "a stop sequence must hold more than white space")
    request["stop_sequences"] = texts


def _output_format(given: object, capability: Capability) -> dict[str, Any]:
    if given is None:
        return {}
    response_format = object_of(given, "response_format")
    refuse_others(response_format, frozenset({"type", "json_schema"}), "response_format.", VENDOR)
    kind = response_format.get("type")
    if kind == "text":
        return {}
    if kind != "json_schema":
        raise unsupported("response_format", VENDOR, "only text and json_schema have an equal there")
    if not capability.json_schema:
        raise unsupported("response_format", VENDOR, "this model has no structured output")
    schema = object_of(response_format.get("json_schema"), "response_format.json_schema")
    refuse_others(
        schema,
        frozenset({"name", "description", "schema", "strict"}),
        "response_format.json_schema.",
        VENDOR,
    )
    wanted = object_of(schema.get("schema"), "response_format.json_schema.schema")
    return {"format": {"type": "json_schema", "schema": wanted}}


def _labels(body: dict[str, Any], request: dict[str, Any]) -> None:
    tier = body.get("service_tier")
    if tier is not None:
        if type(tier) is not str or tier not in _TIERS:
            raise unsupported("service_tier", VENDOR, "only auto and default have an equal there")
        request["service_tier"] = _TIERS[tier]
    end_user = end_user_of(body)
    if end_user:
        # An opaque id for abuse reports; apps put names and addresses here, which are nobody's business.
        request["metadata"] = {"user_id": sha256(end_user.encode("utf-8", "replace")).hexdigest()}
