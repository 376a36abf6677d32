"""Client headers that may go upstream: those a setting or the served family names, and never one that speaks
for the edge."""

from collections.abc import Iterable

import structlog
from sanic.compat import Header

from edge.upstream.transport import InvalidRequest, encode_headers

log = structlog.get_logger()

# Credentials; what belongs to the connection or to the message's framing (RFC 9110 §7.6.1); what proxies say
# about where a request came from.
_NEVER = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "host", "content-length"}
    | {"connection", "transfer-encoding", "keep-alive", "upgrade", "te", "trailer", "expect", "via"}
    | {"content-type", "content-encoding", "accept-encoding", "forwarded", "x-real-ip", "true-client-ip"}
    | {"x-client-request-id", "user-agent"}
)
_NEVER_PREFIXES = ("cf-", "x-forwarded-", "proxy-", "x-tollkeeper-", "sec-")


def may_pass(name: str) -> bool:
    """Whether a header of this lower-case name may be sent on."""
    return name.isascii() and " " not in name and name not in _NEVER and not name.startswith(_NEVER_PREFIXES)


def passed_lines(headers: Header, names: Iterable[str]) -> bytes:
    """The lines of these headers, each with its CR LF. What the client calls the connection's own is left
    out, and so is what can't be a header line."""
    tokens = ",".join(headers.getall("connection", ())).split(",")
    hop_by_hop = {token.strip().lower() for token in tokens}
    lines = b""
    for name in names:
        if name in hop_by_hop:
            continue
        for value in headers.getall(name, ()):
            try:
                lines += encode_headers([(name.encode(), value.encode("utf-8", "surrogateescape"))])
            except InvalidRequest:
                log.warning("header not forwarded", header=name)
    return lines
