"""Which web pages may call management from a browser (A9). Inference is for servers and has none of this."""

from collections.abc import Iterable, Sequence

from sanic.request import Request

from edge.answer import header_lines

PREFLIGHT_MAX_AGE_S = 600
_HEADERS = b"authorization, content-type"
_EXPOSED = b"retry-after"


class Cors:
    """Answers for the origins of a setting; to all others a browser shows nothing."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def lines(self, request: Request) -> bytes:
        """Header lines of every answer."""
        vary = b"vary: Origin\r\n"
        origin = request.headers.get("origin")
        if origin not in self._origins:
            return vary
        return vary + header_lines(
            (
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", _EXPOSED),
            )
        )

    def preflight_lines(self, request: Request, methods: Iterable[str]) -> bytes:
        """Header lines of the answer to OPTIONS."""
        allowed = ", ".join(methods).encode()
        lines = self.lines(request) + header_lines(((b"allow", allowed),))
        if request.headers.get("origin") not in self._origins:
            return lines
        return lines + header_lines(
            (
                (b"access-control-allow-methods", allowed),
                (b"access-control-allow-headers", _HEADERS),
                (b"access-control-max-age", b"%d" % PREFLIGHT_MAX_AGE_S),
            )
        )
