"""Embeddings of Gemini models: translated to batchEmbedContents and back."""

from typing import Any

from edge.call import Call
from edge.formats import Changes, Reading, StreamReader
from edge.translation import exact_json
from edge.translation.google.embeddings import batch_request, embedding_list
from edge.translation.google.errors import openai_error
from edge.translation.google.finish import failure
from edge.translation.google.stream import ChatStream
from edge.translation.google.usage import usage_counts
from edge.upstream.cloudflare import Endpoint
from tollkeeper.errors import TollkeeperError
from tollkeeper.operations import Operation


class EmbeddingsGoogle:
    """See `edge.formats.Format`."""

    def operation(self, stream: bool) -> Operation:
        """All inputs at once."""
        return Operation.BATCH_EMBED_CONTENTS

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """Raises INVALID_ARGUMENT with the name of what can't be carried."""
        body = call.body if call.provider is None else call.body | {"provider": None}
        return exact_json.dumps(batch_request(body, changes.model))

    def content_type(self, call: Call) -> bytes:
        """JSON."""
        return b"application/json"

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """OpenAI's list of embeddings."""
        if parsed is None:
            return Reading()
        try:
            answer, usage = embedding_list(parsed, call.model, call.body.get("encoding_format"))
        except TollkeeperError as error:
            used = usage_counts(parsed.get("usageMetadata"))
            return Reading(used, call.model, failure=failure("MALFORMED_RESPONSE", error.message))
        return Reading(usage, call.model, answer=answer)

    def stream(self, call: Call) -> StreamReader:
        """There are none."""
        return ChatStream(call.model, call.wants_usage)

    def error(self, status: int, body: bytes) -> bytes | None:
        """In OpenAI's envelope."""
        return openai_error(status, body)
