"""Every metric of the edge, its labels and buckets (docs/metrics.md).

With several workers prometheus_client keeps each value in a file that all of them can read: any worker
answers for all. That mode is chosen by PROMETHEUS_MULTIPROC_DIR when prometheus_client is first imported, so
the parent process sets it. Children of labelled metrics are looked up once and kept. What every request
counts is added up here and written now and then (`flush`): a write to such a file costs more than all the
additions of a request.
"""

import os
from bisect import bisect_left
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from tollkeeper.cost import UsageCounts

MULTIPROC_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_PUSH_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# Label values come from our own tables and price book; the caches only need to be larger than those.
_CHILDREN = 4096

_requests = Counter(
    "tollkeeper_edge_requests_total",
    "Requests answered, by route, provider type (empty: none) and status (499: the client hung up).",
    ("route", "provider", "status"),
)
_request_seconds = Histogram(
    "tollkeeper_edge_request_seconds",
    "Seconds from a request's last byte to the end of its answer.",
    ("route", "stream"),
    buckets=_SECONDS,
)
_first_byte_seconds = Histogram(
    "tollkeeper_edge_upstream_first_byte_seconds",
    "Seconds from sending an attempt to the head of its answer.",
    ("provider",),
    buckets=_SECONDS,
)
_attempts = Counter(
    "tollkeeper_edge_attempts_total",
    "Attempts ended, by provider type and outcome: ok, or why it was given up.",
    ("provider", "outcome"),
)
_tokens = Counter(
    "tollkeeper_edge_tokens_total",
    "Model tokens that vendors reported, by provider type, model and kind; cached ones are within input, "
    "reasoning within output.",
    ("provider", "model", "kind"),
)
_cost = Counter(
    "tollkeeper_edge_cost_nanousd_total",
    "Cost of finished requests in nano-dollars, by provider type and model.",
    ("provider", "model"),
)
_rate_limited = Counter(
    "tollkeeper_edge_rate_limited_total",
    "Requests refused for a rate or a concurrency limit.",
    ("scope", "kind"),
)
_refusals = Counter("tollkeeper_edge_refusals_total", "Requests refused, by reason.", ("reason",))
_refusals_not_logged = Counter(
    "tollkeeper_edge_refusals_not_logged_total",
    "Refused requests that are missing in the request log: too many, or the control plane was away.",
)
_estimated = Counter(
    "tollkeeper_edge_estimated_total", "Attempts whose cost is an estimate, by what happened.", ("why",)
)
_estimate_ratio = Histogram(
    "tollkeeper_edge_estimate_ratio",
    "Estimated over reported model tokens of every 64th answer that had its usage, by provider type and part "
    "(prompt, output).",
    ("provider", "part"),
    buckets=(0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2, 4),
)
_withheld = Counter(
    "tollkeeper_edge_sse_events_withheld_total", "Usage events kept from clients that didn't ask for them."
)
_kept_objects = Counter(
    "tollkeeper_edge_kept_objects_total",
    "Ids of objects kept by vendors that were looked up: known, found, missing, refused.",
    ("outcome",),
)
_followed = Counter(
    "tollkeeper_edge_followed_total",
    "Looks for the end of unfinished objects: reported, unfinished, or why it won't be known.",
    ("outcome",),
)
_clamped = Counter(
    "tollkeeper_edge_clamped_total", "Requests whose output limit was lowered to what their budget covers."
)
_hangups = Counter(
    "tollkeeper_edge_hangups_total", "Clients that hung up, by what became of the upstream answer.", ("then",)
)
_connections_cut = Counter(
    "tollkeeper_edge_client_connections_cut_total",
    "Clients' connections ended for what they took: head, body or read (too slow), full (too many).",
    ("why",),
)
_retries = Counter(
    "tollkeeper_edge_retries_total",
    "Failed attempts whose router retries, by provider type and what became of it: made, no_budget, too_long "
    "(the provider asked for a longer wait, or the request has no time for it).",
    ("provider", "outcome"),
)
_passed_over = Counter(
    "tollkeeper_edge_passed_over_total",
    "Rules that weren't tried because their provider kept failing, by provider type.",
    ("provider",),
)
_breaker_changes = Counter(
    "tollkeeper_edge_breaker_changes_total",
    "Circuit breakers that changed their state, by the new one.",
    ("state",),
)
_breakers = Gauge(
    "tollkeeper_edge_breakers",
    "Circuit breakers that aren't closed, by state.",
    ("state",),
    multiprocess_mode="livesum",
)
_heartbeats = Counter(
    "tollkeeper_edge_heartbeats_total", "Signs of life sent into streams that had been silent."
)
_streams = Gauge("tollkeeper_edge_streams", "Streams being served now.", multiprocess_mode="livesum")
_in_flight = Gauge(
    "tollkeeper_edge_requests_in_flight", "Requests being served now.", multiprocess_mode="livesum"
)
_drains = Gauge(
    "tollkeeper_edge_hangup_drains",
    "Upstream answers being read to their usage after the client hung up.",
    multiprocess_mode="livesum",
)
_connections = Gauge(
    "tollkeeper_edge_upstream_connections",
    "Connections to upstreams, by state.",
    ("state",),
    multiprocess_mode="livesum",
)
_spool_bytes = Gauge(
    "tollkeeper_edge_upload_spool_bytes",
    "Uploads that wait on disk until the fields behind them are read.",
    multiprocess_mode="livesum",
)
_ledger = Gauge(
    "tollkeeper_edge_ledger",
    "The ledger side of all workers, summed: what each name means is in docs/metrics.md.",
    ("name",),
    multiprocess_mode="livesum",
)
_revocation_seconds = Histogram(
    "tollkeeper_edge_push_seconds",
    "Seconds from a change of a customer (a revoked key, a new rule) to its arrival at a worker.",
    buckets=_PUSH_SECONDS,
)
_worker_restarts = Counter("tollkeeper_edge_worker_restarts_total", "Workers started again after they died.")


