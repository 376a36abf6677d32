"""The database made ready before the parts that need it: its schema, and what the first start makes."""

import asyncio
import json
import os
from collections.abc import Mapping

from supervisor.children import LAST_WORDS_S, StartFailed, ending, spawn
from supervisor.logs import Relay
from supervisor.plan import python
from supervisor.screen import Secrets
from supervisor.settings import Settings

TIMEOUT_S = 600.0
"""A migration may have much to rewrite."""
ANSWER_LIMIT_BYTES = 65_536


async def set_up(settings: Settings, environment: Mapping[str, str], relay: Relay) -> Secrets:
    """Migrates and bootstraps. Raises StartFailed with the last line of what failed."""
    said = await relay.pipe()
    reading, writing = os.pipe()
    try:
        command = python("control.bootstrap", "--json")
        process = await spawn(command, environment, stdout=writing, stderr=said)
    finally:
        os.close(writing)
        os.close(said)
    with os.fdopen(reading, "rb") as answer:
        try:
            # The answer is far smaller than a pipe holds, so it can be read when the process has ended.
            async with asyncio.timeout(TIMEOUT_S):
                code = await process.wait()
        except TimeoutError:
            raise StartFailed(f"the database wasn't set up within {TIMEOUT_S:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
        if code != 0:
            await relay.finish(LAST_WORDS_S)
            raise StartFailed(f"setting up the database {ending(process)}: {relay.last_line()}")
        return _secrets(settings, json.loads(answer.read(ANSWER_LIMIT_BYTES)))


def _secrets(settings: Settings, answer: Mapping[str, object]) -> Secrets:
    operator = answer["operator"]
    assert isinstance(operator, dict)
    demo_key = answer["demo_key"]
    return Secrets(
        operator_email=operator["email"] or settings.operator_email,
        operator_password=operator["password"],
        demo_key=str(demo_key) if demo_key is not None else None,
    )
