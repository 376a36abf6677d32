"""The database made ready before the parts that need it: its schema, and what the first start makes."""

from collections.abc import Mapping

from supervisor.logs import Relay
from supervisor.screen import Secrets
from supervisor.settings import Settings


async def set_up(settings: Settings, environment: Mapping[str, str], relay: Relay) -> Secrets:
    """Migrates and bootstraps. Raises StartFailed with the last line of what failed."""
    raise NotImplementedError
