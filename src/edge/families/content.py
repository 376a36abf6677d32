"""Gemini's own API: generateContent, streamGenerateContent and countTokens of a model, below /v1beta and
/v1."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from sanic.request import Request

from edge.call import MAX_CHOICES, MAX_MODEL_CHARS, MAX_OUTPUT_TOKENS, Call, invalid_field, json_object
from edge.dialects.google import GOOGLE, GOOGLE_ARRAY
from edge.families import Family
from edge.formats.content_google import COUNTED, ContentArrayGoogle, ContentGoogle, CountTokensGoogle
from edge.worst_case import MAX_WEB_SEARCHES, Demand
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.operations import Wire

# Names that decide what is billed, in both cases that Google reads.
_DECIDING = (
    b'"generationConfig"',
    b'"generation_config"',
    b'"maxOutputTokens"',
    b'"max_output_tokens"',
    b'"candidateCount"',
    b'"candidate_count"',
    b'"tools"',
)
_SEARCHES = frozenset({"googleSearch", "googleSearchRetrieval"})
# What they read is billed as input, and nothing else.
_READERS = frozenset({"codeExecution", "urlContext"})
_FREE_TOOLS = frozenset({"functionDeclarations", "computerUse"})
_TOOLS = _SEARCHES | _READERS | _FREE_TOOLS
_STREAM = "streamGenerateContent"


def family_of(request: Request) -> Family:
    """What a path asks for; a stream comes in one of two forms. Raises ENDPOINT_NOT_SUPPORTED."""
    method = _target(request)[1]
    if method == "generateContent":
        return GENERATE_CONTENT
    if method == _STREAM:
        return GENERATE_CONTENT if request.args.get("alt") == "sse" else GENERATE_CONTENT_ARRAY
    if method == "countTokens":
        return COUNT_CONTENT_TOKENS
    message = f"{method or request.path} is not served by this gateway; generateContent is."
    raise TollkeeperError(Reason.ENDPOINT_NOT_SUPPORTED, message)


def parse(raw: bytes, family: Family, model: str, stream: bool) -> Call:
    """Reads a request for an answer. Raises INVALID_ARGUMENT with the field's name, NOT_FOUND for objects
    that Google keeps and that nobody here made."""
    body = json_object(raw)
    ambiguous = any(raw.count(name) > 1 for name in _DECIDING) or b"\\u00" in raw
    return Call(family, raw, body, model, demand(body, len(raw)), stream=stream, ambiguous=ambiguous)


def demand(body: dict[str, Any], body_bytes: int) -> Demand:
    """What a request may use: as for chat, with Google's names."""
    if field(body, "cachedContent") is not None:
        raise _not_ours("cachedContent")
    images = image_bytes = 0
    beyond_body = False
    for part in _parts(body):
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
            _check_place(kept)
            beyond_body = True
    tools = set(_tools(body))
    config = field(body, "generationConfig")
    config = config if type(config) is dict else {}
    return Demand(
        body_bytes - image_bytes,
        images,
        beyond_body or not tools <= _FREE_TOOLS,
        _count(config, "maxOutputTokens", MAX_OUTPUT_TOKENS),
        _count(config, "candidateCount", MAX_CHOICES) or 1,
        0,
        MAX_WEB_SEARCHES if tools & _SEARCHES else 0,
    )


def field(holder: dict[str, Any], name: str) -> Any:
    """A field by its name in camel or snake case; None where it isn't there. Raises INVALID_ARGUMENT when it
    is there twice."""
    snake = "".join(f"_{char.lower()}" if char.isupper() else char for char in name)
    if snake != name and snake in holder:
        if name in holder:
            raise invalid_field(f"'{name}' is there as '{snake}' too.", name, "invalid_value")
        return holder[snake]
    return holder.get(name)


