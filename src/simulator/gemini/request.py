"""The simulated Gemini's reading of a request.

Prompt tokens are counted as those of chat are: the characters of all text divided by four, rounded down, plus
three a turn, the system instruction being one.
"""

from base64 import b64encode
from typing import Any

import orjson

from simulator.chat import CHOICES_LIMIT, Call, prompt_tokens, steer
from simulator.errors import VendorError
from simulator.gemini.fields import COUNT_REQUEST, REQUEST, read
from simulator.steering import Steering

# What Google documents for calls whose signature is lost.
NO_SIGNATURE = "skip_thought_signature_validator"
_ROLES = (None, "user", "model", "function")


def read_call(model: str, body: bytes, header: bytes | None, base: Steering, *, stream: bool) -> Call:
    """Check a request for an answer; `header` is its x-sim header. Raises VendorError."""
    request = _checked(body, REQUEST)
    messages = _messages(request)
    model, steering = steer(body, model, messages, header, base)
    _check_turns(request, model)
    config = request.get("generationConfig", {})
    return Call(
        model=model,
        steering=steering,
        prompt_tokens=prompt_tokens(messages, len(body)) if steering.prompt is None else steering.prompt,
        stream=stream,
        include_usage=True,
        choices=_count(config, "candidateCount", CHOICES_LIMIT) or 1,
        limit=_count(config, "maxOutputTokens"),
        tools=_functions_to_call(request, model, steering),
    )


def count_tokens(model: str, body: bytes, header: bytes | None, base: Steering) -> int:
    """Tokens of a prompt that isn't answered. Raises VendorError."""
    request = _checked(body, COUNT_REQUEST)
    request = request.get("generateContentRequest", request)
    messages = _messages(request)
    _, steering = steer(body, model, messages, header, base)
    return prompt_tokens(messages, len(body)) if steering.prompt is None else steering.prompt


def signature(name: str) -> str:
    """The thought signature of a call to a function."""
    return b64encode(f"sim:{name}".encode()).decode()


def signs(model: str) -> bool:
    """Whether a model signs its calls and wants the signatures back."""
    return not model.startswith(("gemini-1", "gemini-2"))


def _checked(body: bytes, known: dict[str, Any]) -> dict[str, Any]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise VendorError(400, f"Invalid JSON payload received. {error}") from error
    request: dict[str, Any] = read(given, known)
    if not request.get("contents") and "generateContentRequest" not in request:
        raise VendorError(400, "* GenerateContentRequest.contents: contents is not specified")
    return request


def _messages(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The turns as chat has them, the system instruction last: it can't be steered by."""
    turns = request.get("contents", [])
    messages = [{"role": turn.get("role", "user"), "content": _text(turn)} for turn in turns]
    if "systemInstruction" in request:
        messages.append({"role": "system", "content": _text(request["systemInstruction"])})
    return messages


def _check_turns(request: dict[str, Any], model: str) -> None:
    """Each part is of one kind, results follow their calls, and signatures come back. Raises VendorError."""
    calls: list[str] = []
    for index, turn in enumerate(request["contents"]):
        place = f"contents[{index}]"
        if turn.get("role") not in _ROLES:
            raise VendorError(400, "Please use a valid role: user, model.")
        if not turn.get("parts"):
            raise VendorError(400, f"* GenerateContentRequest.{place}.parts: must not be empty.")
        for part in turn["parts"]:
            if len(part.keys() - {"thought", "thoughtSignature"}) != 1:
                raise VendorError(400, f"{place}.parts: field 'data' must have one initialized field")
        results = [part["functionResponse"] for part in turn["parts"] if "functionResponse" in part]
        if results and sorted(str(result.get("name")) for result in results) != sorted(calls):
            raise VendorError(
                400,
                "Please ensure that the number of function response parts is equal to the number of function "
                "call parts of the function call turn.",
            )
        if not all(isinstance(result.get("response"), dict) for result in results):
            raise VendorError(400, f"Invalid value at '{place}.parts.function_response.response'")
        calls = _calls(turn, place, model)


def _calls(turn: dict[str, Any], place: str, model: str) -> list[str]:
    parts = [part for part in turn["parts"] if "functionCall" in part]
    names = [part["functionCall"].get("name") for part in parts]
    if parts and signs(model):
        given = parts[0].get("thoughtSignature")
        if given is None:
            raise VendorError(
                400,
                "Function call is missing a thought_signature in functionCall parts. Additional data, "
                f"function call `default_api:{names[0]}`, position 1.",
            )
        if given not in (NO_SIGNATURE, signature(names[0])):
            raise VendorError(400, f"{place}: Thought signature is not valid.")
    return names


def _functions_to_call(request: dict[str, Any], model: str, steering: Steering) -> list[str]:
    config = request.get("toolConfig", {}).get("functionCallingConfig", {})
    mode = config.get("mode", "AUTO")
    if not (steering.tool or "tool" in model or mode == "ANY") or mode == "NONE":
        return []
    tools = request.get("tools", [])
    names = [function["name"] for tool in tools for function in tool.get("functionDeclarations", [])]
    allowed = config.get("allowedFunctionNames")
    return [name for name in names if not allowed or name in allowed]


def _text(turn: dict[str, Any]) -> str:
    texts = [part.get("text") for part in turn.get("parts", [])]
    return "".join(text for text in texts if isinstance(text, str))


def _count(config: dict[str, Any], name: str, limit: int = 1 << 31) -> int | None:
    value = config.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
        raise VendorError(400, f"Invalid value at 'generation_config.{name}'")
    return value
