"""Embeddings: POST /v1/embeddings."""

from typing import Any

from edge.call import Call, invalid_field, is_ambiguous, json_object, model_of, provider_of, quoted
from edge.families import Family, of_body
from edge.families.token_lists import prompts_of
from edge.formats.embeddings_google import EmbeddingsGoogle
from edge.formats.embeddings_openai import EmbeddingsOpenai
from edge.labels import end_user_of
from edge.worst_case import Demand
from tollkeeper.operations import Wire

_DECIDING = quoted("model", "input")


def parse(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a body. Raises INVALID_ARGUMENT, with the field's name as `param`."""
    body = json_object(raw)
    model = model_of(body)
    return Call(
        EMBEDDINGS,
        raw,
        body,
        model,
        demand(body, len(raw)),
        provider_of(body) if with_provider else None,
        end_user=end_user_of(body),
        ambiguous=is_ambiguous(raw, body, _DECIDING),
    )


def demand(body: dict[str, Any], body_bytes: int) -> Demand:
    """Nothing but input, each with a context window of its own. What isn't text nor tokens (images, by some
    vendors) may be a whole window."""
    given = body.get("input")
    if given is None:
        raise invalid_field("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    prompts = prompts_of(given, "input", body_bytes)
    return Demand(
        prompt_bytes=prompts.bytes_bound,
        image_count=0,
        beyond_body=type(given) is list and any(type(each) is dict for each in given),
        asked_output=None,
        choice_count=0,
        prediction_bytes=0,
        web_searches=0,
        prompt_count=prompts.number,
    )


EMBEDDINGS = Family(
    "embeddings",
    of_body(parse),
    {Wire.OPENAI: EmbeddingsOpenai(), Wire.GOOGLE: EmbeddingsGoogle()},
    cacheable=True,
)
