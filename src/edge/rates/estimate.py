"""How many model tokens a request is counted for before anybody knows, and how many it was counted for after
(docs/limits.md).

Not the worst case: a limit of tokens per minute that took a prompt's bytes for tokens, or a model's largest
output where the client gave no limit, would refuse what it was made for. What was counted wrongly is
corrected when the request ends.
"""

from typing import NamedTuple

from edge.call import Call
from tollkeeper.v1 import edge_pb2

# Of English text; other scripts have fewer, and are corrected.
BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 1_000
# Of an answer whose length nobody limited; of a small limit it takes only so much.
ANSWER_TOKENS = 1_000
GUESS_PART = 10
# Families whose work is done later, at rates of the vendor's own.
_UNCOUNTED = frozenset({"files", "batches"})
_VOIDED = edge_pb2.UsageState.USAGE_STATE_VOIDED


class Likely(NamedTuple):
    """Model tokens of a request, before it is sent."""

    said: int
    """Prompt and the output that is allowed for."""
    guessed: int = 0
    """Output that nobody limited."""

    def of(self, limit: int) -> int:
        """What it is counted for under a limit. A guess alone never makes a request too large."""
        return self.said + min(self.guessed, limit // GUESS_PART)


def likely_tokens(call: Call, default_output_limit: int) -> Likely:
    """Prompt and answer of a request. `default_output_limit` counts where the client limits nothing; 0: it
    has none."""
    if call.family.name in _UNCOUNTED:
        return Likely(0)
    demand = call.demand
    prompt = -(-demand.prompt_bytes // BYTES_PER_TOKEN) + demand.image_count * IMAGE_TOKENS
    limit = (demand.asked_output or default_output_limit) if demand.limitable else 0
    if limit:
        return Likely(prompt + limit * demand.choice_count)
    return Likely(prompt, ANSWER_TOKENS * demand.choice_count)


def used_tokens(record: edge_pb2.UsageRecord) -> int | None:
    """What an ended request used; None when it isn't known of an attempt."""
    tokens = 0
    for attempt in record.attempts:
        if attempt.state == _VOIDED:
            continue
        if not attempt.HasField("usage"):
            return None
        tokens += attempt.usage.input_tokens + attempt.usage.output_tokens
    return tokens
