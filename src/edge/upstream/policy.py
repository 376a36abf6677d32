"""What an attempt's end means: whether the next provider is tried, and whether the attempt may have been
billed.

Rule L14 of docs/ledger.md: an attempt is void only when no byte of it was sent or when its answer is known
not to be billed; everything else is an estimate of at most the hold.

| end of the attempt | next provider | money | why |
| --- | --- | --- | --- |
| no connection, nothing sent | yes | void | not_sent |
| 400 401 402 403 404 405 406 409 410 411 413 414 415 417 421 422 424 426 428 431 451 | no | void | refused |
| 429 | yes | void | refused |
| 400 with Cloudflare's code 2005 | yes | estimate | gateway_2005 |
| 500 501 502 503 529 with an error object, a vendor's or Cloudflare's | yes | void | upstream_error |
| 500 502 503 without one; 504, 520 to 524 | yes | estimate | upstream_error, upstream_timeout |
| 408, 499 | yes, no | estimate | upstream_timeout |
| sent, and then no answer, or none in time | yes | estimate | upstream_cut, upstream_timeout |
| 3xx | yes | void | refused |
| other 4xx | no | estimate | unexpected_status |

Vendors bill what they generated; an error object in place of an answer says that nothing was. A bare 5xx is a
proxy's word for an upstream whose fate it doesn't know. 2005 is Cloudflare's word for the same, so it isn't
known to be free.
"""

from dataclasses import dataclass

import orjson

from edge.upstream.failures import FirstByteTimeout, IdleTimeout, TransportError

# Error bodies are small; a larger one is passed on and not looked into.
MAX_ERROR_BYTES = 65_536
_GATEWAY_FAILED = 2005

_REFUSALS = frozenset(
    {
        400,
        401,
        402,
        403,
        404,
        405,
        406,
        409,
        410,
        411,
        413,
        414,
        415,
        417,
        421,
        422,
        424,
        426,
        428,
        429,
        431,
        451,
    }
)
_FREE_WITH_ERROR_OBJECT = frozenset({500, 501, 502, 503, 529})
_FAILOVER_4XX = frozenset({408, 429})
_TIMEOUTS = frozenset({408, 499, 504, 524})


@dataclass(frozen=True, slots=True)
class Verdict:
    """`void`: known not to be billed. `why` is a word of the usage record."""

    failover: bool
    void: bool
    why: str


def judge_status(status: int, body: bytes) -> Verdict:
    """An answer that isn't a success."""
    if _is_gateway_failure(status, body):
        return Verdict(failover=True, void=False, why="gateway_2005")
    failover = status >= 500 or status in _FAILOVER_4XX
    if status < 400:  # a redirect; it isn't followed, since it would carry the credential elsewhere
        return Verdict(failover=True, void=True, why="refused")
    if status in _REFUSALS:
        return Verdict(failover, void=True, why="refused")
    if status in _FREE_WITH_ERROR_OBJECT and _has_error_object(body):
        return Verdict(failover, void=True, why="upstream_error")
    if status in _TIMEOUTS:
        return Verdict(failover, void=False, why="upstream_timeout")
    return Verdict(failover, void=False, why="upstream_error" if status >= 500 else "unexpected_status")


def judge_failure(failure: TransportError) -> Verdict:
    """No answer, or none to its end."""
    if not failure.request_sent:
        return Verdict(failover=True, void=True, why="not_sent")
    late = isinstance(failure, FirstByteTimeout | IdleTimeout)
    return Verdict(failover=True, void=False, why="upstream_timeout" if late else "upstream_cut")


def failure_word(failure: TransportError) -> str:
    """A failure in one word, for attempts listed to clients: never an address or a message of the network."""
    return _FAILURE_WORDS.get(type(failure).__name__, "failed")


_FAILURE_WORDS = {
    "ConnectFailed": "connect_failed",
    "AddressRefused": "address_refused",
    "NotSent": "not_sent",
    "InvalidRequest": "not_sent",
    "SentButNoAnswer": "disconnected",
    "BadAnswer": "bad_answer",
    "FirstByteTimeout": "timeout",
    "IdleTimeout": "timeout",
    "BrokenBody": "disconnected",
    "BodyTooLarge": "too_large",
}


def _error_of(body: bytes) -> object:
    if len(body) > MAX_ERROR_BYTES:
        return None
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _has_error_object(body: bytes) -> bool:
    parsed = _error_of(body)
    return isinstance(parsed, dict) and bool(parsed.get("error"))


def _is_gateway_failure(status: int, body: bytes) -> bool:
    """Cloudflare's 400/2005. `error` may be a list, an object or the vendor's own shape: nothing is taken for
    granted."""
    if status != 400 or b"2005" not in body:
        return False
    parsed = _error_of(body)
    if not isinstance(parsed, dict):
        return False
    if parsed.get("internalCode") == _GATEWAY_FAILED:
        return True
    error = parsed.get("error")
    first = error[0] if isinstance(error, list) and error else error
    return isinstance(first, dict) and first.get("code") == _GATEWAY_FAILED
