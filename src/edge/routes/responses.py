"""POST /v1/responses with its siblings, and the responses that a vendor keeps: read, cancelled, deleted. The
same under /v1/ai."""

from functools import partial
from typing import Any

from sanic.request import Request

from edge.answer import Answer
from edge.families.responses import COMPACT, INPUT_TOKENS, RESPONSES
from edge.formats import Reading
from edge.formats.responses_openai import KIND, read_response
from edge.kept_proxy import Fetch, KeptProxy, Place
from edge.pipeline import Pipeline
from edge.routes import App, add_inference
from tollkeeper.operations import Operation

# Method, and what follows the id.
_PATHS = (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items"))


async def _read(response: dict[str, Any], fetch: Fetch) -> Reading:
    return read_response(response)


PLACE = Place(KIND, Operation.RESPONSES, _read)


def add_routes(app: App, pipeline: Pipeline, proxy: KeptProxy) -> None:
    """Registers all of them."""
    add_inference(app, pipeline, RESPONSES, "responses")
    add_inference(app, pipeline, INPUT_TOKENS, "responses/input_tokens")
    add_inference(app, pipeline, COMPACT, "responses/compact")
    for root, suffix in (("/v1", ""), ("/v1/ai", "_ai")):
        for method, rest in _PATHS:
            name = f"response_{method.lower()}{rest.replace('/', '_')}{suffix}"
            handler = partial(_pass, proxy, rest)
            app.add_route(handler, f"{root}/responses/<object_id:str>{rest}", methods=[method], name=name)


async def _pass(proxy: KeptProxy, rest: str, request: Request, object_id: str) -> Answer | None:
    return await proxy.handle(request, PLACE, object_id, rest)
