"""The models a key may ask for, as Google's clients read them."""

from typing import Any

from sanic.request import Request

from tollkeeper.operations import GOOGLE_OPERATIONS

_PREFIX = "models/"
_PATHS = "/v1beta/"


def is_googles(request: Request) -> bool:
    """Whether the client is Google's: /v1beta is nobody else's, and /v1 is told by where it shows its key."""
    return request.path.startswith(_PATHS) or "x-goog-api-key" in request.headers


def google_list(data: list[dict[str, Any]]) -> dict[str, Any]:
    """All on one page: those that can be asked for in Google's format."""
    return {"models": [google_model(model) for model in data if _methods(model)]}


def google_model(model: dict[str, Any]) -> dict[str, Any]:
    """One model, with the methods that serve it."""
    name = str(model["id"])
    return {
        "name": _PREFIX + name,
        "baseModelId": name,
        "displayName": name,
        "supportedGenerationMethods": _methods(model),
    }


def _methods(model: dict[str, Any]) -> list[str]:
    served = GOOGLE_OPERATIONS & set(model["operations"])
    return sorted(operation.partition("?")[0] for operation in served)
