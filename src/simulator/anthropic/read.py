"""The vendor's reading of a Messages request. Its schema is closed: what it doesn't know it refuses."""

from typing import Any

from simulator.anthropic.thinking import check_thinking
from simulator.chat import Call, body_of, flag_of, prompt_tokens, steer
from simulator.errors import VendorError
from simulator.steering import Steering

_FIELDS = frozenset(
    {
        "cache_control",
        "container",
        "context_management",
        "inference_geo",
        "max_tokens",
        "mcp_servers",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)
# Gone from the schema with this version.
_SAMPLERS = frozenset({"temperature", "top_p", "top_k"})
_WITHOUT_SAMPLERS = b"2026-10-21"
_VERSIONS = (b"2023-06-01", _WITHOUT_SAMPLERS)


def read_messages(
    body: bytes, header: bytes | None, base: Steering, version: bytes | None, counting: bool = False
) -> Call:
    """Check a request's body; `header` is its x-sim header. `counting`: it only asks how many tokens it has.
    Raises VendorError."""
    if version not in _VERSIONS:
        raise VendorError(400, "anthropic-version: header is required")
    request = body_of(body)
    known = _FIELDS if version == _WITHOUT_SAMPLERS else _FIELDS | _SAMPLERS
    for name in request:
        if name not in known:
            raise VendorError(400, f"{name}: Extra inputs are not permitted")
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise VendorError(400, "model: Field required")
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise VendorError(400, "messages: Field required")
    limit = request.get("max_tokens")
    if not counting and (type(limit) is not int or limit < 0):
        raise VendorError(400, "max_tokens: Field required")
    _check_samplers(request)
    _check_messages(messages)
    check_thinking(request, messages)
    system = request.get("system")
    all_messages = [*messages, {"content": system}] if system else messages
    model, steering = steer(body, model, messages, header, base)
    return Call(
        model=model,
        steering=steering,
        prompt_tokens=prompt_tokens(all_messages, len(body)) if steering.prompt is None else steering.prompt,
        stream=flag_of(request, "stream"),
        include_usage=True,
        choices=1,
        limit=limit if type(limit) is int else None,
        tools=_tools(request, model, steering),
    )


def _check_samplers(request: dict[str, Any]) -> None:
    temperature = request.get("temperature")
    if temperature is not None and not 0 <= temperature <= 1:
        raise VendorError(400, "temperature: Input should be less than or equal to 1")


def _check_messages(messages: list[dict[str, Any]]) -> None:
    """Roles, empty texts, and that each call has its result in the next message, before anything else."""
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if message.get("role") not in ("user", "assistant"):
            raise VendorError(400, f"messages.{index}.role: Input should be 'user' or 'assistant'")
        content = message.get("content")
        if content == "" or content == [] or content is None:
            raise VendorError(400, f"messages.{index}: content must be non-empty")
        blocks = content if isinstance(content, list) else []
        answered = _answered(blocks)
        if open_calls - answered or answered - open_calls:
            raise VendorError(
                400,
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks, or the reverse",
            )
        for place, block in enumerate(blocks):
            if block.get("type") == "text" and not block.get("text"):
                raise VendorError(400, f"messages.{index}.content.{place}: text must be non-empty")
        open_calls = {block["id"] for block in blocks if block.get("type") == "tool_use"}
    if open_calls:
        raise VendorError(400, "messages: `tool_use` ids were found without `tool_result` blocks after them")


def _answered(blocks: list[dict[str, Any]]) -> set[str]:
    answered = set()
    for block in blocks:
        if block.get("type") != "tool_result":
            break
        answered.add(block.get("tool_use_id", ""))
    return answered


def _tools(request: dict[str, Any], model: str, steering: Steering) -> list[str]:
    choice = request.get("tool_choice") or {}
    kind = choice.get("type")
    wanted = steering.tool or "tool" in model or kind in ("any", "tool")
    if not wanted or kind == "none":
        return []
    names = [tool["name"] for tool in request.get("tools") or () if "input_schema" in tool]
    if kind == "tool":
        names = [name for name in names if name == choice.get("name")]
    return names[:1] if choice.get("disable_parallel_tool_use") else names
