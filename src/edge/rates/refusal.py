"""Refusals for rates and concurrency, in OpenAI's words."""

from edge import metrics
from edge.rates.bucket import Bucket
from edge.rates.durations import go_duration
from edge.rates.limits import CONCURRENT, REQUESTS, TOKENS, Limit, MeterKey
from tollkeeper.errors import Reason, TollkeeperError

# The error's type, and the words of its message.
_UNITS: dict[int, tuple[str, str]] = {
    REQUESTS: ("requests", "requests per min (RPM)"),
    TOKENS: ("tokens", "tokens per min (TPM)"),
    CONCURRENT: ("requests", "requests at once"),
}
# As metrics and headers name them.
_RATES: dict[int, str] = {REQUESTS: "requests", TOKENS: "tokens"}
# SDKs disagree about longer waits.
LONGEST_WAIT_S = 60.0
LEAST_WAIT_S = 0.05


def refusal(bucket: Bucket, amount: int, model: str, now_s: float) -> TollkeeperError:
    """What a request gets that doesn't fit now."""
    wait_s = min(LONGEST_WAIT_S, max(LEAST_WAIT_S, bucket.retry_at_s - now_s))
    remaining = min(bucket.remaining, max(0, amount - 1))
    type_, unit = _UNITS[bucket.key.kind]
    message = (
        f"Rate limit reached for {model} in {_owner(bucket.key)} on {unit}: Limit {bucket.most}, "
        f"Used {bucket.most - remaining}, Requested {amount}. Please try again in {go_duration(wait_s)}."
    )
    metadata = _metadata(bucket.key, bucket.most, amount, type_)
    metadata["remaining"] = str(remaining)
    _count(bucket.key)
    return TollkeeperError(Reason.RATE_LIMIT_EXCEEDED, message, metadata, retry_after_s=wait_s)


def too_large(limit: Limit, amount: int, model: str) -> TollkeeperError:
    """What a request gets that no wait will help: it is more than the limit by itself."""
    type_, unit = _UNITS[limit.key.kind]
    message = (
        f"Request too large for {model} in {_owner(limit.key)} on {unit}: Limit {limit.most}, Requested "
        f"{amount}. The input or the output limit must be reduced in order to run successfully."
    )
    _count(limit.key)
    return TollkeeperError(
        Reason.REQUEST_EXCEEDS_RATE_LIMIT, message, _metadata(limit.key, limit.most, amount, type_)
    )


def _count(key: MeterKey) -> None:
    metrics.rate_limited(key.scope, _RATES.get(key.kind, "concurrent"))


def _owner(key: MeterKey) -> str:
    return f"{key.scope} {key.scope_id}" + (f" for models {key.model}" if key.model else "")


def _metadata(key: MeterKey, limit: int, requested: int, type_: str) -> dict[str, str]:
    metadata = {
        "scope": key.scope,
        "scope_id": key.scope_id,
        "limit": str(limit),
        "requested": str(requested),
        "type": type_,
    }
    if key.kind in _RATES:
        metadata["rate"] = _RATES[key.kind]
    return metadata
