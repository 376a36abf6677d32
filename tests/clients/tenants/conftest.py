"""Installations that files are applied to, and the command that applies them."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.control.conftest import cheap_passwords, control
from tests.control.harness import RunningControl, running_control

__all__ = ["cheap_passwords", "control"]

CLI = "from clients.cli.app import main; main()"


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
async def other(other_database_url: str, tmp_path: Path) -> AsyncIterator[RunningControl]:
    """A second, empty installation."""
    async with running_control(other_database_url, tmp_path) as running:
        yield running


async def tollkeeper(control: RunningControl, *arguments: str, **variables: str) -> Ran:
    """`tollkeeper ...` against an installation, as its operator."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOLLKEEPER_")}
    named = {
        "TOLLKEEPER_CONTROL_ADDRESS": control.addresses[0],
        "TOLLKEEPER_CREDENTIAL": control.cli_secret,
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLI, *arguments),
        env=kept | named,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return Ran(process.returncode or 0, out.decode(), err.decode())
