"""Embeddings in OpenAI's own format. `encoding_format` is the client's: SDKs ask for base64 and decode it."""

from typing import Any

from edge.call import Call
from edge.formats import Reading
from edge.formats.openai_json import OpenaiJson, model_of
from edge.usage import input_counts
from tollkeeper.operations import Operation


class EmbeddingsOpenai(OpenaiJson):
    """Input is all there is to bill."""

    served = Operation.EMBEDDINGS

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Usage and served model."""
        if parsed is None:
            return Reading()
        return Reading(input_counts(parsed.get("usage")), model_of(parsed))
