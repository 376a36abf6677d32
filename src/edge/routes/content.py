"""Google's paths: POST /v1beta/models/{model}:{method}, and the same below /v1."""

from sanic.request import Request

from edge.answer import Answer
from edge.families.content import family_of
from edge.pipeline import Pipeline
from edge.routes import App


def add_routes(app: App, pipeline: Pipeline) -> None:
    """Registers both. Model names may hold slashes."""

    async def generate(request: Request, name: str) -> Answer | None:
        return await pipeline.handle(request, family_of(request), False)

    for version in ("v1beta", "v1"):
        app.add_route(generate, f"/{version}/models/<name:path>", methods=["POST"], name=f"content_{version}")