_pending: defaultdict[Counter, int] = defaultdict(int)
_observed: dict[Histogram, list[float]] = {}


def _observe(histogram: Histogram, seconds: float) -> None:
    observed = _observed.get(histogram)
    if observed is None:
        observed = _observed[histogram] = []
    observed.append(seconds)


def flush() -> None:
    """Writes what was added up; at least twice a second, and before this process is scraped."""
    pending = list(_pending.items())
    _pending.clear()
    for counter, amount in pending:
        counter.inc(amount)
    observed = list(_observed.items())
    _observed.clear()
    for histogram, seconds in observed:
        _write(histogram, seconds)


def _write(histogram: Histogram, seconds: list[float]) -> None:
    """What the histogram's `observe` does for one value, done for many."""
    histogram._sum.inc(sum(seconds))
    bounds = histogram._upper_bounds
    for bucket, count in Counts(bisect_left(bounds, each) for each in seconds).items():
        histogram._buckets[bucket].inc(count)


@lru_cache(_CHILDREN)
def _attempts_of(provider: str, outcome: str) -> Counter:
    return _attempts.labels(provider, outcome)


@lru_cache(_CHILDREN)
def _requests_of(route: str, provider: str, status: int) -> Counter:
    return _requests.labels(route, provider, str(status))


@lru_cache(_CHILDREN)
def _seconds_of(route: str, stream: bool) -> Histogram:
    return _request_seconds.labels(route, "true" if stream else "false")


@lru_cache(_CHILDREN)
def _first_byte_of(provider: str) -> Histogram:
    return _first_byte_seconds.labels(provider)


@lru_cache(_CHILDREN)
def _tokens_of(provider: str, model: str, kind: str) -> Counter:
    return _tokens.labels(provider, model, kind)


@lru_cache(_CHILDREN)
def _cost_of(provider: str, model: str) -> Counter:
    return _cost.labels(provider, model)


def request_ended(route: str, provider: str, status: int, stream: bool, seconds: float) -> None:
    """One request, whatever became of it."""
    _pending[_requests_of(route, provider, status)] += 1
    _observe(_seconds_of(route, stream), seconds)


def attempt_ended(provider: str, outcome: str) -> None:
    """One attempt; `outcome` is `ok` or a word of edge.upstream.policy."""
    _pending[_attempts_of(provider, outcome)] += 1


def first_byte(provider: str, seconds: float) -> None:
    """The head of an answer came."""
    _observe(_first_byte_of(provider), seconds)


