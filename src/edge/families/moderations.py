"""Moderations: POST /v1/moderations. A model without a price is refused here as everywhere; the catalogue has
OpenAI's at nothing."""

import orjson

from edge.call import Call, invalid_field, is_ambiguous, json_object, model_of, provider_of, quoted
from edge.families import Family, of_body
from edge.formats.moderations_openai import ModerationsOpenai
from edge.labels import end_user_of
from edge.worst_case import Demand
from tollkeeper.operations import Wire

# Of OpenAI, where the request names none.
DEFAULT_MODEL = "omni-moderation-latest"
_DECIDING = quoted("model", "input")


def parse(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a body. Raises INVALID_ARGUMENT, with the field's name as `param`."""
    body = json_object(raw)
    if body.get("model") is None:
        # Said in so many words: what is priced is what is asked for.
        body["model"] = DEFAULT_MODEL
        raw = orjson.dumps(body)
    model = model_of(body)
    given = body.get("input")
    if given is None:
        raise invalid_field("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    if type(given) not in (str, list):
        raise invalid_field("'input' must be a text or an array.", "input", "invalid_type")
    parts = given if type(given) is list else []
    images = sum(1 for part in parts if type(part) is dict and part.get("type") == "image_url")
    return Call(
        MODERATIONS,
        raw,
        body,
        model,
        Demand(len(raw), images, False, None, 0, 0, 0, prompt_count=max(1, len(parts))),
        provider_of(body) if with_provider else None,
        end_user=end_user_of(body),
        ambiguous=is_ambiguous(raw, body, _DECIDING),
    )


MODERATIONS = Family("moderations", of_body(parse), {Wire.OPENAI: ModerationsOpenai()}, cacheable=True)
