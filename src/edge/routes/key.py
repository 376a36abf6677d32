"""GET /v1/key, and the same under /v1/ai: what the key that asks may know of itself."""

import orjson
from sanic.request import Request

from edge.answer import Answer
from edge.errors import JSON
from edge.own_key import OwnKey
from edge.routes import App


def add_routes(app: App, own_key: OwnKey) -> None:
    """Registers both paths."""

    async def show(request: Request) -> Answer:
        return Answer(200, JSON, b"", orjson.dumps(await own_key.told(request)))

    app.add_route(show, "/v1/key", methods=["GET"], name="key")
    app.add_route(show, "/v1/ai/key", methods=["GET"], name="key_ai")
