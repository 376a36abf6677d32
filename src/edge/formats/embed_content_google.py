"""Gemini's own embeddings, for Gemini's own clients: what they said goes on as it came."""

from typing import Any

from edge.call import Call
from edge.formats import Changes, Reading
from edge.formats.content_google import ContentGoogle
from edge.translation import exact_json
from edge.translation.google.usage import usage_counts
from edge.upstream.cloudflare import Endpoint
from tollkeeper.operations import Operation


class EmbedGoogle(ContentGoogle):
    """One embedding. Nothing but input is billed."""

    def operation(self, stream: bool) -> Operation:
        """Its own method."""
        return Operation.EMBED_CONTENT

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """The model may be named inside once more."""
        if "model" not in call.body or changes.model == call.model:
            return call.raw
        return exact_json.dumps(call.body | {"model": f"models/{changes.model}"})

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Usage, where it is reported."""
        return Reading(usage_counts(parsed.get("usageMetadata")) if parsed else None, call.model)


class BatchEmbedGoogle(EmbedGoogle):
    """Many at once."""

    def operation(self, stream: bool) -> Operation:
        """Its own method."""
        return Operation.BATCH_EMBED_CONTENTS

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """Each request inside names the model."""
        if changes.model == call.model:
            return call.raw
        model = f"models/{changes.model}"
        return exact_json.dumps(
            call.body | {"requests": [each | {"model": model} for each in call.body["requests"]]}
        )
