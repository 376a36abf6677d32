"""Passthrough: any method at /v1/passthrough/{provider}/{path}, for paths that the provider lets through and
that have a price by the request. Nothing of request or answer is read."""

from urllib.parse import unquote

from sanic.request import Request

from edge.call import Call, invalid_field
from edge.families import Family
from edge.formats.passthrough import Passthrough
from edge.worst_case import NOTHING
from tollkeeper.operations import Wire
from tollkeeper.passthrough import is_passthrough_path

MAX_QUERY_CHARS = 2048
_FORMAT = Passthrough()


def parse(request: Request, with_provider: bool) -> Call:
    """Reads a request's line; its model is what the provider's list calls the path. Raises
    INVALID_ARGUMENT."""
    path = str(request.match_info["path"])
    if not is_passthrough_path(path):
        message = "The path to pass through has letters, digits and -._~:@/, and no empty or dotted segment."
        raise invalid_field(message, "path", "invalid_value")
    query = request.query_string
    if len(query) > MAX_QUERY_CHARS or not query.isascii():
        raise invalid_field("The query string is too long.", None, "invalid_value")
    call = Call(PASSTHROUGH, b"", {}, path, NOTHING, unquote(request.match_info["provider"]))
    call.method, call.path, call.query = request.method, path, query
    call.media_type = str(request.headers.get("content-type", ""))
    return call


PASSTHROUGH = Family(
    "passthrough",
    parse,
    {Wire.OPENAI: _FORMAT, Wire.ANTHROPIC: _FORMAT, Wire.GOOGLE: _FORMAT},
    passes=True,
    relays_body=True,
)
