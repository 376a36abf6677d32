"""Models that were asked for and have no price: counted here, and told to the control plane (A8)."""

import asyncio
from collections import Counter

import structlog

from edge.control_link import ControlLink
from tollkeeper.errors import TollkeeperError
from tollkeeper.v1 import edge_pb2

log = structlog.get_logger(__name__)

# Different names between two calls; requests for more are refused all the same, but not counted.
MOST_NAMES = 1000


class MissingModels:
    """Counts by customer and model. What is lost with the worker is lost: nobody is billed by it."""

    def __init__(self, link: ControlLink) -> None:
        self._link = link
        self._counts: Counter[tuple[str, str]] = Counter()
        self._task: asyncio.Task[None] | None = None

    def count(self, customer_id: str, model: str) -> None:
        """One more request for it."""
        if (customer_id, model) in self._counts or len(self._counts) < MOST_NAMES:
            self._counts[customer_id, model] += 1

    def tick(self) -> None:
        """About once a second: tells what was counted, in the background, one call at a time."""
        if self._counts and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._tell(), name="missing models")

    async def close(self) -> None:
        """Waits for a call under way."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tell(self) -> None:
        counts, self._counts = self._counts, Counter()
        request = edge_pb2.CountMissingModelsRequest(
            counts=[
                edge_pb2.MissingModelCount(customer_id=customer_id, model=model, request_count=number)
                for (customer_id, model), number in counts.items()
            ]
        )
        try:
            await self._link.count_missing_models(request)
        except TollkeeperError as error:
            log.warning("missing_models_not_told", reason=error.reason_name)
            for (customer_id, model), number in counts.items():
                if (customer_id, model) in self._counts or len(self._counts) < MOST_NAMES:
                    self._counts[customer_id, model] += number
