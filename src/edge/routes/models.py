"""GET /v1/models and /v1/models/{id}, and the same under /v1/ai."""

from urllib.parse import unquote

import orjson
from sanic.request import Request

from edge.answer import Answer
from edge.errors import JSON
from edge.models import Models
from edge.routes import App


def add_routes(app: App, models: Models) -> None:
    """Registers both paths. Model names may hold slashes."""

    async def listing(request: Request) -> Answer:
        data = await models.listed(request)
        return Answer(200, JSON, b"", orjson.dumps({"object": "list", "data": data}))

    async def one(request: Request, name: str) -> Answer:
        model = await models.one(request, unquote(name))
        return Answer(200, JSON, b"", orjson.dumps(model))

    for prefix, suffix in (("/v1/models", ""), ("/v1/ai/models", "_ai")):
        app.add_route(listing, prefix, methods=["GET"], name=f"models{suffix}")
        app.add_route(one, f"{prefix}/<name:path>", methods=["GET"], name=f"model{suffix}")
