"""The head of a vendor's answer: what goes on to the client, and what stays here."""

from edge.upstream.response import Response

# What vendors' SDKs read. Never `set-cookie` nor anything about the connection; Cloudflare's own headers are
# read here, not passed; names of accounts (`openai-organization`) stay, since a credential may be shared.
_PASSED = frozenset(
    {b"retry-after", b"retry-after-ms", b"x-should-retry", b"content-language"}
    | {b"x-request-id", b"openai-processing-ms", b"openai-version"}
    | {b"request-id"}  # Anthropic's
)
_PASSED_PREFIXES = (b"x-ratelimit-", b"anthropic-ratelimit-")
# What nearly every answer has and nobody needs: told without a look at prefixes.
_DROPPED = frozenset(
    {b"date", b"server", b"connection", b"content-length", b"transfer-encoding", b"cf-ray", b"vary"}
    | {b"cf-cache-status", b"set-cookie", b"alt-svc", b"strict-transport-security", b"keep-alive"}
    | {b"x-content-type-options", b"cf-aig-event-id", b"cf-aig-model", b"cf-aig-provider", b"cf-aig-step"}
    | {b"openai-organization", b"openai-project", b"via", b"access-control-expose-headers"}
)
_CACHE_WORDS = {b"HIT": b"hit", b"MISS": b"miss"}
DEFAULT_MEDIA_TYPE = b"application/octet-stream"


class Head:
    """Read once per answer. `lines` are header lines, each with its CR LF."""

    __slots__ = ("cache", "cf_log_id", "encoding", "lines", "media_type")

    def __init__(self, response: Response) -> None:
        self.media_type = DEFAULT_MEDIA_TYPE
        self.cache = b"none"
        self.cf_log_id = b""
        self.encoding = b""
        lines = b""
        for name, value in response.headers:
            if name in _DROPPED:
                continue
            if name in _PASSED or name.startswith(_PASSED_PREFIXES):
                lines += b"%b: %b\r\n" % (name, value)
            elif name == b"content-type":
                self.media_type = value
            elif name == b"cf-aig-cache-status":
                self.cache = _CACHE_WORDS.get(value, b"none")
            elif name == b"cf-aig-log-id":
                self.cf_log_id = value
            elif name == b"content-encoding" and value.lower() != b"identity":
                self.encoding = value
                lines += b"%b: %b\r\n" % (name, value)
        self.lines = lines

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is a stream of events."""
        return self.media_type.startswith(b"text/event-stream")

    def decoded_lines(self) -> bytes:
        """The header lines without the content encoding, for a body that was decoded here."""
        return self.lines.replace(b"content-encoding: %b\r\n" % self.encoding, b"", 1)
