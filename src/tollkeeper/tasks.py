"""Ends background tasks, in bounded time whatever they do."""

import asyncio
import time
from typing import Any

import structlog

# A cancellation can get lost: a library takes it for its own, or has just got what it waited for.
AGAIN_S = 2.0
GIVEN_UP_AFTER_S = 10.0

log = structlog.get_logger()


async def end(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancels tasks and waits until they have ended; None is one that was never started.

    Cancels again every 2 s, and after 10 s logs and leaves what still runs: no shutdown waits for ever.
    """
    running = {task for task in tasks if task is not None}
    deadline_s = time.monotonic() + GIVEN_UP_AFTER_S
    while running and time.monotonic() < deadline_s:
        for task in running:
            task.cancel()
        ended, running = await asyncio.wait(running, timeout=AGAIN_S)
        for task in ended:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("task_broke", task=task.get_name(), exc_info=error)
    for task in running:
        log.error("task_left", task=task.get_name())
