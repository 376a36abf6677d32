"""Images: POST /v1/images/generations (JSON), /v1/images/edits and /v1/images/variations (forms)."""

from typing import Any

from edge.call import (
    Call,
    check_count,
    flag_of,
    invalid_field,
    is_ambiguous,
    json_object,
    model_of,
    provider_of,
    quoted,
)
from edge.families import Family, of_body
from edge.formats.images_openai import ImagesOpenai
from edge.labels import end_user_of
from edge.uploads.form import Form
from edge.worst_case import Demand
from tollkeeper.operations import Operation, Wire

MAX_IMAGES = 10
# Of one image made: GPT image models need 6,240 for the largest at the highest quality, with 100 for each of
# up to three partial ones (OpenAI's image guide, 2025); newer models make larger ones.
OUTPUT_TOKENS = 16_384
_DECIDING = quoted("model", "n", "size", "quality", "stream")


def parse(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a body. Raises INVALID_ARGUMENT, with the field's name as `param`."""
    body = json_object(raw)
    model = model_of(body)
    check_count(body, "n", MAX_IMAGES)
    return Call(
        IMAGES,
        raw,
        body,
        model,
        demand(body.get("n") or 1, len(raw), 0),
        provider_of(body) if with_provider else None,
        flag_of(body, "stream"),
        end_user=end_user_of(body),
        ambiguous=is_ambiguous(raw, body, _DECIDING),
    )


def demand(made: int, prompt_bytes: int, given: int) -> Demand:
    """What making so many images may use; `given` are those in the request."""
    return Demand(
        prompt_bytes=prompt_bytes,
        image_count=given,
        beyond_body=False,
        asked_output=OUTPUT_TOKENS,
        choice_count=made,
        prediction_bytes=0,
        web_searches=0,
        images=made,
        limitable=False,
    )


async def read_form(form: Form, family: Family, with_provider: bool) -> Call:
    """Reads a form to its end: number, size and quality may follow the images, and decide what they cost."""
    await form.read_to_end()
    body: dict[str, Any] = form.values("model", "n", "size", "quality", "stream", "user", "provider")
    if "n" in body:
        if not body["n"].isdecimal():
            raise invalid_field(f"'n' must be a whole number from 1 to {MAX_IMAGES}.", "n", "invalid_type")
        body["n"] = int(body["n"])
        check_count(body, "n", MAX_IMAGES)
    prompt_bytes = sum(len(value.encode()) for _, value in form.fields)
    return Call(
        family,
        b"",
        body,
        model_of(body),
        demand(body.get("n", 1), prompt_bytes, len(form.files)),
        provider_of(body) if with_provider else None,
        body.get("stream", "").lower() == "true",
        end_user=end_user_of(body),
    )


async def _read_edit(form: Form, with_provider: bool) -> Call:
    return await read_form(form, IMAGE_EDITS, with_provider)


async def _read_variation(form: Form, with_provider: bool) -> Call:
    return await read_form(form, IMAGE_VARIATIONS, with_provider)


IMAGES = Family("images", of_body(parse), {Wire.OPENAI: ImagesOpenai(Operation.IMAGES)})
IMAGE_EDITS = Family(
    "image_edits", of_body(parse), {Wire.OPENAI: ImagesOpenai(Operation.IMAGE_EDITS)}, read_form=_read_edit
)
IMAGE_VARIATIONS = Family(
    "image_variations",
    of_body(parse),
    {Wire.OPENAI: ImagesOpenai(Operation.IMAGE_VARIATIONS)},
    read_form=_read_variation,
)