def _parts(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All parts, those within results of functions included."""
    contents = field(body, "contents")
    turns = [*(contents if type(contents) is list else [contents]), field(body, "systemInstruction")]
    waiting = [turn.get("parts") for turn in turns if type(turn) is dict]
    while waiting:
        parts = waiting.pop()
        for part in parts if type(parts) is list else [parts]:
            if type(part) is dict:
                yield part
                result = field(part, "functionResponse")
                if type(result) is dict:
                    waiting.append(result.get("parts"))


def _tools(body: dict[str, Any]) -> Iterator[str]:
    """The kinds of tools. Raises INVALID_ARGUMENT for one that nobody could bill, or that reads what others
    keep at Google."""
    given = body.get("tools")
    for tool in given if type(given) is list else [given]:
        for name in tool if type(tool) is dict else ():
            known = next((each for each in _TOOLS if field({name: 1}, each)), None)
            if known is None:
                message = f"'tools[].{name}' has no price here, so it can't be used."
                raise invalid_field(message, f"tools[].{name}", "unsupported_parameter")
            yield known


def _check_place(kept: object) -> None:
    """Files at Google belong to whoever uploaded them with the same credential: others' and unknown ones look
    alike."""
    uri = field(kept, "fileUri") if type(kept) is dict else None
    parts = urlsplit(uri) if type(uri) is str else None
    host = parts.hostname or "" if parts is not None else ""
    if not host or parts is None or parts.scheme != "https" or host.endswith("googleapis.com"):
        raise _not_ours("fileData.fileUri")


def _not_ours(name: str) -> TollkeeperError:
    return TollkeeperError(Reason.NOT_FOUND, f"'{name}' names nothing of yours.", {"param": name})


def _count(config: dict[str, Any], name: str, most: int) -> int | None:
    value = field(config, name)
    if value is None or (type(value) is int and 1 <= value <= most):
        return value
    where = f"generationConfig.{name}"
    raise invalid_field(f"'{where}' must be a whole number from 1 to {most}.", where, "invalid_value")


def _target(request: Request) -> tuple[str, str]:
    """Model and method of a path. Raises INVALID_ARGUMENT."""
    model, _, method = unquote(str(request.match_info["name"])).rpartition(":")
    if len(model) > MAX_MODEL_CHARS:
        message = f"A model's name has at most {MAX_MODEL_CHARS} characters."
        raise invalid_field(message, "model", "invalid_value")
    return model, method


def _read(request: Request, _: bool) -> Call:
    model, method = _target(request)
    return parse(request.body, GENERATE_CONTENT, model, method == _STREAM)


def _read_array(request: Request, _: bool) -> Call:
    return parse(request.body, GENERATE_CONTENT_ARRAY, _target(request)[0], True)


def _read_count(request: Request, _: bool) -> Call:
    """Counting is free, so nothing is held."""
    body = json_object(request.body)
    inner: object = next((body[name] for name in COUNTED if name in body), {})
    if type(inner) is not dict:
        raise invalid_field(f"'{COUNTED[0]}' must be an object.", COUNTED[0], "invalid_type")
    nothing = Demand(0, 0, False, None, 0, 0, 0)
    for part in (*_parts(body), *_parts(inner)):
        kept = field(part, "fileData")
        if kept is not None:
            _check_place(kept)
    if field(inner, "cachedContent") is not None:
        raise _not_ours("cachedContent")
    return Call(COUNT_CONTENT_TOKENS, request.body, body, _target(request)[0], nothing)


GENERATE_CONTENT = Family("generate_content", _read, {Wire.GOOGLE: ContentGoogle()}, GOOGLE, cacheable=True)
GENERATE_CONTENT_ARRAY = Family(
    "generate_content_array",
    _read_array,
    {Wire.GOOGLE: ContentArrayGoogle()},
    GOOGLE_ARRAY,
    stream_type=b"application/json; charset=UTF-8",
)
COUNT_CONTENT_TOKENS = Family("count_content_tokens", _read_count, {Wire.GOOGLE: CountTokensGoogle()}, GOOGLE)
