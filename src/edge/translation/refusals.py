"""What can't be carried is refused with the field's name, never dropped."""

from collections.abc import Mapping
from typing import Any

from tollkeeper.errors import Reason, TollkeeperError


def unsupported(param: str, vendor: str, why: str = "") -> TollkeeperError:
    """A field, or a value of one, that the vendor's format has no place for."""
    message = f"'{param}' can't be carried to {vendor}" + (f": {why}." if why else ".")
    return TollkeeperError(
        Reason.INVALID_ARGUMENT, message, {"param": param, "code": "unsupported_parameter"}
    )


def malformed(param: str, why: str) -> TollkeeperError:
    """A field that OpenAI's format doesn't allow in this form, so nobody knows what it means."""
    return TollkeeperError(
        Reason.INVALID_ARGUMENT, f"'{param}' {why}.", {"param": param, "code": "invalid_value"}
    )


def refuse_others(given: Mapping[str, Any], known: frozenset[str], where: str, vendor: str) -> None:
    """Refuses each field that isn't known; null is the same as absent. `where` is a path such as
    `messages[0].`, or empty."""
    for name in given.keys() - known:
        if given[name] is not None:
            raise unsupported(where + name, vendor)


def text_of(value: object, param: str) -> str:
    """A text, or a refusal."""
    if type(value) is not str:
        raise malformed(param, "must be a text")
    return value


def object_of(value: object, param: str) -> dict[str, Any]:
    """A JSON object, or a refusal."""
    if type(value) is not dict:
        raise malformed(param, "must be an object")
    return value


def list_of(value: object, param: str) -> list[Any]:
    """A JSON array, or a refusal."""
    if type(value) is not list:
        raise malformed(param, "must be an array")
    return value
