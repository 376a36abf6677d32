"""Speech, transcription and translation.

A second of audio is 16,000 bytes, whatever the bytes are. `whisper-1` is billed by the second, `tts-1` by the
character, newer models by model tokens.
"""

from base64 import b64encode
from typing import Any

import orjson

from simulator.bill import Usage
from simulator.chat import text
from simulator.errors import VendorError
from simulator.media.call import MediaAnswer, MediaCall, event

BYTES_PER_SECOND = 16_000
AUDIO_TOKENS_PER_SECOND = 10
AUDIO_BYTES_PER_CHARACTER = 64
WORDS = 16
SPEECH_LIMIT = 4096
_TYPES = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/opus",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}
_TEXT = b"text/plain; charset=utf-8"


def speech(call: MediaCall) -> MediaAnswer:
    """Raises VendorError."""
    spoken = call.text("input")
    if not 1 <= len(spoken) <= SPEECH_LIMIT or not call.text("voice"):
        raise VendorError(400, "'input' (1 to 4096 characters) and 'voice' are needed.", param="input")
    form = call.text("response_format", "mp3")
    if form not in _TYPES:
        raise VendorError(400, "Invalid response_format.", param="response_format")
    by_characters = call.model.startswith("tts-1")
    audio = bytes(range(256)) * (len(spoken) * AUDIO_BYTES_PER_CHARACTER // 256 + 1)
    usage = Usage(0, 0) if by_characters else Usage(max(1, len(spoken) // 4), len(spoken))
    units = {"characters": len(spoken)} if by_characters else {}
    if call.text("stream_format", "audio") != "sse":
        return MediaAnswer(audio, _TYPES[form], usage=usage, units=units)
    if by_characters:
        raise VendorError(400, "stream_format sse is not supported by this model.", param="stream_format")
    step = max(1, len(audio) // 4)
    events = [
        event("speech.audio.delta", {"audio": b64encode(audio[at : at + step]).decode()})
        for at in range(0, len(audio), step)
    ]
    told = {} if call.steering.no_usage else {"usage": _tokens(usage)}
    return MediaAnswer(events=[*events, event("speech.audio.done", told)], usage=usage)


def transcription(call: MediaCall, operation: str) -> MediaAnswer:
    """`operation` is transcriptions or translations. Raises VendorError."""
    _, data = call.file("file")
    form = call.text("response_format", "json")
    whisper = call.model.startswith("whisper")
    if operation == "translations" and not whisper:
        raise VendorError(400, "Only whisper-1 translates.", param="model")
    if form not in ({"json", "text", "srt", "vtt", "verbose_json"} if whisper else {"json", "text"}):
        raise VendorError(400, f"response_format '{form}' is not compatible.", param="response_format")
    seconds = len(data) / BYTES_PER_SECOND
    whole = -(-len(data) // BYTES_PER_SECOND)
    heard = text(call.steering, WORDS)
    usage = Usage(0, 0) if whisper else Usage(whole * AUDIO_TOKENS_PER_SECOND, WORDS)
    units = {"seconds": whole} if whisper else {}
    told: dict[str, Any] = {"type": "duration", "seconds": whole} if whisper else _tokens(usage)
    if not whisper:
        details = {"text_tokens": 0, "audio_tokens": usage.prompt}
        told |= {"type": "tokens", "input_token_details": details}
    shown = {} if call.steering.no_usage else {"usage": told}
    if call.flag("stream") and not whisper:
        deltas = [event("transcript.text.delta", {"delta": word}) for word in heard.split(" ")]
        done = event("transcript.text.done", {"text": heard} | shown)
        return MediaAnswer(events=[*deltas, done], usage=usage)
    body, kind = _written(form, heard, seconds, shown)
    return MediaAnswer(body, kind, usage=usage, units=units)


def _written(form: str, heard: str, seconds: float, shown: dict[str, Any]) -> tuple[bytes, bytes]:
    end = f"{int(seconds // 3600):02}:{int(seconds // 60) % 60:02}:{seconds % 60:06.3f}"
    if form == "text":
        return f"{heard}\n".encode(), _TEXT
    if form == "srt":
        return f"1\n00:00:00,000 --> {end.replace('.', ',')}\n{heard}\n\n\n".encode(), _TEXT
    if form == "vtt":
        return f"WEBVTT\n\n00:00:00.000 --> {end}\n{heard}\n\n".encode(), _TEXT
    body: dict[str, Any] = {"text": heard} | shown
    if form == "verbose_json":
        segment = {"id": 0, "start": 0.0, "end": seconds, "text": f" {heard}"}
        body |= {"task": "transcribe", "language": "english", "duration": seconds, "segments": [segment]}
    return orjson.dumps(body), b"application/json"


def _tokens(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt,
        "output_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
    }
