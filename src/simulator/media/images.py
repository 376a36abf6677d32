"""Images. GPT image models are billed by model tokens and report them; others by the image, and report
nothing."""

from base64 import b64encode
from time import time
from typing import Any

import orjson

from simulator.bill import Usage
from simulator.errors import VendorError
from simulator.media.call import MediaAnswer, MediaCall, event

IMAGE_TOKENS = 1000
"""Of each image made."""
INPUT_IMAGE_TOKENS = 500
"""Of each image given."""
# The smallest PNG there is: one pixel.
_PIXEL = b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c63f8cfc0f01f0005050201a4c3d5e10000000049454e44ae426082"
    )
).decode()
_VERBS = {"generations": "image_generation", "edits": "image_edit", "variations": "image_variation"}


def answer(call: MediaCall, operation: str) -> MediaAnswer:
    """`operation` is the last part of the path. Raises VendorError."""
    if operation != "variations" and not call.text("prompt"):
        raise VendorError(400, "Missing prompt.", param="prompt", code="missing_required_parameter")
    images = [name for name, _, _ in call.files if name.startswith("image")]
    if operation != "generations" and not images:
        raise VendorError(400, "Missing image.", param="image", code="missing_required_parameter")
    made = call.number("n", 1, 10)
    by_tokens = call.model.startswith("gpt-image")
    text_tokens = max(1, len(call.text("prompt")) // 4)
    image_tokens = INPUT_IMAGE_TOKENS * len(images)
    usage = Usage(text_tokens + image_tokens, IMAGE_TOKENS * made) if by_tokens else Usage(0, 0)
    units = {} if by_tokens else {"images": made}
    told: dict[str, Any] = {}
    if by_tokens and not call.steering.no_usage:
        told["usage"] = _usage(usage, text_tokens, image_tokens)
    if call.flag("stream"):
        return MediaAnswer(events=_events(call, operation, told), usage=usage, units=units)
    wants_url = not by_tokens and call.text("response_format", "url") == "url"
    each = {"url": "https://images.example/1.png"} if wants_url else {"b64_json": _PIXEL}
    body = {"created": int(time()), "data": [each] * made} | told
    return MediaAnswer(orjson.dumps(body), usage=usage, units=units)


def _usage(usage: Usage, text_tokens: int, image_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt,
        "output_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "input_tokens_details": {"text_tokens": text_tokens, "image_tokens": image_tokens},
        "output_tokens_details": {"text_tokens": 0, "image_tokens": usage.completion},
    }


def _events(call: MediaCall, operation: str, told: dict[str, Any]) -> list[bytes]:
    verb = _VERBS[operation]
    created = int(time())
    partial = [
        event(
            f"{verb}.partial_image",
            {"b64_json": _PIXEL, "partial_image_index": index, "created_at": created},
        )
        for index in range(call.number("partial_images", 1, 3))
    ]
    return [*partial, event(f"{verb}.completed", {"b64_json": _PIXEL, "created_at": created} | told)]
