"""/openapi.json: what the facade serves, as OpenAPI 3.1, from the same descriptors and declarations."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from edge.rest.contract import Binding, FieldBehavior, behaviors
from edge.rest.endpoint import Endpoint, Schema, object_of
from edge.rest.paths import Template

FD = FieldDescriptor
_ERRORS = {
    "400": "The request can't be used; the text names the field.",
    "401": "No credential, an unknown one, or one that has ended.",
    "403": "The caller's role doesn't allow it.",
    "404": "It doesn't exist, or not for this caller.",
    "409": "It exists already, is in use, or was changed since it was read.",
    "413": "The body is too large.",
    "429": "Too many attempts; `retry-after` says when to come back.",
    "500": "Something unexpected; the log has it.",
    "503": "The control plane can't be reached; `retry-after` says when to come back.",
    "504": "Not done in time.",
}
_INT64: Schema = {"type": "string", "format": "int64", "pattern": r"^-?\d{1,19}$"}
_UINT64: Schema = {"type": "string", "format": "uint64", "pattern": r"^\d{1,20}$"}
_INT32: Schema = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
_UINT32: Schema = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
_SCALARS: dict[int, Schema] = {
    **dict.fromkeys((FD.TYPE_INT64, FD.TYPE_SINT64, FD.TYPE_SFIXED64), _INT64),
    **dict.fromkeys((FD.TYPE_UINT64, FD.TYPE_FIXED64), _UINT64),
    **dict.fromkeys((FD.TYPE_INT32, FD.TYPE_SINT32, FD.TYPE_SFIXED32), _INT32),
    **dict.fromkeys((FD.TYPE_UINT32, FD.TYPE_FIXED32), _UINT32),
    FD.TYPE_DOUBLE: {"type": "number"},
    FD.TYPE_FLOAT: {"type": "number"},
    FD.TYPE_BOOL: {"type": "boolean"},
    FD.TYPE_STRING: {"type": "string"},
    FD.TYPE_BYTES: {"type": "string", "format": "byte"},
}
_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Any": {"type": "object"},
    "google.protobuf.StringValue": {"type": ["string", "null"]},
    "google.protobuf.BoolValue": {"type": ["boolean", "null"]},
    "google.protobuf.Int32Value": {"type": ["integer", "null"]},
    "google.protobuf.Int64Value": {"type": ["string", "null"]},
    "google.protobuf.DoubleValue": {"type": ["number", "null"]},
}
# What is never a parameter: too deep for a query.
_MOST_PARAMETER_PARTS = 2


class Document:
    """Collects paths, and the schemas of all messages that they name."""

    def __init__(self, comments: Mapping[str, str], version: str) -> None:
        """`comments` of the contract by full name."""
        self._comments = comments
        self._version = version
        self._paths: dict[str, dict[str, Any]] = {}
        self._schemas: dict[str, Schema] = {
            "Error": {
                **object_of(error={"type": "string"}),
                "properties": {"error": {"type": "string"}, "reason": {"type": "string"}},
            }
        }
        self._tags: dict[str, str] = {}

    def json(self) -> dict[str, Any]:
        """The whole document."""
        responses = {
            status: {
                "description": text,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }
            for status, text in _ERRORS.items()
        }
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Tollkeeper",
                "version": self._version,
                "description": "Management over HTTP. Amounts ending in `_nanousd` are nano-dollars "
                "(1e-9 USD); 64-bit integers are strings.",
            },
            "tags": [{"name": name, "description": text} for name, text in self._tags.items()],
            "security": [{"bearer": []}],
            "paths": self._paths,
            "components": {
                "schemas": dict(sorted(self._schemas.items())),
                "responses": responses,
                "securitySchemes": {
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "The secret of a session, or an API token.",
                    }
                },
            },
        }

    # ---- the contract's own routes

    def add_binding(self, binding: Binding, open_to_all: bool) -> None:
        """One way to call one RPC."""
        service = binding.rpc.containing_service
        self._tags.setdefault(service.name, self._comments.get(service.full_name, ""))
        number = f"_{binding.number}" if binding.number else ""
        text = self._comments.get(binding.rpc.full_name, "")
        operation: dict[str, Any] = {
            "operationId": f"{service.name}_{binding.rpc.name}{number}",
            "tags": [service.name],
            "summary": text.partition(".")[0] or binding.rpc.name,
            "description": text,
            "parameters": [*self._path_parameters(binding), *self._query_parameters(binding)],
            "responses": {"200": self._answer(binding), **_error_refs()},
        }
        body = binding.body_message
        if body is not None:
            partial = binding.method == "PATCH"
            bound = {name.rpartition(".")[2] for name in binding.path_fields}
            schema = self._message(body, "changes" if partial else "request", bound)
            operation["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": schema}},
            }
        if open_to_all:
            operation["security"] = []
        self._paths.setdefault(_plain_path(binding.template), {})[binding.method.lower()] = operation

    def _answer(self, binding: Binding) -> dict[str, Any]:
        output = binding.rpc.output_type
        if binding.answer:
            kinds = sorted({*binding.media_types.values()}) or ["text/plain"]
            text: Schema = {"type": "string"}
            return {"description": "OK", "content": {kind: {"schema": text} for kind in kinds}}
        media_type, schema = "application/json", self._message(output, "answer")
        if binding.rpc.server_streaming:
            media_type = "application/x-ndjson"
            schema = {"type": "string", "description": "One object a line.", "x-line": schema}
        return {"description": "OK", "content": {media_type: {"schema": schema}}}

    def _path_parameters(self, binding: Binding) -> list[dict[str, Any]]:
        return [
            {
                "name": _parameter_name(name),
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "description": self._comments.get(_field_at(binding.rpc.input_type, name).full_name, ""),
            }
            for name in binding.path_fields
        ]

    def _query_parameters(self, binding: Binding) -> list[dict[str, Any]]:
        if binding.body == "*":
            return []
        taken = {*binding.path_fields, binding.body}
        return [
            self._query_parameter(name, field)
            for name, field in _flat(binding.rpc.input_type, ())
            if name not in taken and name.split(".")[0] != binding.body
        ]

    def _query_parameter(self, name: str, field: FieldDescriptor) -> dict[str, Any]:
        required = FieldBehavior.REQUIRED in behaviors(field) and "." not in name
        return {
            "name": name,
            "in": "query",
            "required": required,
            "schema": self._field(field, "request"),
            "description": self._comments.get(field.full_name, ""),
        }

    # ---- schemas of messages

    def _message(
        self, message: Descriptor, use: str, without: frozenset[str] | set[str] = frozenset()
    ) -> Schema:
        """A reference to a message's schema as a request's body, as changes to it (nothing is required), or
        in answers. `without` are fields that the path has already: their body is told inline."""
        known = _WELL_KNOWN.get(message.full_name)
        if known is not None:
            return known
        if without & set(message.fields_by_name):
            return self._object(message, use, frozenset(without))
        name = message.full_name.removeprefix("tollkeeper.v1.") + {"answer": ""}.get(use, f".{use}")
        if name not in self._schemas:
            self._schemas[name] = {}
            self._schemas[name] = self._object(message, use, frozenset())
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, message: Descriptor, use: str, without: frozenset[str]) -> Schema:
        properties: dict[str, Schema] = {}
        needed: list[str] = []
        for field in message.fields:
            marks = behaviors(field)
            output_only, input_only = FieldBehavior.OUTPUT_ONLY in marks, FieldBehavior.INPUT_ONLY in marks
            if field.name in without or (input_only if use == "answer" else output_only):
                continue
            schema = self._field(field, "request" if use == "changes" else use)
            text = self._comments.get(field.full_name)
            properties[field.name] = {**schema, "description": text} if text else schema
            present = not field.has_presence if use == "answer" else FieldBehavior.REQUIRED in marks
            if present and use != "changes":
                needed.append(field.name)
        made: Schema = {"type": "object", "properties": properties}
        if use != "answer":
            made["additionalProperties"] = False
        if needed:
            made["required"] = needed
        text = self._comments.get(message.full_name)
        return {**made, "description": text} if text else made

    def _field(self, field: FieldDescriptor, use: str) -> Schema:
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            return {
                "type": "object",
                "additionalProperties": self._single(inner.fields_by_name["value"], use),
            }
        single = self._single(field, use)
        return {"type": "array", "items": single} if field.is_repeated else single

    def _single(self, field: FieldDescriptor, use: str) -> Schema:
        if field.message_type is not None:
            return self._message(field.message_type, use)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        return _SCALARS[field.type]

    def _enum(self, enum: EnumDescriptor) -> Schema:
        name = enum.full_name.removeprefix("tollkeeper.v1.")
        if name not in self._schemas:
            texts = [
                f"`{value.name}`: {self._comments[f'{enum.full_name}.{value.name}']}"
                for value in enum.values
                if f"{enum.full_name}.{value.name}" in self._comments
            ]
            made: Schema = {"type": "string", "enum": [value.name for value in enum.values]}
            self._schemas[name] = {**made, "description": "\n".join(texts)} if texts else made
        return {"$ref": f"#/components/schemas/{name}"}

    # ---- declared routes

    def add_endpoints(self, tag: str, text: str, endpoints: Iterable[Endpoint]) -> None:
        """The routes of system A or B."""
        self._tags[tag] = text
        for endpoint in endpoints:
            parameters = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
                for name in Template.parse(endpoint.path).variables
            ]
            parameters += [
                {"name": name, "in": "query", "required": False, "schema": schema}
                for name, schema in endpoint.parameters.items()
            ]
            operation: dict[str, Any] = {
                "operationId": _operation_id(endpoint),
                "tags": [tag],
                "summary": endpoint.summary,
                "parameters": parameters,
                "responses": {
                    str(endpoint.status): {
                        "description": "OK",
                        "content": {"application/json": {"schema": endpoint.answer}},
                    },
                    **_error_refs(),
                },
            }
            if endpoint.fields:
                content = {"application/json": {"schema": _body(endpoint)}}
                operation["requestBody"] = {"required": True, "content": content}
            if not endpoint.signed_in:
                operation["security"] = []
            self._paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation


def _body(endpoint: Endpoint) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {
            name: {**field.kind.schema, "type": [field.kind.schema["type"], "null"]}
            if not field.required and "enum" not in field.kind.schema
            else field.kind.schema
            for name, field in endpoint.fields.items()
        },
        "additionalProperties": False,
    }
    needed = [name for name, field in endpoint.fields.items() if field.required]
    return {**schema, "required": needed} if needed else schema


def _operation_id(endpoint: Endpoint) -> str:
    words = endpoint.path.replace("{", "").replace("}", "").replace("-", "_").strip("/").split("/")
    return "_".join((endpoint.method.lower(), *words))


def _error_refs() -> dict[str, Any]:
    return {status: {"$ref": f"#/components/responses/{status}"} for status in _ERRORS}


def _plain_path(template: str) -> str:
    """OpenAPI's names of variables may hold no dots for some tools: the last part says enough."""
    for name in Template.parse(template).variables:
        template = template.replace(f"{{{name}}}", f"{{{_parameter_name(name)}}}")
    return template


def _parameter_name(name: str) -> str:
    return name.rpartition(".")[2]


def _field_at(message: Descriptor, name: str) -> FieldDescriptor:
    first, *rest = name.split(".")
    field = message.fields_by_name[first]
    return _field_at(field.message_type, ".".join(rest)) if rest and field.message_type else field


def _flat(message: Descriptor, parents: tuple[str, ...]) -> Iterable[tuple[str, FieldDescriptor]]:
    """Fields that can be parameters of a query, nested ones by dotted names."""
    for field in message.fields:
        path = (*parents, field.name)
        inner = field.message_type
        if behaviors(field) & {FieldBehavior.OUTPUT_ONLY, FieldBehavior.INPUT_ONLY}:
            continue
        if inner is None or inner.full_name in _WELL_KNOWN:
            yield ".".join(path), field
        elif not field.is_repeated and len(path) < _MOST_PARAMETER_PARTS:
            yield from _flat(inner, path)
