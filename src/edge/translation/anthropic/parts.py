"""Content: OpenAI's text or parts as Anthropic's blocks."""

from typing import Any

from edge.translation import data_urls
from edge.translation.anthropic import VENDOR
from edge.translation.refusals import list_of, malformed, object_of, refuse_others, text_of, unsupported

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
DOCUMENT_TYPE = "application/pdf"
_MARKS = frozenset({"type", "cache_control", "prompt_cache_breakpoint"})
_IMAGE = frozenset({"url", "detail"})
_FILE = frozenset({"file_data", "filename"})
# Anthropic looks at images as closely as it can.
_DETAILS = (None, "auto", "high")

Block = dict[str, Any]


def blocks_of(content: object, where: str, texts_only: bool = False) -> list[Block]:
    """Blocks of a message's content. Empty texts say nothing and are left out: Anthropic refuses them."""
    if type(content) is str:
        return [text_block(content)] if content else []
    blocks: list[Block] = []
    for index, entry in enumerate(list_of(content, where)):
        place = f"{where}[{index}]"
        part = object_of(entry, place)
        block = _block(part, place, texts_only)
        if block is not None:
            blocks += cached([block], part.get("cache_control") or _breakpoint(part, place))
    return blocks


def text_block(text: str) -> Block:
    """A block of text."""
    return {"type": "text", "text": text}


def cached(blocks: list[Block], cache_control: object) -> list[Block]:
    """The blocks, the last of which ends what is cached where `cache_control` says so."""
    if cache_control is not None and blocks:
        blocks[-1] = blocks[-1] | {"cache_control": cache_control}
    return blocks


def _breakpoint(part: dict[str, Any], where: str) -> Block | None:
    """OpenAI's own mark for a prefix that is worth keeping."""
    mark = part.get("prompt_cache_breakpoint")
    if mark is None:
        return None
    if mark != {"mode": "explicit"}:
        raise unsupported(f"{where}.prompt_cache_breakpoint", VENDOR)
    return {"type": "ephemeral"}


def _block(part: dict[str, Any], where: str, texts_only: bool) -> Block | None:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        refuse_others(part, _MARKS | {kind}, f"{where}.", VENDOR)
        text = text_of(part.get(kind), f"{where}.{kind}")
        return text_block(text) if text else None
    if kind in ("image_url", "file") and not texts_only:
        refuse_others(part, _MARKS | {kind}, f"{where}.", VENDOR)
        held = object_of(part.get(kind), f"{where}.{kind}")
        return (_image if kind == "image_url" else _document)(held, f"{where}.{kind}")
    raise unsupported(f"{where}.type", VENDOR)


def _image(image: dict[str, Any], where: str) -> Block:
    refuse_others(image, _IMAGE, f"{where}.", VENDOR)
    detail = image.get("detail")
    if detail not in _DETAILS:
        raise unsupported(f"{where}.detail", VENDOR, "it knows no other detail than high")
    url = text_of(image.get("url"), f"{where}.url")
    if not url.startswith("data:"):
        if not url.startswith(("https://", "http://")):
            raise malformed(f"{where}.url", "must be an http, https or data URL")
        return {"type": "image", "source": {"type": "url", "url": url}}
    media_type, data = data_urls.split(url, f"{where}.url")
    if media_type not in IMAGE_TYPES:
        raise unsupported(f"{where}.url", VENDOR, "it takes JPEG, PNG, GIF and WebP")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _document(file: dict[str, Any], where: str) -> Block:
    refuse_others(file, _FILE, f"{where}.", VENDOR)
    given = text_of(file.get("file_data"), f"{where}.file_data")
    media_type, data = data_urls.split(given, f"{where}.file_data")
    if media_type != DOCUMENT_TYPE:
        raise unsupported(f"{where}.file_data", VENDOR, "it takes PDF")
    block: Block = {
        "type": "document",
        "source": {"type": "base64", "media_type": media_type, "data": data},
    }
    name = file.get("filename")
    if name is not None:
        block["title"] = text_of(name, f"{where}.filename")
    return block
