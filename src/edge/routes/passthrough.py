"""Any method at /v1/passthrough/{provider}/{path}."""

from functools import partial

from sanic.request import Request

from edge.answer import Answer
from edge.families.passthrough import PASSTHROUGH
from edge.pipeline import Pipeline
from edge.routes import App

METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


def add_routes(app: App, pipeline: Pipeline) -> None:
    """Registers it. The provider is named by type, name or id."""
    path = "/v1/passthrough/<provider:str>/<path:path>"
    app.add_route(partial(_pass, pipeline), path, methods=METHODS, name="passthrough", stream=True)


async def _pass(pipeline: Pipeline, request: Request, provider: str, path: str) -> Answer | None:
    return await pipeline.uploads.finish(request, await pipeline.handle(request, PASSTHROUGH, True))
