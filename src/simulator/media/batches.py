"""Batches: each look at one takes it a step further, until its results are there.

`metadata.sim` steers one: `stay` leaves it in progress, `fail`, `expire` (half of its lines are answered).
"""

from dataclasses import dataclass, field
from time import time
from typing import Any

import orjson

from simulator.bill import Bill, Usage
from simulator.chat import decide, read_call
from simulator.cloudflare import fresh_id
from simulator.errors import VendorError
from simulator.media.files import Files
from simulator.steering import Steering
from simulator.whole import completion

ENDPOINTS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"})
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(slots=True)
class Batch:
    """One batch."""

    batch_id: str
    event_id: str
    provider: str
    input_file_id: str
    endpoint: str
    metadata: dict[str, str]
    created_at: int
    status: str = "validating"
    model: str = ""
    output_file_id: str | None = None
    error_file_id: str | None = None
    counts: dict[str, int] = field(default_factory=lambda: {"total": 0, "completed": 0, "failed": 0})
    usage: dict[str, Any] | None = None

    def json(self) -> dict[str, Any]:
        """OpenAI's batch object."""
        return {
            "id": self.batch_id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": self.created_at,
            "request_counts": self.counts,
            "metadata": self.metadata,
            "usage": self.usage,
        }


class Batches:
    """All of them."""

    def __init__(self, files: Files, bill: Bill, steering: Steering) -> None:
        self._files = files
        self._bill = bill
        self._steering = steering
        self._batches: dict[str, Batch] = {}

    def create(self, fields: dict[str, Any], event_id: str, provider: str) -> Batch:
        """Raises VendorError."""
        endpoint, file_id = fields.get("endpoint"), fields.get("input_file_id")
        if endpoint not in ENDPOINTS or not isinstance(file_id, str):
            raise VendorError(400, "Invalid 'endpoint' or 'input_file_id'.", param="endpoint")
        if self._files.get(file_id).purpose != "batch":
            raise VendorError(400, "The file's purpose is not batch.", param="input_file_id")
        metadata = fields.get("metadata") or {}
        batch = Batch(
            f"batch_{fresh_id()}", event_id, provider, file_id, str(endpoint), metadata, int(time())
        )
        self._batches[batch.batch_id] = batch
        return batch

    def get(self, batch_id: str) -> Batch:
        """The batch as it stands, without taking it further. Raises VendorError 404."""
        batch = self._batches.get(batch_id)
        if batch is None:
            raise VendorError(404, f"No batch found with id '{batch_id}'.")
        return batch

    def look(self, batch_id: str) -> Batch:
        """The batch, one step further. Raises VendorError 404."""
        batch = self.get(batch_id)
        steer = batch.metadata.get("sim")
        if batch.status == "validating":
            batch.status = "failed" if steer == "fail" else "in_progress"
        elif batch.status == "in_progress" and steer != "stay":
            self._answer(batch, half=steer == "expire")
            batch.status = "expired" if steer == "expire" else "completed"
        elif batch.status == "cancelling":
            self._answer(batch, half=True)
            batch.status = "cancelled"
        return batch

    def cancel(self, batch_id: str) -> Batch:
        """Raises VendorError."""
        batch = self.get(batch_id)
        if batch.status in _ENDED:
            raise VendorError(409, f"Cannot cancel a batch with status '{batch.status}'.")
        batch.status = "cancelling"
        return batch

    def all(self) -> list[Batch]:
        """Newest first."""
        return list(reversed(self._batches.values()))

    def clear(self) -> None:
        """Forgets them all."""
        self._batches.clear()

    def _answer(self, batch: Batch, half: bool) -> None:
        lines = self._files.get(batch.input_file_id).data.splitlines()
        done: list[bytes] = []
        failed: list[bytes] = []
        total = Usage(0, 0)
        for line in lines[: len(lines) // 2] if half else lines:
            row, usage = self._line(batch, orjson.loads(line))
            (done if usage is not None else failed).append(
                orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
            )
            if usage is not None:
                total = Usage(
                    total.prompt + usage.prompt,
                    total.completion + usage.completion,
                    total.cached + usage.cached,
                    total.cache_write + usage.cache_write,
                    total.reasoning + usage.reasoning,
                )
        if done:
            output = self._files.add("output.jsonl", "batch_output", b"".join(done))
            batch.output_file_id = output.file_id
            self._bill.add(
                batch.event_id,
                batch.provider,
                batch.model,
                total,
                status=200,
                finish="complete",
                stream=False,
            )
        if failed:
            errors = self._files.add("errors.jsonl", "batch_output", b"".join(failed))
            batch.error_file_id = errors.file_id
        batch.counts = {"total": len(lines), "completed": len(done), "failed": len(failed)}
        batch.usage = {
            "input_tokens": total.prompt,
            "input_tokens_details": {"cached_tokens": total.cached},
            "output_tokens": total.completion,
            "output_tokens_details": {"reasoning_tokens": total.reasoning},
            "total_tokens": total.prompt + total.completion,
        }

    def _line(self, batch: Batch, line: dict[str, Any]) -> tuple[dict[str, Any], Usage | None]:
        row: dict[str, Any] = {"id": f"batch_req_{fresh_id()}", "custom_id": line.get("custom_id")}
        answer = None
        try:
            call = read_call(orjson.dumps(line.get("body")), None, self._steering)
            batch.model = call.model
            if call.steering.status is not None:
                raise VendorError(call.steering.status)
            answer = decide(call)
            status, body = 200, orjson.loads(completion(answer))
        except VendorError as error:
            status, body = error.status, orjson.loads(error.body)
        row["response"] = {"status_code": status, "request_id": fresh_id(), "body": body}
        row["error"] = None
        return row, answer.usage if answer is not None else None
