"""GET /v1/models and /v1/models/{id}, and the same under /v1/ai, where people who are signed in see
Cloudflare's models instead. Anthropic's clients, who send `anthropic-version`, get its shape, and Google's
get theirs, below /v1beta and /v1."""

from typing import Any
from urllib.parse import unquote

import orjson
from sanic.request import Request

from edge.answer import Answer
from edge.errors import JSON
from edge.google_models import google_list, google_model, is_googles
from edge.models import Models
from edge.rest.facade import Facade
from edge.routes import App
from tollkeeper.key_format import KEY_PREFIX


def add_routes(app: App, models: Models, facade: Facade | None) -> None:
    """Registers both paths. Model names may hold slashes."""

    async def listing(request: Request) -> Answer:
        data = await models.listed(request)
        listed: dict[str, Any] = {"object": "list", "data": data}
        if _is_anthropics(request):
            listed = _anthropic_list(data)
        elif is_googles(request):
            listed = google_list(data)
        return Answer(200, JSON, b"", orjson.dumps(listed))

    async def one(request: Request, name: str) -> Answer:
        model = await models.one(request, unquote(name))
        if _is_anthropics(request):
            model = _anthropic_model(model)
        elif is_googles(request):
            model = google_model(model)
        return Answer(200, JSON, b"", orjson.dumps(model))

    async def managed(request: Request) -> Answer | None:
        """With a virtual key, or without anything, it is inference's."""
        if facade is not None and (request.method == "OPTIONS" or _is_signed_in(request)):
            return await facade.handle(request)
        return await listing(request)

    for prefix, suffix in (("/v1/models", ""), ("/v1/ai/models", "_ai"), ("/v1beta/models", "_v1beta")):
        app.add_route(one, f"{prefix}/<name:path>", methods=["GET"], name=f"model{suffix}")
    for version in ("v1", "v1beta"):
        app.add_route(listing, f"/{version}/models", methods=["GET"], name=f"models_{version}")
    methods = ["GET"] if facade is None else ["GET", "OPTIONS"]
    app.add_route(managed, "/v1/ai/models", methods=methods, name="models_ai")


def _is_signed_in(request: Request) -> bool:
    shown = request.headers.get("authorization", "").partition(" ")[2].strip()
    return shown != "" and not shown.startswith(KEY_PREFIX)


def _is_anthropics(request: Request) -> bool:
    return "anthropic-version" in request.headers


def _anthropic_list(data: list[dict[str, object]]) -> dict[str, Any]:
    """All on one page."""
    models = [_anthropic_model(model) for model in data]
    ends = (models[0]["id"], models[-1]["id"]) if models else (None, None)
    return {"data": models, "has_more": False, "first_id": ends[0], "last_id": ends[1]}


def _anthropic_model(model: dict[str, object]) -> dict[str, object]:
    """Its release is as unknown as OpenAI's `created`; Anthropic says the epoch then."""
    name = model["id"]
    return {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
