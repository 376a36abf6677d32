"""How many model tokens a request is counted for before anybody knows, and how many it was counted for after
(docs/limits.md).

Not the worst case: a limit of tokens per minute that took a prompt's bytes for tokens, or a model's largest
output where the client gave no limit, would refuse what it was made for. What was counted wrongly is
corrected when the request ends.
"""

from edge.worst_case import Demand
from tollkeeper.v1 import edge_pb2

# Of English text; other scripts have fewer, and are corrected.
BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 1_000
# Of an answer whose length nobody limited.
ANSWER_TOKENS = 1_000
_VOIDED = edge_pb2.UsageState.USAGE_STATE_VOIDED


def likely_tokens(demand: Demand, output_limit: int) -> int:
    """Prompt and answer of a request. `output_limit`: what the client or its key limits the answer to; 0:
    nothing does."""
    prompt = -(-demand.prompt_bytes // BYTES_PER_TOKEN) + demand.image_count * IMAGE_TOKENS
    return prompt + (output_limit or ANSWER_TOKENS) * demand.choice_count


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
