"""Audio to text: POST /v1/audio/transcriptions and /v1/audio/translations. Forms, whose file goes on as it
arrives when the model came before it."""

from sanic.request import Request

from edge.call import Call, invalid_field, model_of, provider_of
from edge.families import Family
from edge.formats.transcripts_openai import TranscriptsOpenai
from edge.uploads.audio_length import most_seconds
from edge.uploads.form import Form
from edge.worst_case import Demand
from tollkeeper.operations import Operation, Wire

# Model tokens of a second of audio, at most: OpenAI's models count ten.
TOKENS_PER_S = 20


async def read_form(form: Form, family: Family, with_provider: bool) -> Call:
    """Reads up to the file where that tells the model, else to its end. Raises INVALID_ARGUMENT."""
    if "model" not in form or form.most_file_bytes is None or (with_provider and "provider" not in form):
        await form.read_to_end()
    await form.look()
    body = form.values("model", "provider", "stream")
    return Call(
        family,
        b"",
        body,
        model_of(body),
        demand(form),
        provider_of(body) if with_provider else None,
        body.get("stream", "").lower() == "true",
    )


def demand(form: Form) -> Demand:
    """The seconds that so many bytes can be at most, and what they can be in model tokens."""
    seconds = most_seconds(form.first_bytes, form.most_file_bytes or 0)
    prompt_bytes = sum(len(value.encode()) for _, value in form.fields)
    return Demand(
        prompt_bytes=prompt_bytes + seconds * TOKENS_PER_S,
        image_count=0,
        beyond_body=False,
        asked_output=None,
        choice_count=1,
        prediction_bytes=0,
        web_searches=0,
        seconds=seconds,
        limitable=False,
    )


def _read(request: Request, with_provider: bool) -> Call:
    raise invalid_field("The body must be a form.", None, "invalid_form")


async def _read_transcription(form: Form, with_provider: bool) -> Call:
    return await read_form(form, TRANSCRIPTIONS, with_provider)


async def _read_translation(form: Form, with_provider: bool) -> Call:
    return await read_form(form, TRANSLATIONS, with_provider)


TRANSCRIPTIONS = Family(
    "transcriptions",
    _read,
    {Wire.OPENAI: TranscriptsOpenai(Operation.TRANSCRIPTIONS)},
    read_form=_read_transcription,
)
TRANSLATIONS = Family(
    "translations",
    _read,
    {Wire.OPENAI: TranscriptsOpenai(Operation.TRANSLATIONS)},
    read_form=_read_translation,
)
