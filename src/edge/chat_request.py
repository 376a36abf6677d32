"""A chat completion as the client sent it: checked as far as routing, holding and relaying need, no further.

Unknown fields are vendors' business and go on unchanged; new ones appear every month.
"""

from typing import Any

import orjson

from edge.labels import end_user_of
from edge.worst_case import Demand, demand
from tollkeeper.errors import Reason, TollkeeperError

MAX_MODEL_CHARS = 256
MAX_CHOICES = 128
MAX_OUTPUT_TOKENS = 100_000_000

# Fields that decide what is billed. Written twice, parsers disagree about which one counts: such a body isn't
# forwarded as it came, but as it was understood here.
_DECIDING = tuple(
    (name, f'"{name}"'.encode()) for name in ("model", "n", "max_tokens", "max_completion_tokens", "stream")
)


class ChatRequest:
    """One parsed request. `body` is the parsed JSON and is never changed."""

    __slots__ = (
        "ambiguous",
        "body",
        "demand",
        "end_user",
        "model",
        "provider",
        "raw",
        "stream",
        "wants_usage",
    )

    def __init__(self, raw: bytes, body: dict[str, Any], with_provider: bool) -> None:
        self.raw = raw
        self.body = body
        self.model: str = _model(body)
        _check_messages(body)
        self.stream = _flag(body, "stream")
        self.wants_usage = _wants_usage(body)
        _check_count(body, "n", MAX_CHOICES)
        _check_count(body, "max_tokens", MAX_OUTPUT_TOKENS)
        _check_count(body, "max_completion_tokens", MAX_OUTPUT_TOKENS)
        self.end_user = end_user_of(body)
        self.provider = _provider(body) if with_provider else None
        self.ambiguous = _is_ambiguous(raw, body)
        self.demand: Demand = demand(body, len(raw))


def parse(raw: bytes, with_provider: bool = False) -> ChatRequest:
    """Reads a body. `with_provider`: a text `provider` in it chooses among rules and is not forwarded.

    Raises INVALID_ARGUMENT, with the field's name as `param`.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"The body is not valid JSON: {error}.", None, "invalid_json") from None
    if type(body) is not dict:
        raise _invalid("The body must be a JSON object.", None, "invalid_json")
    return ChatRequest(raw, body, with_provider)


def _is_ambiguous(raw: bytes, body: dict[str, Any]) -> bool:
    for name, quoted in _DECIDING:  # noqa: SIM110 - a generator costs three times as much
        if name in body and raw.count(quoted) != 1:
            return True
    return False


def _model(body: dict[str, Any]) -> str:
    model = body.get("model")
    if type(model) is str and 0 < len(model) <= MAX_MODEL_CHARS:
        return model
    if model is None:
        raise _invalid("You must provide a model parameter.", "model", "missing_required_parameter")
    raise _invalid(f"'model' must be a text of 1 to {MAX_MODEL_CHARS} characters.", "model", "invalid_type")


def _check_messages(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    if messages is None:
        raise _invalid("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    if type(messages) is not list:
        raise _invalid("'messages' must be an array of objects.", "messages", "invalid_type")
    if not messages:
        raise _invalid("'messages' must hold at least one message.", "messages", "empty_array")
    for index, message in enumerate(messages):
        if type(message) is not dict:
            raise _invalid(f"'messages[{index}]' must be an object.", f"messages[{index}]", "invalid_type")


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is None or type(value) is bool:
        return bool(value)
    raise _invalid(f"'{name}' must be true or false.", name, "invalid_type")


def _wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if type(options) is not dict:
        raise _invalid("'stream_options' must be an object.", "stream_options", "invalid_type")
    wanted = options.get("include_usage")
    if wanted is None or type(wanted) is bool:
        return bool(wanted)
    name = "stream_options.include_usage"
    raise _invalid(f"'{name}' must be true or false.", name, "invalid_type")


def _check_count(body: dict[str, Any], name: str, most: int) -> None:
    value = body.get(name)
    if value is None or (type(value) is int and 1 <= value <= most):
        return
    code = "invalid_value" if type(value) is int else "invalid_type"
    raise _invalid(f"'{name}' must be a whole number from 1 to {most}.", name, code)


def _provider(body: dict[str, Any]) -> str | None:
    """A `provider` that isn't a text belongs to the vendor (OpenRouter has an object there) and is left
    alone."""
    provider = body.get("provider")
    return provider if type(provider) is str else None


def _invalid(message: str, param: str | None, code: str) -> TollkeeperError:
    metadata = {"code": code}
    if param is not None:
        metadata["param"] = param
    return TollkeeperError(Reason.INVALID_ARGUMENT, message, metadata)
