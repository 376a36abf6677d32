"""What is given to a Gemini model, in either case of Google's names: how much it may be, and whether it is
the customer's to give."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from sanic.request import Request

from edge.call import MAX_MODEL_CHARS, invalid_field
from tollkeeper.errors import Reason, TollkeeperError


class ContentInput(NamedTuple):
    """What is given to the model."""

    images: int
    image_bytes: int
    beyond_body: bool


def input_of(parts: Iterable[dict[str, Any]]) -> ContentInput:
    images = image_bytes = 0
    beyond_body = False
    for part in parts:
        inline = field(part, "inlineData")
        if type(inline) is dict:
            kind, data = field(inline, "mimeType"), inline.get("data")
            if type(kind) is str and kind.lower().startswith("image/"):
                images += 1
                image_bytes += len(data) if type(data) is str and data.isascii() else 0
            elif type(kind) is not str or not kind.lower().startswith("audio/"):
                # A page or a second of film costs the same, however well it is packed.
                beyond_body = True
        kept = field(part, "fileData")
        if kept is not None:
            check_place(kept)
            beyond_body = True
    return ContentInput(images, image_bytes, beyond_body)


def field(holder: dict[str, Any], name: str) -> Any:
    """A field by its name in camel or snake case; None where it isn't there. Raises INVALID_ARGUMENT when it
    is there twice."""
    snake = _snake(name)
    if snake != name and snake in holder:
        if name in holder:
            raise invalid_field(f"'{name}' is there as '{snake}' too.", name, "invalid_value")
        return holder[snake]
    return holder.get(name)


@lru_cache(64)
def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def parts_of(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All parts, those within results of functions included."""
    contents = field(body, "contents")
    turns = [*(contents if type(contents) is list else [contents]), field(body, "systemInstruction")]
    turns.append(body.get("content"))  # what is to be embedded
    waiting = [turn.get("parts") for turn in turns if type(turn) is dict]
    while waiting:
        parts = waiting.pop()
        for part in parts if type(parts) is list else [parts]:
            if type(part) is dict:
                yield part
                result = field(part, "functionResponse")
                if type(result) is dict:
                    waiting.append(result.get("parts"))


def check_place(kept: object) -> None:
    """Files at Google belong to whoever uploaded them with the same credential: others' and unknown ones look
    alike."""
    uri = field(kept, "fileUri") if type(kept) is dict else None
    parts = urlsplit(uri) if type(uri) is str else None
    host = parts.hostname or "" if parts is not None else ""
    if not host or parts is None or parts.scheme != "https" or host.endswith("googleapis.com"):
        raise not_ours("fileData.fileUri")


def not_ours(name: str) -> TollkeeperError:
    return TollkeeperError(Reason.NOT_FOUND, f"'{name}' names nothing of yours.", {"param": name})


def target_of(request: Request) -> tuple[str, str]:
    """Model and method of a path. Raises INVALID_ARGUMENT."""
    model, _, method = unquote(str(request.match_info["name"])).rpartition(":")
    if len(model) > MAX_MODEL_CHARS:
        message = f"A model's name has at most {MAX_MODEL_CHARS} characters."
        raise invalid_field(message, "model", "invalid_value")
    return model, method
