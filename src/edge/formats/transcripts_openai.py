"""Transcriptions and translations in OpenAI's own format. Plain text and subtitles tell no usage, so that
JSON is asked for in their place, and what the client wants is made of it."""

from math import ceil
from typing import Any

from edge.call import Call
from edge.formats import Changes, Reading, StreamReader
from edge.formats.event_usage import EventUsage
from edge.formats.openai_json import OpenaiJson, model_of
from edge.upstream.cloudflare import Endpoint
from edge.upstream.upload import Upload
from edge.usage import counts
from tollkeeper.cost import UsageCounts
from tollkeeper.operations import Operation

# What must not be said a second time behind the file.
_FIXED = frozenset({"model", "provider"})
_TEXT = b"text/plain; charset=utf-8"
_SUBTITLES = frozenset({"srt", "vtt"})
_MAX_SECONDS = 10_000_000


class TranscriptsOpenai(OpenaiJson):
    """A form goes up, JSON, text or events come down."""

    def __init__(self, operation: Operation) -> None:
        self.served = operation

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> Upload:
        """The client's form written anew, as it arrives or from the disk."""
        form, model = call.form, endpoint.model_prefix + changes.model
        assert form is not None

        def change(name: str, value: str) -> str | None:
            if name == "model":
                return model
            if name == "provider":
                return None if call.provider is not None else value
            if name == "stream":  # it may come behind the file
                call.stream = value.lower() == "true"
            elif name == "response_format":
                return _asked(value, changes.by_units)
            return value

        return form.upload(change, _FIXED)

    def content_type(self, call: Call) -> bytes:
        """The form's."""
        assert call.form is not None
        return call.form.content_type

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Usage, or the duration where that is told instead."""
        if parsed is None:
            return Reading()
        wanted = call.form.text("response_format") if call.form is not None else None
        return Reading(transcript_counts(parsed), model_of(parsed), plain=_written(wanted, parsed))

    def stream(self, call: Call) -> StreamReader:
        """The last event tells the usage."""
        return EventUsage(transcript_counts)


def transcript_counts(told: dict[str, Any]) -> UsageCounts | None:
    """Model tokens or seconds, as the vendor counts. What isn't said to be text is audio: it costs more."""
    usage = told.get("usage")
    read = counts(usage)
    if type(usage) is dict and read is not None:
        details = usage.get("input_token_details") or usage.get("input_tokens_details")
        text = details.get("text_tokens") if type(details) is dict else 0
        text = min(max(text, 0), read.input_tokens) if type(text) is int else 0
        return read._replace(audio_input_tokens=read.input_tokens - text, seconds=_seconds(told) or 0)
    seconds = _seconds(usage) if type(usage) is dict else None
    if seconds is None:
        seconds = _seconds(told)
    return None if seconds is None else UsageCounts(seconds=seconds)


def _seconds(told: dict[str, Any]) -> int | None:
    for name in ("seconds", "duration"):
        value: object = told.get(name)
        if type(value) is str and value.replace(".", "", 1).isdecimal():  # some write it as text
            value = float(value)
        if isinstance(value, int | float) and 0 <= value <= _MAX_SECONDS:
            return ceil(value)
    return None


def _asked(wanted: str, by_units: bool) -> str:
    """The format that tells what is billed."""
    if wanted in _SUBTITLES:
        return "verbose_json"
    if wanted == "text":
        return "verbose_json" if by_units else "json"
    return wanted


def _written(wanted: str | None, parsed: dict[str, Any]) -> tuple[bytes, bytes] | None:
    text, segments = parsed.get("text"), parsed.get("segments")
    if wanted == "text" and type(text) is str:
        return _TEXT, f"{text}\n".encode()
    if wanted not in _SUBTITLES or type(segments) is not list:
        return None
    subtitles = [_subtitle(number, each, wanted) for number, each in enumerate(segments, 1)]
    return _TEXT, (("WEBVTT\n\n" if wanted == "vtt" else "") + "".join(subtitles)).encode()


def _subtitle(number: int, segment: Any, form: str) -> str:
    if type(segment) is not dict:
        return ""
    span = f"{_clock(segment.get('start'))} --> {_clock(segment.get('end'))}"
    text = str(segment.get("text", "")).strip()
    if form == "vtt":
        return f"{span}\n{text}\n\n"
    return f"{number}\n{span.replace('.', ',')}\n{text}\n\n"


def _clock(seconds: object) -> str:
    millis = round(seconds * 1000) if isinstance(seconds, int | float) and 0 <= seconds < 1e7 else 0
    return f"{millis // 3_600_000:02}:{millis // 60_000 % 60:02}:{millis // 1000 % 60:02}.{millis % 1000:03}"
