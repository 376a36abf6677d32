"""Images in OpenAI's own format. GPT image models report model tokens; others report nothing, and are billed
by the image."""

from typing import Any

from edge.call import Call
from edge.formats import Changes, Reading, StreamReader
from edge.formats.event_usage import EventUsage
from edge.formats.openai_json import OpenaiJson, model_of
from edge.upstream.cloudflare import Endpoint
from edge.upstream.upload import Upload
from edge.usage import counts
from tollkeeper.cost import UsageCounts
from tollkeeper.operations import Operation

# What vendors call what has no price of its own.
_PLAIN = frozenset({"", "auto", "standard"})


class ImagesOpenai(OpenaiJson):
    """JSON or a form goes up, JSON or events come down."""

    def __init__(self, operation: Operation) -> None:
        self.served = operation

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes | Upload:
        """The client's own bytes, or its form written anew."""
        form = call.form
        if form is None:
            return super().body(call, endpoint, changes)
        model = endpoint.model_prefix + changes.model
        named = {"model": model, "provider": None if call.provider is not None else call.body.get("provider")}
        return form.upload(lambda name, value: named.get(name, value))

    def content_type(self, call: Call) -> bytes:
        """JSON, or the form's."""
        return super().content_type(call) if call.form is None else call.form.content_type

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Usage where it is told, and the images that were made."""
        if parsed is None:
            return Reading()
        data = parsed.get("data")
        made = len(data) if type(data) is list else call.demand.images
        units = UsageCounts(images=made, service_tier=tier_of(call.body))
        return Reading(image_counts(parsed.get("usage"), made), model_of(parsed), units=units)

    def stream(self, call: Call) -> StreamReader:
        """The last event tells the usage."""
        return EventUsage(lambda told: image_counts(told["usage"], call.demand.images))


def image_counts(usage: object, made: int) -> UsageCounts | None:
    """The counts of images' usage. What isn't said to be text is image: it costs more."""
    read = counts(usage)
    if read is None or type(usage) is not dict:
        return None
    details = usage.get("output_tokens_details")
    text = details.get("text_tokens") if type(details) is dict else 0
    text = min(max(text, 0), read.output_tokens) if type(text) is int else 0
    return read._replace(image_output_tokens=read.output_tokens - text, images=made)


def tier_of(body: dict[str, Any]) -> str:
    """The tier of a price by the image: quality and size, as far as the request names them
    (docs/pricing.md)."""
    named = [body.get("quality"), body.get("size")]
    return "-".join(value for value in named if type(value) is str and value not in _PLAIN)[:40]
