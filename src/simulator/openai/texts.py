"""Completions, embeddings and moderations: how requests are read and what is answered.

Prompt tokens are a quarter of the characters, rounded down, or the tokens that were given: at least 1.
"""

import base64
import struct
from dataclasses import dataclass
from time import time
from typing import Any

import orjson

from simulator.bill import Usage
from simulator.chat import Answer, Call, flag_of, steer, text, usage_json
from simulator.cloudflare import fresh_id
from simulator.errors import VendorError
from simulator.shapes import Shape
from simulator.steering import Steering
from simulator.stream import Script, script_of

CATEGORIES = ("harassment", "hate", "illicit", "self-harm", "sexual", "violence")
DEFAULT_DIMENSIONS = 8


@dataclass(slots=True)
class TextCall(Call):
    """A request with what its answer repeats."""

    request: dict[str, Any]
    inputs: list[Any]


def read_text(
    request: dict[str, Any], body: bytes, header: bytes | None, base: Steering, name: str
) -> TextCall:
    """A request whose input is in the field `name`. Raises VendorError."""
    inputs = _inputs(request.get(name), name)
    messages = [{"role": "user", "content": "".join(each for each in inputs if isinstance(each, str))}]
    model, steering = steer(body, _model(request), messages, header, base)
    stream = flag_of(request, "stream")
    options = request.get("stream_options")
    tokens = max(1, sum(len(each) // (4 if isinstance(each, str) else 1) for each in inputs))
    return TextCall(
        model=model,
        steering=steering,
        prompt_tokens=tokens if steering.prompt is None else steering.prompt,
        stream=stream,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        choices=1,
        limit=None,
        tools=[],
        request=request,
        inputs=inputs,
    )


def completions_call(request: dict[str, Any], body: bytes, header: bytes | None, base: Steering) -> TextCall:
    """A completion: `best_of` candidates are billed for each prompt, `n` of them shown."""
    call = read_text({"prompt": "<|endoftext|>", **request}, body, header, base, "prompt")
    shown = int(request.get("n") or 1)
    call.choices = max(shown, int(request.get("best_of") or 1)) * len(call.inputs)
    limit = request.get("max_tokens")
    # OpenAI's default.
    call.limit = 16 if limit is None else int(limit)
    return call


def completion_body(answer: Answer) -> bytes:
    """OpenAI's text_completion object."""
    call = answer.call
    assert isinstance(call, TextCall)
    shown = int(call.request.get("n") or 1) * len(call.inputs)
    body = _head(call, "text_completion", f"cmpl-{fresh_id()}")
    body["choices"] = [
        {
            "text": text(call.steering, answer.words),
            "index": index,
            "logprobs": None,
            "finish_reason": answer.finish_reason,
        }
        for index in range(shown)
    ]
    if not call.steering.no_usage:
        body["usage"] = usage_json(answer.usage)
    return orjson.dumps(body)


def completion_script(answer: Answer) -> Script:
    """Chunks of one choice after the other, then usage where it is asked for."""
    call = answer.call
    assert isinstance(call, TextCall)
    head = _head(call, "text_completion", f"cmpl-{fresh_id()}")
    payloads, produced = [], []
    for index in range(call.choices):
        for number in range(answer.words):
            word = text(call.steering, number + 1)[len(text(call.steering, number)) :]
            choice = {"text": word, "index": index, "logprobs": None, "finish_reason": None}
            payloads.append(orjson.dumps(head | {"choices": [choice]}))
            produced.append(len(payloads))
    content = len(payloads)
    for index in range(call.choices):
        choice = {"text": "", "index": index, "logprobs": None, "finish_reason": answer.finish_reason}
        payloads.append(orjson.dumps(head | {"choices": [choice]}))
    if call.include_usage and not call.steering.no_usage:
        payloads.append(orjson.dumps(head | {"choices": [], "usage": usage_json(answer.usage)}))
    payloads.append(b"[DONE]")
    produced += [answer.usage.completion] * (len(payloads) - content)
    return script_of(answer, payloads, produced, content)


def embeddings_answer(call: TextCall) -> Answer:
    """Nothing is generated."""
    return Answer(call, Usage(call.prompt_tokens, 0), 0, "stop")


def embeddings_body(answer: Answer) -> bytes:
    """OpenAI's list: a short vector for each input, in the encoding that was asked for."""
    call = answer.call
    assert isinstance(call, TextCall)
    size = int(call.request.get("dimensions") or DEFAULT_DIMENSIONS)
    vectors = [[(number + place) % 7 / 7 for place in range(size)] for number in range(len(call.inputs))]
    packed = call.request.get("encoding_format") == "base64"
    body: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(each) if packed else each}
            for index, each in enumerate(vectors)
        ],
        "model": call.model,
    }
    if not call.steering.no_usage:
        body["usage"] = {"prompt_tokens": answer.usage.prompt, "total_tokens": answer.usage.prompt}
    return orjson.dumps(body)


def moderations_answer(call: TextCall) -> Answer:
    """Free: the bill has a row of nothing."""
    return Answer(call, Usage(0, 0), 0, "stop")


def moderations_body(answer: Answer) -> bytes:
    """Flagged is what speaks of violence."""
    call = answer.call
    assert isinstance(call, TextCall)
    results = []
    for given in call.inputs:
        flagged = "violence" in (given if isinstance(given, str) else str(given))
        results.append(
            {
                "flagged": flagged,
                "categories": {name: flagged and name == "violence" for name in CATEGORIES},
                "category_scores": {
                    name: 0.9 if flagged and name == "violence" else 0.01 for name in CATEGORIES
                },
                "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
            }
        )
    return orjson.dumps({"id": f"modr-{fresh_id()}", "model": call.model, "results": results})


def _no_script(answer: Answer) -> Script:
    raise VendorError(400, "This endpoint has no streams.", param="stream")


def _error(error: VendorError) -> bytes:
    return error.body


COMPLETIONS = Shape(completion_body, completion_script, _error)
EMBEDDINGS = Shape(embeddings_body, _no_script, _error)
MODERATIONS = Shape(moderations_body, _no_script, _error)


def _head(call: Call, kind: str, object_id: str) -> dict[str, Any]:
    return {"id": object_id, "object": kind, "created": int(time()), "model": call.model}


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _model(request: dict[str, Any]) -> str:
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise VendorError(400, "you must provide a model parameter")
    return model


def _inputs(value: Any, name: str) -> list[Any]:
    if isinstance(value, str) and value:
        return [value]
    if not isinstance(value, list) or not value:
        raise VendorError(400, f"'{name}' must not be empty.", param=name, code="invalid_type")
    return [value] if isinstance(value[0], int) else value
