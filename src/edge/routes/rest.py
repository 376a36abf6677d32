"""Everything else: one route that takes every path, so that Sanic's router stays as small as inference needs
it."""

from sanic.exceptions import NotFound
from sanic.request import Request

from edge.answer import Answer
from edge.inference import is_inference
from edge.rest.facade import Facade
from edge.routes import App

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def add_routes(app: App, facade: Facade) -> None:
    """Sanic prefers every other route to this one."""

    async def manage(request: Request, path: str) -> Answer | None:
        if is_inference(request.path):
            # Nothing is served there: OpenAI's error says so.
            raise NotFound(request.path)
        return await facade.handle(request)

    app.add_route(manage, "/<path:path>", methods=METHODS, name="rest")
