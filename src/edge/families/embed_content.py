"""Gemini's own embeddings: embedContent and batchEmbedContents of a model."""

from typing import Any

from sanic.request import Request

from edge.call import Call, invalid_field, json_object
from edge.dialects.google import GOOGLE
from edge.families import Family
from edge.families.content_input import input_of, parts_of, target_of
from edge.formats.embed_content_google import BatchEmbedGoogle, EmbedGoogle
from edge.worst_case import Demand
from tollkeeper.operations import Wire

# A loose bound against absurd bodies; Google takes fewer.
MAX_EMBEDDINGS = 1024


def _read_embed(request: Request, _: bool) -> Call:
    body = json_object(request.body)
    return _embedding(EMBED_CONTENT, request, body, [body])


def _read_batch_embed(request: Request, _: bool) -> Call:
    body = json_object(request.body)
    asked = body.get("requests")
    if type(asked) is not list or not all(type(each) is dict for each in asked):
        raise invalid_field("'requests' must be an array of objects.", "requests", "invalid_type")
    if not 0 < len(asked) <= MAX_EMBEDDINGS:
        message = f"'requests' must hold 1 to {MAX_EMBEDDINGS} requests."
        raise invalid_field(message, "requests", "invalid_value")
    return _embedding(BATCH_EMBED_CONTENTS, request, body, asked)


def _embedding(family: Family, request: Request, body: dict[str, Any], asked: list[dict[str, Any]]) -> Call:
    """Nothing is generated; each input has a context window of its own."""
    given = input_of(part for each in asked for part in parts_of(each))
    raw = request.body
    used = Demand(len(raw) - given.image_bytes, given.images, given.beyond_body, None, 0, 0, 0)
    used.prompt_count = len(asked)
    return Call(family, raw, body, target_of(request)[0], used)


EMBED_CONTENT = Family("embed_content", _read_embed, {Wire.GOOGLE: EmbedGoogle()}, GOOGLE, cacheable=True)
BATCH_EMBED_CONTENTS = Family(
    "batch_embed_contents", _read_batch_embed, {Wire.GOOGLE: BatchEmbedGoogle()}, GOOGLE, cacheable=True
)
