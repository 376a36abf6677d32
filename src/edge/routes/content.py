"""Google's paths: POST /v1beta/models/{model}:{method}, and the same below /v1."""

from sanic.request import Request

from edge.answer import Answer
from edge.families import Family
from edge.families.content import COUNT_CONTENT_TOKENS, GENERATE_CONTENT, GENERATE_CONTENT_ARRAY, STREAM
from edge.families.content_input import target_of
from edge.families.embed_content import BATCH_EMBED_CONTENTS, EMBED_CONTENT
from edge.pipeline import Pipeline
from edge.routes import App
from tollkeeper.errors import Reason, TollkeeperError

_FAMILIES = {
    "generateContent": GENERATE_CONTENT,
    STREAM: GENERATE_CONTENT_ARRAY,
    "countTokens": COUNT_CONTENT_TOKENS,
    "embedContent": EMBED_CONTENT,
    "batchEmbedContents": BATCH_EMBED_CONTENTS,
}


def add_routes(app: App, pipeline: Pipeline) -> None:
    """Registers both. Model names may hold slashes."""

    async def generate(request: Request, name: str) -> Answer | None:
        return await pipeline.handle(request, family_of(request), False)

    for version in ("v1beta", "v1"):
        app.add_route(generate, f"/{version}/models/<name:path>", methods=["POST"], name=f"content_{version}")


def family_of(request: Request) -> Family:
    """What a path asks for; a stream comes in one of two forms. Raises ENDPOINT_NOT_SUPPORTED."""
    method = target_of(request)[1]
    if method == STREAM and request.args.get("alt") == "sse":
        return GENERATE_CONTENT
    family = _FAMILIES.get(method)
    if family is None:
        message = f"{method or request.path} is not served by this gateway; generateContent is."
        raise TollkeeperError(Reason.ENDPOINT_NOT_SUPPORTED, message)
    return family
