"""Gemini's own API: generateContent, streamGenerateContent and countTokens of a model."""

from collections.abc import Iterator
from typing import Any

from sanic.request import Request

from edge.call import MAX_CHOICES, MAX_OUTPUT_TOKENS, Call, invalid_field, json_object
from edge.dialects.google import GOOGLE, GOOGLE_ARRAY
from edge.families import Family
from edge.families.content_input import check_place, field, input_of, not_ours, parts_of, target_of
from edge.formats.content_google import (
    COUNTED,
    ContentArrayGoogle,
    ContentGoogle,
    CountTokensGoogle,
)
from edge.worst_case import MAX_WEB_SEARCHES, Demand
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
STREAM = "streamGenerateContent"


def parse(raw: bytes, family: Family, model: str, stream: bool) -> Call:
    """Reads a request for an answer. Raises INVALID_ARGUMENT with the field's name, NOT_FOUND for objects
    that Google keeps and that nobody here made."""
    body = json_object(raw)
    ambiguous = any(raw.count(name) > 1 for name in _DECIDING) or b"\\u00" in raw
    return Call(family, raw, body, model, demand(body, len(raw)), stream=stream, ambiguous=ambiguous)


def demand(body: dict[str, Any], body_bytes: int) -> Demand:
    """What a request may use: as for chat, with Google's names."""
    if field(body, "cachedContent") is not None:
        raise not_ours("cachedContent")
    given = input_of(parts_of(body))
    tools = set(_tools(body))
    config = field(body, "generationConfig")
    config = config if type(config) is dict else {}
    return Demand(
        body_bytes - given.image_bytes,
        given.images,
        given.beyond_body or not tools <= _FREE_TOOLS,
        _count(config, "maxOutputTokens", MAX_OUTPUT_TOKENS),
        _count(config, "candidateCount", MAX_CHOICES) or 1,
        0,
        MAX_WEB_SEARCHES if tools & _SEARCHES else 0,
    )


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


def _count(config: dict[str, Any], name: str, most: int) -> int | None:
    value = field(config, name)
    if value is None or (type(value) is int and 1 <= value <= most):
        return value
    where = f"generationConfig.{name}"
    raise invalid_field(f"'{where}' must be a whole number from 1 to {most}.", where, "invalid_value")


def _read(request: Request, _: bool) -> Call:
    model, method = target_of(request)
    return parse(request.body, GENERATE_CONTENT, model, method == STREAM)


def _read_array(request: Request, _: bool) -> Call:
    return parse(request.body, GENERATE_CONTENT_ARRAY, target_of(request)[0], True)


def _read_count(request: Request, _: bool) -> Call:
    """Counting is free, so nothing is held."""
    body = json_object(request.body)
    inner: object = next((body[name] for name in COUNTED if name in body), {})
    if type(inner) is not dict:
        raise invalid_field(f"'{COUNTED[0]}' must be an object.", COUNTED[0], "invalid_type")
    nothing = Demand(0, 0, False, None, 0, 0, 0)
    for part in (*parts_of(body), *parts_of(inner)):
        kept = field(part, "fileData")
        if kept is not None:
            check_place(kept)
    if field(inner, "cachedContent") is not None:
        raise not_ours("cachedContent")
    return Call(COUNT_CONTENT_TOKENS, request.body, body, target_of(request)[0], nothing)


GENERATE_CONTENT = Family("generate_content", _read, {Wire.GOOGLE: ContentGoogle()}, GOOGLE, cacheable=True)
GENERATE_CONTENT_ARRAY = Family(
    "generate_content_array",
    _read_array,
    {Wire.GOOGLE: ContentArrayGoogle()},
    GOOGLE_ARRAY,
    stream_type=b"application/json; charset=UTF-8",
)
COUNT_CONTENT_TOKENS = Family("count_content_tokens", _read_count, {Wire.GOOGLE: CountTokensGoogle()}, GOOGLE)
