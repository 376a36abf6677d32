"""What can be asked of a vendor, and in which format.

An operation is one path of a vendor's API, a wire the format that it speaks there. Shared by the edge, which
sends requests, and the control plane, whose dry run says where they would go.
"""

from collections.abc import Mapping
from enum import StrEnum


class Wire(StrEnum):
    """Whose format requests and answers have."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"


class Operation(StrEnum):
    """A path below the root of a vendor's API; of Google's, the method behind the model, streams always as
    events."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    RESPONSES_INPUT_TOKENS = "responses/input_tokens"
    RESPONSES_COMPACT = "responses/compact"
    EMBEDDINGS = "embeddings"
    MODERATIONS = "moderations"
    IMAGES = "images/generations"
    IMAGE_EDITS = "images/edits"
    IMAGE_VARIATIONS = "images/variations"
    SPEECH = "audio/speech"
    TRANSCRIPTIONS = "audio/transcriptions"
    TRANSLATIONS = "audio/translations"
    FILES = "files"
    BATCHES = "batches"

    MESSAGES = "messages"
    COUNT_TOKENS = "messages/count_tokens"

    GENERATE_CONTENT = "generateContent"
    STREAM_GENERATE_CONTENT = "streamGenerateContent?alt=sse"
    COUNT_CONTENT_TOKENS = "countTokens"
    EMBED_CONTENT = "embedContent"
    BATCH_EMBED_CONTENTS = "batchEmbedContents"


ANTHROPIC_OPERATIONS = frozenset({Operation.MESSAGES, Operation.COUNT_TOKENS})
GOOGLE_OPERATIONS = frozenset(
    {
        *(Operation.GENERATE_CONTENT, Operation.STREAM_GENERATE_CONTENT, Operation.COUNT_CONTENT_TOKENS),
        *(Operation.EMBED_CONTENT, Operation.BATCH_EMBED_CONTENTS),
    }
)
OPENAI_OPERATIONS = frozenset(Operation) - ANTHROPIC_OPERATIONS - GOOGLE_OPERATIONS

# What a kind of request may be asked of a vendor as; the kinds are the edge's families, by name.
FAMILIES: Mapping[str, frozenset[Operation]] = {
    "chat": frozenset(
        {Operation.CHAT, Operation.MESSAGES, Operation.GENERATE_CONTENT, Operation.STREAM_GENERATE_CONTENT}
    ),
    "completions": frozenset({Operation.COMPLETIONS}),
    "responses": frozenset({Operation.RESPONSES}),
    "responses_input_tokens": frozenset({Operation.RESPONSES_INPUT_TOKENS}),
    "responses_compact": frozenset({Operation.RESPONSES_COMPACT}),
    "embeddings": frozenset({Operation.EMBEDDINGS, Operation.BATCH_EMBED_CONTENTS}),
    "moderations": frozenset({Operation.MODERATIONS}),
    "images": frozenset({Operation.IMAGES}),
    "image_edits": frozenset({Operation.IMAGE_EDITS}),
    "image_variations": frozenset({Operation.IMAGE_VARIATIONS}),
    "speech": frozenset({Operation.SPEECH}),
    "transcriptions": frozenset({Operation.TRANSCRIPTIONS}),
    "translations": frozenset({Operation.TRANSLATIONS}),
    "files": frozenset({Operation.FILES}),
    "batches": frozenset({Operation.BATCHES}),
    "messages": frozenset({Operation.MESSAGES}),
    "count_tokens": frozenset({Operation.COUNT_TOKENS}),
    "generate_content": frozenset({Operation.GENERATE_CONTENT, Operation.STREAM_GENERATE_CONTENT}),
    "generate_content_array": frozenset({Operation.GENERATE_CONTENT, Operation.STREAM_GENERATE_CONTENT}),
    "count_content_tokens": frozenset({Operation.COUNT_CONTENT_TOKENS}),
    "embed_content": frozenset({Operation.EMBED_CONTENT}),
    "batch_embed_contents": frozenset({Operation.BATCH_EMBED_CONTENTS}),
}
