"""The header lines of one attempt."""

from edge.call import Call
from edge.candidates import Candidate
from edge.records import Open
from edge.upstream.gateway_lines import cache_key
from edge.upstream.transport import EncodedHeaders
from edge.upstream.upload import Upload


def request_headers(
    candidate: Candidate,
    call: Call,
    opened: Open,
    body: bytes | Upload,
    cache_secret: bytes,
    extra_lines: bytes,
) -> EncodedHeaders:
    """What the endpoint wants, what Cloudflare is told, the attempt's event id (L13), and `extra_lines`."""
    endpoint = candidate.route.endpoint
    return EncodedHeaders(
        b"%b%b%b%b\r\ncontent-type: %b\r\n%b"
        % (
            endpoint.headers,
            _gateway_lines(candidate, call, opened.grant.customer_id, body, cache_secret),
            endpoint.event_id_header,
            opened.event_id.encode(),
            candidate.route.format.content_type(call),
            extra_lines,
        )
    )


def _gateway_lines(
    candidate: Candidate, call: Call, customer_id: str, body: bytes | Upload, cache_secret: bytes
) -> bytes:
    endpoint = candidate.route.endpoint
    through = endpoint.through
    if through is None:
        return b""
    if not call.labels and not call.cache_ttl_s:
        return through.plain
    key = b""
    if call.cache_ttl_s and isinstance(body, bytes):
        provider_id = candidate.route.rule.provider_id
        key = cache_key(cache_secret, customer_id, provider_id, endpoint.target, body)
    return through.special(call.labels, call.cache_ttl_s, key)
