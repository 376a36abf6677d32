"""/openapi.json, and /docs to read it: one page and one script of our own, and nothing from other hosts."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

import orjson

import edge.rest
import tollkeeper.v1
from edge.answer import Answer, header_lines
from edge.rest import system_a, system_b
from edge.rest.calls import Control
from edge.rest.contract import bindings
from edge.rest.exchange import Exchange, Handler, answer
from edge.rest.openapi import Document

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_LINES = header_lines(((b"content-security-policy", _POLICY), (b"referrer-policy", b"no-referrer")))
_STATIC = {
    "/docs": ("docs.html", b"text/html; charset=utf-8"),
    "/docs/docs.js": ("docs.js", b"text/javascript; charset=utf-8"),
    "/docs/docs.css": ("docs.css", b"text/css; charset=utf-8"),
}
# Methods that need no credential (the control plane's table of roles decides; this only tells).
OPEN_METHODS = frozenset({"tollkeeper.v1.SessionsService.CreateSession"})


def all_pages(control: Control) -> dict[str, Handler]:
    """By path."""

    @cache
    def document() -> bytes:
        # Made when it is first asked for.
        return _document(control)

    async def openapi(exchange: Exchange) -> Answer:
        return exchange.answer(document())

    return {"/openapi.json": openapi, **{path: _page(*file) for path, file in _STATIC.items()}}


def _page(name: str, media_type: bytes) -> Handler:
    async def page(exchange: Exchange) -> Answer:
        return answer(200, media_type, exchange.lines + _PAGE_LINES, _file(name))

    return page


@cache
def _file(name: str) -> bytes:
    return files(edge.rest).joinpath("static", name).read_bytes()


def _document(control: Control) -> bytes:
    comments = orjson.loads(files(tollkeeper.v1).joinpath("comments.json").read_bytes())
    document = Document(comments, _version())
    for binding in bindings():
        document.add_binding(binding, binding.rpc.full_name in OPEN_METHODS)
    document.add_endpoints(
        "System A", "As an AI routing gateway with a dashboard has it.", system_a.endpoints(control)
    )
    document.add_endpoints(
        "System B", "As an AI gateway for many tenants has it.", system_b.endpoints(control)
    )
    return orjson.dumps(document.json())


def _version() -> str:
    try:
        return version("tollkeeper")
    except PackageNotFoundError:  # run from a checkout that isn't installed
        return "0"
