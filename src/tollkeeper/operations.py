"""What can be asked of a vendor, and in which format.

An operation is one path of a vendor's API, a wire the format that it speaks there. Shared by the edge, which
sends requests, and the control plane, whose dry run says where they would go.
"""

from enum import StrEnum


class Wire(StrEnum):
    """Whose format requests and answers have."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"


class Operation(StrEnum):
    """A path below the root of a vendor's API; of Google's, the method behind the model."""

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
    STREAM_GENERATE_CONTENT = "streamGenerateContent"
    COUNT_CONTENT_TOKENS = "countTokens"


ANTHROPIC_OPERATIONS = frozenset({Operation.MESSAGES, Operation.COUNT_TOKENS})
GOOGLE_OPERATIONS = frozenset(
    {Operation.GENERATE_CONTENT, Operation.STREAM_GENERATE_CONTENT, Operation.COUNT_CONTENT_TOKENS}
)
OPENAI_OPERATIONS = frozenset(Operation) - ANTHROPIC_OPERATIONS - GOOGLE_OPERATIONS
