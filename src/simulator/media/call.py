"""One request to a media endpoint, and the answer in plain values."""

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import orjson
from multipart import MultipartError, MultipartParser, parse_options_header

from simulator.bill import Usage
from simulator.errors import STEERING_CODE, VendorError
from simulator.http import JSON, Request
from simulator.steering import Steering, SteeringError, from_model, parse


@dataclass(slots=True)
class MediaCall:
    """What was asked: fields of the JSON body or of the form, and the form's files by name."""

    fields: dict[str, Any]
    files: list[tuple[str, str, bytes]]
    model: str
    steering: Steering

    def text(self, name: str, default: str = "") -> str:
        """A field as text. Raises VendorError for another kind."""
        value = self.fields.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise VendorError(400, f"Invalid type for '{name}'.", param=name, code="invalid_type")
        return value

    def number(self, name: str, default: int, most: int) -> int:
        """A field as a whole number, whether it came as one or as a form's text. Raises VendorError."""
        value = self.fields.get(name)
        if value is None:
            return default
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise VendorError(400, f"Invalid value for '{name}'.", param=name, code="invalid_value")
        return value

    def flag(self, name: str) -> bool:
        """A field that is true, or says so in a form."""
        return self.fields.get(name) in (True, "true")

    def file(self, name: str) -> tuple[str, bytes]:
        """Name and bytes of a file. Raises VendorError where it is missing."""
        for each, filename, data in self.files:
            if each == name:
                return filename, data
        raise VendorError(400, f"Missing file: '{name}'.", param=name, code="missing_required_parameter")


@dataclass(slots=True)
class MediaAnswer:
    """What goes back: one body, or events; and what it costs."""

    body: bytes = b""
    content_type: bytes = JSON
    events: list[bytes] = field(default_factory=list)
    usage: Usage | None = None
    """Billed; None: free."""
    units: dict[str, int] = field(default_factory=dict)
    """Of the bill's row beside model tokens: images, seconds, characters."""


def read_form(request: Request, base: Steering) -> MediaCall:
    """A multipart body. Raises VendorError."""
    kind, options = parse_options_header((request.header(b"content-type") or b"").decode("latin-1"))
    if kind != "multipart/form-data" or "boundary" not in options:
        raise VendorError(400, "Send multipart/form-data.")
    fields: dict[str, Any] = {}
    files: list[tuple[str, str, bytes]] = []
    try:
        parser = MultipartParser(
            BytesIO(request.body), options["boundary"], spool_limit=1 << 30, memory_limit=1 << 31, strict=True
        )
        for part in parser:
            if part.filename is None:
                fields[part.name] = part.value
            else:
                files.append((part.name, part.filename, part.raw))
    except MultipartError as error:
        raise VendorError(400, f"Could not parse multipart form: {error}.") from error
    return _call(request, fields, files, base)


def read_json(request: Request, base: Steering) -> MediaCall:
    """A JSON body. Raises VendorError."""
    try:
        fields = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise VendorError(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(fields, dict):
        raise VendorError(400, "The JSON body must be an object.")
    return _call(request, fields, [], base)


def _call(
    request: Request, fields: dict[str, Any], files: list[tuple[str, str, bytes]], base: Steering
) -> MediaCall:
    model = fields.get("model") or ""
    if not isinstance(model, str):
        raise VendorError(400, "Invalid type for 'model'.", param="model", code="invalid_type")
    try:
        if "+" in model:
            model, base = from_model(model, base)
        header = request.header(b"x-sim")
        if header is not None:
            base = parse(header.decode("latin-1"), base)
    except SteeringError as error:
        raise VendorError(400, str(error), code=STEERING_CODE) from error
    return MediaCall(fields, files, model, base)


def event(name: str, fields: dict[str, Any]) -> bytes:
    """One server-sent event as OpenAI's newer endpoints write it."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name} | fields))
