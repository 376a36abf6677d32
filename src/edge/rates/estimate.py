"""How many model tokens a request is counted for before anybody knows, and how many it was counted for after
(docs/limits.md).

Not the worst case: a limit of tokens per minute that took a prompt's bytes for tokens, or a model's largest
output where the client gave no limit, would refuse what it was made for. What was counted wrongly is
corrected when the request ends.
"""

from edge.call import Call
from tollkeeper.v1 import edge_pb2

# Of English text; other scripts have fewer, and are corrected.
BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 1_000
# Of an answer whose length nobody limited.
ANSWER_TOKENS = 1_000
# Families whose work is done later, at rates of the vendor's own.
_UNCOUNTED = frozenset({"files", "batches"})
_VOIDED = edge_pb2.UsageState.USAGE_STATE_VOIDED


def likely_tokens(call: Call, default_output_limit: int) -> int:
    """Prompt and answer of a request. `default_output_limit` counts where the client limits nothing; 0: it
    has none."""
    if call.family.name in _UNCOUNTED:
        return 0
    demand = call.demand
    prompt = -(-demand.prompt_bytes // BYTES_PER_TOKEN) + demand.image_count * IMAGE_TOKENS
    limit = demand.asked_output or (default_output_limit if demand.limitable else 0) or ANSWER_TOKENS
    return prompt + limit * demand.choice_count


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
