"""A running control plane for each test that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.control.harness import RunningControl, running_control


@pytest.fixture
async def control(database_url: str, tmp_path: Path) -> AsyncIterator[RunningControl]:
    """One replica, or as many as TOLLKEEPER_TEST_REPLICAS says, behind every client."""
    async with running_control(database_url, tmp_path) as running:
        yield running
