"""A JSON schema in the part of the language that Gemini reads.

Nothing is lost for the model: what has an equal is said that way, and what has none is told in the
description of the place it belongs to.
"""

from typing import Any

from edge.translation import exact_json
from edge.translation.refusals import list_of, malformed, object_of

# Of the reference of `responseJsonSchema`, but for those that hold schemas.
_KEPT = frozenset(
    {
        "$anchor",
        "$id",
        "description",
        "enum",
        "format",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "propertyOrdering",
        "required",
        "title",
        "type",
    }
)
_ONE = frozenset({"additionalProperties", "items"})
_MANY = frozenset({"anyOf", "oneOf", "prefixItems"})
_NAMED = frozenset({"$defs", "definitions", "properties"})
# About the schema itself, not about what it describes.
_NOTES = frozenset({"$comment", "$schema"})
_OLD_REF, _REF = "#/definitions/", "#/$defs/"
MAX_DEPTH = 100


def json_schema(schema: object, where: str, depth: int = 0) -> dict[str, Any]:
    """The schema, rewritten where it must be. `where` is its place in the request.

    Raises INVALID_ARGUMENT for what is no schema, or one that is nested too deeply.
    """
    if schema is True:
        return {}
    if depth > MAX_DEPTH:
        raise malformed(where, f"is nested more than {MAX_DEPTH} deep")
    given = object_of(schema, where)
    made: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for name, value in given.items():
        if name in _KEPT:
            made[name] = value
        elif name in _ONE:
            made[name] = value if type(value) is bool else json_schema(value, f"{where}.{name}", depth + 1)
        elif name in _MANY:
            made[name] = _each(value, f"{where}.{name}", depth)
        elif name in _NAMED:
            made["$defs" if name == "definitions" else name] = _by_name(value, f"{where}.{name}", depth)
        elif name == "$ref":
            made[name] = _reference(value)
        elif name == "const":
            made["enum"] = [value]
        elif name not in _NOTES:
            told[name] = value
    if told:
        _tell(made, told)
    return _alone(made) if "$ref" in made else made


def _each(value: object, where: str, depth: int) -> list[dict[str, Any]]:
    schemas = list_of(value, where)
    return [json_schema(each, f"{where}[{index}]", depth + 1) for index, each in enumerate(schemas)]


def _by_name(value: object, where: str, depth: int) -> dict[str, Any]:
    schemas = object_of(value, where)
    return {name: json_schema(each, f"{where}.{name}", depth + 1) for name, each in schemas.items()}


def _reference(value: object) -> object:
    return _REF + value[len(_OLD_REF) :] if type(value) is str and value.startswith(_OLD_REF) else value


def _tell(made: dict[str, Any], told: dict[str, Any]) -> None:
    """Adds to the description what Gemini has no keyword for, as JSON schema says it."""
    words = exact_json.dumps(told).decode()
    description = made.get("description")
    made["description"] = f"{description}\n{words}" if type(description) is str and description else words


def _alone(made: dict[str, Any]) -> dict[str, Any]:
    """Beside a `$ref` Gemini takes nothing but other names with a dollar."""
    beside = {name for name in made if not name.startswith("$")}
    if not beside:
        return made
    reference = made.pop("$ref")
    if "anyOf" in made:
        _tell(made, {"anyOf": made.pop("anyOf")})
    return made | {"anyOf": [{"$ref": reference}]}
