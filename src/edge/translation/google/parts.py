"""The parts of a message: text, and images, audio and files that travel inside it."""

from typing import Any

from edge.translation import data_urls
from edge.translation.google import VENDOR
from edge.translation.refusals import list_of, malformed, object_of, refuse_others, text_of, unsupported

# Hints to a cache, which Gemini keeps by itself.
_HINTS = frozenset({"prompt_cache_breakpoint", "cache_control"})
_TEXT = _HINTS | {"type", "text"}
_IMAGE = _HINTS | {"type", "image_url"}
_IMAGE_URL = frozenset({"url", "detail"})
_AUDIO = _HINTS | {"type", "input_audio"}
_AUDIO_DATA = frozenset({"data", "format"})
_FILE = _HINTS | {"type", "file"}
_FILE_DATA = frozenset({"file_data", "filename"})
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mp3"}


def text_parts(content: object, where: str, *other_kinds: str) -> list[dict[str, Any]]:
    """Content that is text only. `other_kinds` hold text under their own name, as a refusal does."""
    if content is None:
        return []
    if type(content) is str:
        return [{"text": content}]
    return [_text(part, f"{where}[{i}]", other_kinds) for i, part in enumerate(list_of(content, where))]


def user_parts(content: object, where: str) -> list[dict[str, Any]]:
    """Content of a user's message; at least one part."""
    if type(content) is str:
        return [{"text": content}]
    parts = [_part(part, f"{where}[{index}]") for index, part in enumerate(list_of(content, where))]
    if not parts:
        raise malformed(where, "must not be empty")
    return parts


def _text(part: object, where: str, other_kinds: tuple[str, ...] = ()) -> dict[str, Any]:
    given = object_of(part, where)
    kind = given.get("type")
    if kind in other_kinds:
        refuse_others(given, frozenset({"type", kind}), f"{where}.", VENDOR)
        return {"text": text_of(given.get(kind), f"{where}.{kind}")}
    if kind != "text":
        raise unsupported(f"{where}.type", VENDOR)
    refuse_others(given, _TEXT, f"{where}.", VENDOR)
    return {"text": text_of(given.get("text"), f"{where}.text")}


def _part(part: object, where: str) -> dict[str, Any]:
    given = object_of(part, where)
    kind = given.get("type")
    made = _PARTS.get(kind) if type(kind) is str else None
    return made(given, where) if made is not None else _text(given, where)


def _image(part: dict[str, Any], where: str) -> dict[str, Any]:
    refuse_others(part, _IMAGE, f"{where}.", VENDOR)
    where = f"{where}.image_url"
    image = object_of(part.get("image_url"), where)
    refuse_others(image, _IMAGE_URL, f"{where}.", VENDOR)
    url = text_of(image.get("url"), f"{where}.url")
    if not url[:5].lower() == "data:":
        raise unsupported(f"{where}.url", VENDOR, "it takes images only inline, as data URLs")
    return _inline(*data_urls.split(url, f"{where}.url"))


def _audio(part: dict[str, Any], where: str) -> dict[str, Any]:
    refuse_others(part, _AUDIO, f"{where}.", VENDOR)
    where = f"{where}.input_audio"
    audio = object_of(part.get("input_audio"), where)
    refuse_others(audio, _AUDIO_DATA, f"{where}.", VENDOR)
    kind = audio.get("format")
    if type(kind) is not str or kind not in _AUDIO_TYPES:
        raise unsupported(f"{where}.format", VENDOR)
    return _inline(_AUDIO_TYPES[kind], text_of(audio.get("data"), f"{where}.data"))


def _file(part: dict[str, Any], where: str) -> dict[str, Any]:
    refuse_others(part, _FILE, f"{where}.", VENDOR)
    where = f"{where}.file"
    file = object_of(part.get("file"), where)
    refuse_others(file, _FILE_DATA, f"{where}.", VENDOR)
    return _inline(*data_urls.split(text_of(file.get("file_data"), f"{where}.file_data"), where))


def _inline(mime_type: str, data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime_type, "data": data}}


_PARTS = {"image_url": _image, "input_audio": _audio, "file": _file}
