"""HTTP routes: parse, ask, render."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from types import SimpleNamespace

from sanic import Sanic
from sanic.config import Config
from sanic.request import Request

from edge.answer import Answer
from edge.families import Family
from edge.pipeline import Pipeline

App = Sanic[Config, SimpleNamespace]


def add_inference(app: App, pipeline: Pipeline, family: Family, path: str) -> None:
    """Serves a family at POST /v1/<path> and /v1/ai/<path>, where a `provider` in the body chooses among
    rules."""

    # Sanic awaits what a handler returns; a coroutine of our own around it would be one more.
    def plain(request: Request) -> Coroutine[None, None, Answer | None]:
        return pipeline.handle(request, family, False)

    def with_provider(request: Request) -> Coroutine[None, None, Answer | None]:
        return pipeline.handle(request, family, True)

    # Of a form, Sanic must not read the body before it is known who sends it.
    streams = family.read_form is not None
    for handler, root, suffix in ((plain, "/v1", ""), (with_provider, "/v1/ai", "_ai")):
        serve = partial(_to_the_end, pipeline, handler) if streams else handler
        app.add_route(serve, f"{root}/{path}", methods=["POST"], name=family.name + suffix, stream=streams)


async def _to_the_end(
    pipeline: Pipeline, handler: Callable[[Request], Awaitable[Answer | None]], request: Request
) -> Answer | None:
    return await pipeline.uploads.finish(request, await handler(request))
