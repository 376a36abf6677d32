"""Batches in OpenAI's own format, and what one tells at its end."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from edge.call import Call, Made, invalid_field
from edge.formats import Changes, Reading
from edge.formats.files_openai import KIND as FILE
from edge.formats.openai_json import OpenaiJson, model_of
from edge.upstream.cloudflare import Endpoint
from edge.upstream.upload import Upload
from edge.usage import counts, input_counts
from tollkeeper.cost import UsageCounts
from tollkeeper.operations import Operation

KIND = "batch"
# The tier of a price that batches have (docs/pricing.md).
TIER = "batch"
ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
# Of a results file, an answer with images in it.
MAX_LINE_BYTES = 32 * 1_048_576

Fetch = Callable[[str], AsyncIterator[bytes]]


class BatchesOpenai(OpenaiJson):
    """JSON both ways; the batch is the customer's that made it."""

    served = Operation.BATCHES

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes | Upload:
        """The client's own bytes: a batch names no model, its requests do, and they can't be rewritten."""
        if changes.model != call.model or endpoint.model_prefix:
            message = f"The router asks for another model than {call.model!r}, which a batch can't do."
            raise invalid_field(message, "input_file_id", "invalid_value")
        if call.provider is None:
            return call.raw
        return orjson.dumps({name: value for name, value in call.body.items() if name != "provider"})

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Nothing is known before its end."""
        batch_id = parsed.get("id") if parsed is not None else None
        if type(batch_id) is str:
            call.made = (Made(batch_id, KIND, pending=True),)
        return Reading(why=KIND)


async def read_batch(batch: dict[str, Any], fetch: Fetch) -> Reading:
    """What a batch cost, once it has come to its end: by its own sum, else by the sum of its results, which
    `fetch` reads."""
    status = batch.get("status")
    if status not in ENDED:
        return Reading()
    files = [batch.get(name) for name in ("output_file_id", "error_file_id")]
    kept = tuple(Made(file_id, FILE) for file_id in files if type(file_id) is str)
    output = batch.get("output_file_id")
    if type(output) is not str:
        return Reading(unbilled=True, finish=str(status), kept=kept)
    usage = _own_sum(batch) or await _sum_of(fetch(output))
    return Reading(usage, model_of(batch), str(status), kept=kept)


def _own_sum(batch: dict[str, Any]) -> UsageCounts | None:
    """The `usage` of the batch (since September 2025). One that says nothing was used isn't believed where
    there are results."""
    requests = batch.get("request_counts")
    completed = requests.get("completed") if type(requests) is dict else None
    usage = counts(batch.get("usage")) or input_counts(batch.get("usage"))
    if usage is None or not usage.input_tokens or type(completed) is not int or completed < 0:
        return None
    return usage._replace(requests=completed, service_tier=TIER)


async def _sum_of(results: AsyncIterator[bytes]) -> UsageCounts | None:
    """The usage of all answers; None where one can't be read, so that the estimate stays."""
    total = UsageCounts(requests=0, service_tier=TIER)
    rest = b""
    async for piece in results:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            return None
        for line in lines:
            if line.strip():
                used = _usage_of(line)
                if used is None:
                    return None
                total = _plus(total, used)
    if rest.strip():
        used = _usage_of(rest)
        if used is None:
            return None
        total = _plus(total, used)
    return total


def _usage_of(line: bytes) -> UsageCounts | None:
    try:
        result = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    response = result.get("response") if type(result) is dict else None
    if type(response) is not dict or response.get("status_code") != 200:
        return UsageCounts(requests=0)  # an error, which isn't billed
    body = response.get("body")
    usage = body.get("usage") if type(body) is dict else None
    return counts(usage) or input_counts(usage)


def _plus(total: UsageCounts, used: UsageCounts) -> UsageCounts:
    numbers = [one + other for one, other in zip(total[:-1], used[:-1], strict=True)]
    return UsageCounts._make([*numbers, TIER])
