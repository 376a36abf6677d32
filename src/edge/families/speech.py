"""Speech: POST /v1/audio/speech. The answer is audio, relayed as it comes."""

from sanic.request import Request

from edge.call import Call, invalid_field, is_ambiguous, json_object, model_of, provider_of, quoted
from edge.families import Family
from edge.formats.speech_openai import SpeechOpenai
from edge.labels import end_user_of
from edge.worst_case import Demand
from tollkeeper.operations import Wire

# Model tokens of audio for one character, at most: slow speech has ten characters a second, of some twenty
# tokens, and may be asked to be four times as slow.
OUTPUT_TOKENS_PER_CHARACTER = 8
_MEDIA_TYPES = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/opus",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}
_DECIDING = quoted("model", "input", "stream_format", "instructions")


def parse(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a body. Raises INVALID_ARGUMENT, with the field's name as `param`."""
    body = json_object(raw)
    model = model_of(body)
    spoken = body.get("input")
    if type(spoken) is not str or not spoken:
        raise invalid_field("'input' must be a text.", "input", "missing_required_parameter")
    wants_events = body.get("stream_format") == "sse"
    media_type = _MEDIA_TYPES.get(str(body.get("response_format") or "mp3"), b"application/octet-stream")
    return Call(
        SPEECH,
        raw,
        body,
        model,
        Demand(
            prompt_bytes=len(raw),
            image_count=0,
            beyond_body=False,
            asked_output=len(spoken) * OUTPUT_TOKENS_PER_CHARACTER,
            choice_count=1,
            prediction_bytes=0,
            web_searches=0,
            characters=len(spoken),
            limitable=False,
        ),
        provider_of(body) if with_provider else None,
        wants_events,
        end_user=end_user_of(body),
        ambiguous=is_ambiguous(raw, body, _DECIDING),
        unwraps=b"" if wants_events else media_type,
    )


def _read(request: Request, with_provider: bool) -> Call:
    return parse(request.body, with_provider)


SPEECH = Family("speech", _read, {Wire.OPENAI: SpeechOpenai()}, relays_body=True)
