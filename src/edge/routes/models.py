"""GET /v1/models and /v1/models/{id}, and the same under /v1/ai, where people who are signed in see
Cloudflare's models instead."""

from urllib.parse import unquote

import orjson
from sanic.request import Request

from edge.answer import Answer
from edge.errors import JSON
from edge.models import Models
from edge.rest.facade import Facade
from edge.routes import App
from tollkeeper.key_format import KEY_PREFIX


def add_routes(app: App, models: Models, facade: Facade | None) -> None:
    """Registers both paths. Model names may hold slashes."""

    async def listing(request: Request) -> Answer:
        data = await models.listed(request)
        return Answer(200, JSON, b"", orjson.dumps({"object": "list", "data": data}))

    async def one(request: Request, name: str) -> Answer:
        model = await models.one(request, unquote(name))
        return Answer(200, JSON, b"", orjson.dumps(model))

    async def managed(request: Request) -> Answer | None:
        """With a virtual key, or without anything, it is inference's."""
        if facade is not None and (request.method == "OPTIONS" or _is_signed_in(request)):
            return await facade.handle(request)
        return await listing(request)

    for prefix, suffix in (("/v1/models", ""), ("/v1/ai/models", "_ai")):
        app.add_route(one, f"{prefix}/<name:path>", methods=["GET"], name=f"model{suffix}")
    app.add_route(listing, "/v1/models", methods=["GET"], name="models")
    methods = ["GET"] if facade is None else ["GET", "OPTIONS"]
    app.add_route(managed, "/v1/ai/models", methods=methods, name="models_ai")


def _is_signed_in(request: Request) -> bool:
    shown = request.headers.get("authorization", "").partition(" ")[2].strip()
    return shown != "" and not shown.startswith(KEY_PREFIX)
