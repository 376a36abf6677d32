"""The fields that a Gemini request may have. Google refuses every other one, under whichever name; in this
table names are in camel case, and each may be written in snake case as well."""

import re
from typing import Any

from simulator.errors import VendorError

_UPPER = re.compile(r"[A-Z]")
_ANY = None
"""Whatever is below isn't looked into."""
_PART = {
    "text": _ANY,
    "inlineData": {"mimeType": _ANY, "data": _ANY},
    "fileData": {"mimeType": _ANY, "fileUri": _ANY},
    "functionCall": {"id": _ANY, "name": _ANY, "args": _ANY},
    "functionResponse": {"id": _ANY, "name": _ANY, "response": _ANY, "parts": _ANY},
    "executableCode": _ANY,
    "codeExecutionResult": _ANY,
    "thought": _ANY,
    "thoughtSignature": _ANY,
}
_CONTENT = {"role": _ANY, "parts": [_PART]}
_THINKING = {"includeThoughts": _ANY, "thinkingBudget": _ANY, "thinkingLevel": _ANY}
_CONFIG = dict.fromkeys(
    (
        "candidateCount",
        "frequencyPenalty",
        "imageConfig",
        "logprobs",
        "maxOutputTokens",
        "mediaResolution",
        "presencePenalty",
        "responseJsonSchema",
        "responseLogprobs",
        "responseMimeType",
        "responseModalities",
        "responseSchema",
        "seed",
        "speechConfig",
        "stopSequences",
        "temperature",
        "topK",
        "topP",
    ),
    _ANY,
) | {"thinkingConfig": _THINKING}
_FUNCTION = dict.fromkeys(
    ("name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema"), _ANY
)
_TOOL = dict.fromkeys(
    ("googleSearch", "codeExecution", "urlContext", "fileSearch", "googleMaps", "computerUse"), _ANY
) | {"functionDeclarations": [_FUNCTION]}
REQUEST: dict[str, Any] = {
    "model": _ANY,
    "contents": [_CONTENT],
    "systemInstruction": _CONTENT,
    "tools": [_TOOL],
    "toolConfig": {
        "functionCallingConfig": {"mode": _ANY, "allowedFunctionNames": _ANY},
        "retrievalConfig": _ANY,
    },
    "safetySettings": [{"category": _ANY, "threshold": _ANY}],
    "generationConfig": _CONFIG,
    "cachedContent": _ANY,
    "serviceTier": _ANY,
    "labels": _ANY,
    "store": _ANY,
}
EMBED_REQUEST: dict[str, Any] = dict.fromkeys(
    ("model", "taskType", "title", "outputDimensionality", "embedContentConfig"), _ANY
) | {"content": _CONTENT}
BATCH_EMBED_REQUEST: dict[str, Any] = {"requests": [EMBED_REQUEST]}
COUNT_REQUEST: dict[str, Any] = {"contents": [_CONTENT], "generateContentRequest": REQUEST}


def read(given: Any, known: Any, place: str = "") -> Any:
    """The value with all its known names in camel case. Raises VendorError for a name that isn't known or is
    given twice, and for a value that is no object or list where one is due."""
    if known is _ANY:
        return given
    if isinstance(known, list):
        # The API takes one object in place of a list of one.
        items = given if isinstance(given, list) else [given]
        return [read(item, known[0], f"{place}[{index}]") for index, item in enumerate(items)]
    if not isinstance(given, dict):
        raise _invalid(f"Invalid value at '{place}': an object is expected.")
    made: dict[str, Any] = {}
    for name, value in given.items():
        camel = _camel(name, known)
        if camel is None or camel in made:
            where = f" at '{place}'" if place else ""
            raise _invalid(f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.')
        if value is not None:
            made[camel] = read(value, known[camel], f"{place}.{camel}" if place else camel)
    return made


def _camel(name: str, known: dict[str, Any]) -> str | None:
    if name in known:
        return name
    for each in known:
        if _UPPER.sub(lambda found: f"_{found[0].lower()}", each) == name:
            return each
    return None


def _invalid(message: str) -> VendorError:
    return VendorError(400, message)
