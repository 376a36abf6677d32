"""The models that Cloudflare itself offers (Workers AI's catalogue, B5).

Facts: Cloudflare's API reference (ai/models/search), 2026. The items are loosely typed, so nothing but the
name is relied on.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from control.cloudflare.api import Api
from control.cloudflare.errors import CloudflareError

MAX_MODELS = 5000
_MAX_TEXT_CHARS = 2000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CloudflareModel:
    """One model; `task` is what it does, such as `Text Generation`."""

    model_id: str
    name: str
    description: str
    task: str


async def list_models(api: Api) -> list[CloudflareModel]:
    """All models, at most 5,000. Raises CloudflareError."""
    found = await api.pages("/ai/models/search")
    return [model for model in map(_model, found[:MAX_MODELS]) if model is not None]


class ModelCatalogue:
    """The list as it was asked for last. Within `ttl_s` nobody asks again; when asking fails, the old list
    does."""

    def __init__(self, api: Api, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._ttl_s = ttl_s
        self._clock = clock
        self._models: Sequence[CloudflareModel] | None = None
        self._ask_again_s = 0.0
        self._asking = asyncio.Lock()

    async def list(self) -> Sequence[CloudflareModel]:
        """The models. Raises CloudflareError while no list ever came."""
        if self._models is None or self._clock() >= self._ask_again_s:
            async with self._asking:
                await self._refresh()
        assert self._models is not None
        return self._models

    async def _refresh(self) -> None:
        if self._models is not None and self._clock() < self._ask_again_s:
            # Somebody else did, while we waited.
            return
        try:
            self._models = await list_models(self._api)
        except CloudflareError as error:
            if self._models is None:
                raise
            log.warning("models_not_refreshed", problem=error.problem.value)
        self._ask_again_s = self._clock() + self._ttl_s


def _model(item: object) -> CloudflareModel | None:
    """None for what has no name."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return None
    task = item.get("task")
    return CloudflareModel(
        model_id=_text(item.get("id")),
        name=_text(item["name"]),
        description=_text(item.get("description")),
        task=_text(task.get("name")) if isinstance(task, dict) else _text(task),
    )


def _text(value: object) -> str:
    return value[:_MAX_TEXT_CHARS] if isinstance(value, str) else ""
