"""OpenAI's embeddings as Gemini's batchEmbedContents, and its answer back."""

from array import array
from base64 import b64encode
from collections.abc import Mapping
from sys import byteorder
from typing import Any

from edge.translation.google import VENDOR
from edge.translation.google.usage import usage_counts
from edge.translation.refusals import list_of, malformed, refuse_others, unsupported
from tollkeeper.cost import UsageCounts

# `user` stays at the gateway, as of chat; `encoding_format` is done here.
_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "user"})
_FORMATS = (None, "float", "base64")


def batch_request(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """A request for each text. Raises INVALID_ARGUMENT with the name of what can't be carried."""
    refuse_others(body, _KNOWN, "", VENDOR)
    if body.get("encoding_format") not in _FORMATS:
        raise unsupported("encoding_format", VENDOR, "it is float or base64")
    given = body["input"]
    same: dict[str, Any] = {"model": f"models/{model}"}
    if body.get("dimensions") is not None:
        same["outputDimensionality"] = body["dimensions"]
    texts = [given] if type(given) is str else list_of(given, "input")
    for text in texts:
        if type(text) is not str:
            raise unsupported("input", VENDOR, "it takes texts, not model tokens")
    return {"requests": [same | {"content": {"parts": [{"text": text}]}} for text in texts]}


def embedding_list(
    answer: Mapping[str, Any], model: str, encoding_format: object
) -> tuple[dict[str, Any], UsageCounts | None]:
    """OpenAI's list with its usage, as far as Gemini reports it. Raises INVALID_ARGUMENT for what is no
    answer."""
    usage = usage_counts(answer.get("usageMetadata"))
    vectors = [_vector(each) for each in list_of(answer.get("embeddings"), "embeddings")]
    packed = encoding_format == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
        for index, vector in enumerate(vectors)
    ]
    used = 0 if usage is None else usage.input_tokens
    told = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "data": data, "model": model, "usage": told}, usage


def _vector(embedding: object) -> list[float]:
    values = embedding.get("values") if type(embedding) is dict else None
    if type(values) is not list or any(type(value) not in (int, float) for value in values):
        raise malformed("embeddings", "must hold vectors")
    return values


def _packed(vector: list[float]) -> str:
    """Little-endian numbers of 32 bits, as OpenAI's SDKs read them."""
    numbers = array("f", vector)
    if byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()