def billed(provider: str, model: str, usage: UsageCounts | None, cost_nanousd: int) -> None:
    """What one attempt cost, and the usage if the vendor reported it."""
    _pending[_cost_of(provider, model)] += cost_nanousd
    if usage is None:
        return
    _pending[_tokens_of(provider, model, "input")] += usage.input_tokens
    _pending[_tokens_of(provider, model, "output")] += usage.output_tokens
    if usage.cached_input_tokens:
        _pending[_tokens_of(provider, model, "cached_input")] += usage.cached_input_tokens
    if usage.reasoning_tokens:
        _pending[_tokens_of(provider, model, "reasoning")] += usage.reasoning_tokens


def estimated(why: str) -> None:
    """Nobody could know what an attempt cost."""
    _estimated.labels(why).inc()


def estimate_compared(provider: str, part: str, ratio: float) -> None:
    """What an estimate would have been, over what the vendor reported."""
    _estimate_ratio.labels(provider, part).observe(ratio)


def refused(reason: str) -> None:
    """A request was refused before anything was sent."""
    _refusals.labels(reason).inc()


def rate_limited(scope: str, kind: str) -> None:
    """A limit of a key, user, team or customer refused a request: requests, tokens, concurrent."""
    _rate_limited.labels(scope, kind).inc()


def refusals_not_logged(count: int) -> None:
    """Refused requests that the request log won't hear of."""
    _refusals_not_logged.inc(count)


def retried(provider: str, outcome: str) -> None:
    """Whether a failed attempt was made again."""
    _retries.labels(provider, outcome).inc()


def passed_over(provider: str) -> None:
    """A rule wasn't tried, for the health of its provider."""
    _passed_over.labels(provider).inc()


def breaker_changed(state: str) -> None:
    """A circuit breaker has a new state."""
    _breaker_changes.labels(state).inc()


def withheld(count: int) -> None:
    """Usage events that clients didn't get."""
    _withheld.inc(count)


def kept_objects_found(outcome: str, count: int) -> None:
    """Ids of kept objects were looked up."""
    if count:
        _kept_objects.labels(outcome).inc(count)


def followed(outcome: str) -> None:
    """The end of an unfinished object was looked for."""
    _followed.labels(outcome).inc()


def clamped() -> None:
    """An output limit was lowered."""
    _clamped.inc()


def hung_up(then: str) -> None:
    """A client is gone; `then` is drained or cancelled."""
    _hangups.labels(then).inc()


def heartbeat() -> None:
    """A sign of life went into a silent stream."""
    _heartbeats.inc()


def connection_cut(why: str) -> None:
    """A client's connection was ended: `head`, `body`, `read` or `full`."""
    _connections_cut.labels(why).inc()


def push_arrived(seconds: float) -> None:
    """How old a pushed change was when it came."""
    _revocation_seconds.observe(max(0.0, seconds))


def worker_restarted() -> None:
    """Counted by the parent."""
    _worker_restarts.inc()


def spooled(total_bytes: int) -> None:
    """Bytes of uploads on disk now."""
    _spool_bytes.set(total_bytes)


def set_gauges(
    in_flight: int,
    streams: int,
    drains: int,
    connections: Mapping[str, int],
    breakers: Mapping[str, int],
    ledger: Mapping[str, float],
) -> None:
    """What has a value at every moment; each worker sets its own now and then, and writes what it added
    up."""
    flush()
    _in_flight.set(in_flight)
    _streams.set(streams)
    _drains.set(drains)
    for state, count in connections.items():
        _connections.labels(state).set(count)
    for state, count in breakers.items():
        _breakers.labels(state).set(count)
    for name, value in ledger.items():
        _ledger.labels(name).set(value)


def exposition() -> bytes:
    """The text that Prometheus scrapes: of all workers where they share a directory, else of this process."""
    flush()
    if MULTIPROC_VARIABLE not in os.environ:
        return bytes(generate_latest(REGISTRY))
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return bytes(generate_latest(registry))


def forget_process(path: Path, pid: int) -> None:
    """Drops a dead worker's gauges; what it counted stays."""
    mark_process_dead(pid, str(path))  # type: ignore[no-untyped-call]
