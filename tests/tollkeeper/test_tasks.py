"""Background tasks end, whatever they do with a cancellation."""

import asyncio

import pytest
from structlog.testing import capture_logs

from tollkeeper import tasks


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AGAIN_S", 0.05)
    monkeypatch.setattr(tasks, "GIVEN_UP_AFTER_S", 0.5)


async def losing(cancellations: int) -> None:
    """Loses so many, and ends with the next."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if cancellations == 0:
                raise
            cancellations -= 1


async def begun(*coroutines: object) -> list[asyncio.Task[None]]:
    """Tasks that have come to their first wait."""
    started = [asyncio.create_task(coroutine) for coroutine in coroutines]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    return started


async def test_a_lost_cancellation_is_made_again() -> None:
    """The first may be taken for something else; a task that never started is none."""
    started = await begun(losing(0), losing(1), losing(2))
    await tasks.end(None, *started)
    assert all(task.cancelled() for task in started)


async def test_who_never_ends_is_left_and_named() -> None:
    """No shutdown waits for ever."""
    [stubborn] = await begun(losing(30))
    stubborn.set_name("stubborn")
    with capture_logs() as logs:
        async with asyncio.timeout(20):
            await tasks.end(stubborn)
    assert not stubborn.done()
    while not stubborn.done():
        stubborn.cancel()
        await asyncio.sleep(0)
    assert [(line["event"], line["task"]) for line in logs] == [("task_left", "stubborn")]


async def test_what_broke_is_logged() -> None:
    """An error that nobody waited for isn't lost."""

    async def breaks() -> None:
        raise ValueError("odd")

    broken = await begun(breaks())
    with capture_logs() as logs:
        await tasks.end(*broken)
    assert [line["event"] for line in logs] == ["task_broke"]
