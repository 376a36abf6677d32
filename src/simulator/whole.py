"""The answer in one piece: OpenAI's chat.completion object."""

from time import time
from typing import Any

import orjson

from simulator.chat import Answer, text, tool_arguments, usage_json
from simulator.cloudflare import fresh_id

GARBAGE = b"<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>"


def completion(answer: Answer) -> bytes:
    """The body of a successful answer that is not streamed."""
    call = answer.call
    if call.tools:
        message = _tool_message(answer)
    else:
        message = {
            "role": "assistant",
            "content": text(call.steering, answer.words),
            "refusal": None,
            "annotations": [],
        }
    body: dict[str, Any] = {
        "id": f"chatcmpl-{fresh_id()}",
        "object": "chat.completion",
        "created": int(time()),
        "model": call.model,
        "choices": [
            {"index": index, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
            for index in range(call.choices)
        ],
        "service_tier": "default",
        "system_fingerprint": "fp_simulator",
    }
    if not call.steering.no_usage:
        body["usage"] = usage_json(answer.usage)
    return orjson.dumps(body)


def _tool_message(answer: Answer) -> dict[str, Any]:
    calls = [
        {
            "id": f"call_{fresh_id()}",
            "type": "function",
            "function": {"name": name, "arguments": "".join(pieces) or "{}"},
        }
        for name, pieces in zip(answer.call.tools, tool_arguments(answer), strict=False)
    ]
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}
