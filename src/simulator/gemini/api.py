"""The methods of a Gemini model."""

from dataclasses import replace
from urllib.parse import parse_qs, unquote

import orjson

from simulator.chat import Answer, decide
from simulator.errors import VendorError
from simulator.gemini.answers import ARRAY, SSE
from simulator.gemini.embeddings import METHODS as EMBEDDINGS
from simulator.gemini.embeddings import embedded
from simulator.gemini.request import count_tokens, read_call
from simulator.http import Request
from simulator.shapes import Shape
from simulator.steering import Steering

_MODELS = ("gemini-3-pro", "gemini-2.5-flash")
METHODS = ("generateContent", "streamGenerateContent", "countTokens", *EMBEDDINGS)


def shape(request: Request) -> Shape:
    """Events where they are asked for, else one array; they differ in streams only."""
    return SSE if _query(request).get("alt") == ["sse"] else ARRAY


def answer(request: Request, model: str, method: str, base: Steering) -> tuple[Answer, Shape]:
    """Reads and decides a request for an answer. Raises VendorError."""
    if method in EMBEDDINGS:
        return embedded(request, model, method, base)
    stream = method == "streamGenerateContent"
    header = request.header(b"x-sim")
    decided = decide(read_call(unquote(model), request.body, header, base, stream=stream))
    # Gemini bills no writing to its cache, and no answer to a prompt that it refuses.
    usage = replace(decided.usage, cache_write=0, cache_write_1h=0)
    usage = usage.so_far(0) if decided.call.steering.blocked else usage
    return replace(decided, usage=usage), shape(request)


def counted(request: Request, model: str, base: Steering) -> bytes:
    """The answer of countTokens. Raises VendorError."""
    tokens = count_tokens(unquote(model), request.body, request.header(b"x-sim"), base)
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    return orjson.dumps({"totalTokens": tokens, "promptTokensDetails": details})


def models() -> bytes:
    """A short list of models."""
    listed = [
        {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": list(METHODS)}
        for name in _MODELS
    ]
    return orjson.dumps({"models": listed})


def check_key(request: Request) -> None:
    """Any key will do but those that say of themselves that they don't. Raises VendorError."""
    header = (request.header(b"x-goog-api-key") or b"").decode("latin-1")
    if any(key.startswith("sk-invalid") for key in (header, *_query(request).get("key", []))):
        raise VendorError(400, "API key not valid. Please pass a valid API key.", code="invalid_api_key")


def _query(request: Request) -> dict[str, list[str]]:
    return parse_qs(request.target.partition(b"?")[2].decode("latin-1"))
