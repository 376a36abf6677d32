"""What the simulated Gemini embeds: a short vector for each content, billed as a prompt."""

from typing import Any
from urllib.parse import unquote

import orjson

from simulator.bill import Usage
from simulator.chat import Answer, Call, steer
from simulator.errors import VendorError
from simulator.gemini.answers import error
from simulator.gemini.fields import BATCH_EMBED_REQUEST, EMBED_REQUEST, read
from simulator.http import Request
from simulator.shapes import Shape
from simulator.steering import Steering
from simulator.stream import Script

METHODS = ("embedContent", "batchEmbedContents")
DEFAULT_DIMENSIONS = 8


def embedded(request: Request, model: str, method: str, base: Steering) -> tuple[Answer, Shape]:
    """Reads and decides a request. Raises VendorError."""
    model, many = unquote(model), method == "batchEmbedContents"
    try:
        given = orjson.loads(request.body)
    except orjson.JSONDecodeError as failed:
        raise VendorError(400, f"Invalid JSON payload received. {failed}") from failed
    asked = read(given, BATCH_EMBED_REQUEST)["requests"] if many else [read(given, EMBED_REQUEST)]
    if many and any(each.get("model") != f"models/{model}" for each in asked):
        raise VendorError(400, "* BatchEmbedContentsRequest.requests[0].model: must be the model of the path")
    texts = [_text(each) for each in asked]
    messages = [{"role": "user", "content": "".join(texts)}]
    plain, steering = steer(request.body, model, messages, request.header(b"x-sim"), base)
    tokens = max(1, sum(len(text) // 4 for text in texts))
    tokens = tokens if steering.prompt is None else steering.prompt
    call = Call(plain, steering, tokens, stream=False, include_usage=False, choices=1, limit=None, tools=[])
    sizes = [int(each.get("outputDimensionality") or DEFAULT_DIMENSIONS) for each in asked]
    answer = Answer(call, Usage(call.prompt_tokens, 0), 0, "stop")
    return answer, Shape(lambda made: _body(made, sizes, many), _no_script, error)


def _text(asked: dict[str, Any]) -> str:
    parts = asked.get("content", {}).get("parts")
    if not parts:
        raise VendorError(400, "* EmbedContentRequest.content: contents is not specified")
    return "".join(part.get("text", "") for part in parts)


def _body(answer: Answer, sizes: list[int], many: bool) -> bytes:
    vectors = [
        {"values": [(number + place) % 7 / 7 for place in range(size)]} for number, size in enumerate(sizes)
    ]
    made: dict[str, Any] = {"embeddings": vectors} if many else {"embedding": vectors[0]}
    if not answer.call.steering.no_usage:
        tokens = answer.usage.prompt
        made["usageMetadata"] = {"promptTokenCount": tokens, "totalTokenCount": tokens}
    return orjson.dumps(made)


def _no_script(answer: Answer) -> Script:
    raise VendorError(400, "Embeddings have no streams.")
