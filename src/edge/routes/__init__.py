"""HTTP routes: parse, ask, render."""

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

    async def plain(request: Request) -> Answer | None:
        return await pipeline.handle(request, family, False)

    async def with_provider(request: Request) -> Answer | None:
        return await pipeline.handle(request, family, True)

    # Of a form, Sanic must not read the body before it is known who sends it.
    streams = family.read_form is not None
    app.add_route(plain, f"/v1/{path}", methods=["POST"], name=family.name, stream=streams)
    app.add_route(with_provider, f"/v1/ai/{path}", methods=["POST"], name=f"{family.name}_ai", stream=streams)
