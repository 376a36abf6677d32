"""`x-ratelimit-*`, as OpenAI's clients read them: numbers as text, times as Go writes durations."""

from collections.abc import Mapping, Sequence

from edge.rates.bucket import MINUTE_S, Bucket
from edge.rates.durations import go_duration
from edge.rates.limits import REQUESTS, TOKENS

_LINES = b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n"
_PREFIX = b"x-ratelimit-"
_NAMES: dict[int, bytes] = {REQUESTS: b"requests", TOKENS: b"tokens"}
_RESET = go_duration(MINUTE_S).encode()


def with_rates(lines: bytes, buckets: Sequence[Bucket]) -> bytes:
    """The vendor's header lines for a request that was served, with our rates in place of its own: of each
    kind those with the least left. The minute slides, so what the request took comes back in a minute."""
    tightest: dict[int, Bucket] = {}
    for bucket in buckets:
        found = tightest.get(bucket.kind)
        if found is None or bucket.remaining < found.remaining:
            tightest[bucket.kind] = bucket
    own = b""
    for kind, name in _NAMES.items():
        found = tightest.get(kind)
        if found is not None:
            own += _LINES % (name, found.most, name, found.remaining, name, _RESET)
    if own and _PREFIX in lines:
        lines = b"".join(line for line in lines.splitlines(True) if not line.startswith(_PREFIX))
    return lines + own


def refusal_headers(metadata: Mapping[str, str], wait_s: float) -> tuple[tuple[bytes, bytes], ...]:
    """Of a request that was refused: `reset` is when it may fit. Nothing for concurrency, for which OpenAI
    has no such headers."""
    name = metadata.get("rate")
    if name is None:
        return ()
    return (
        (b"x-ratelimit-limit-%b" % name.encode(), metadata["limit"].encode()),
        (b"x-ratelimit-remaining-%b" % name.encode(), metadata["remaining"].encode()),
        (b"x-ratelimit-reset-%b" % name.encode(), go_duration(wait_s).encode()),
    )
