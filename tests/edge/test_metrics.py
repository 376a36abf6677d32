"""Metrics are added up in memory and written now and then: nothing may be lost or moved on the way."""

from prometheus_client import REGISTRY

from edge import metrics

ROUTE = "a route of this test"
NAME = "tollkeeper_edge_request_seconds"


def sample(suffix: str, **labels: str) -> float | None:
    """One sample of the histogram of this test's route."""
    return REGISTRY.get_sample_value(NAME + suffix, {"route": ROUTE, "stream": "false", **labels})


def test_observations_reach_their_buckets() -> None:
    """A value on a bound counts there, one above all bounds in the last bucket; the sum is that of all."""
    for seconds in (0.0005, 0.001, 0.002, 0.002, 1000.0):
        metrics.request_ended(ROUTE, "openai", 200, False, seconds)
    metrics.flush()
    buckets = {bound: sample("_bucket", le=bound) for bound in ("0.001", "0.0025", "300.0", "+Inf")}
    assert buckets == {"0.001": 2, "0.0025": 4, "300.0": 4, "+Inf": 5}
    assert sample("_count") == 5
    assert sample("_sum") == 0.0005 + 0.001 + 0.002 + 0.002 + 1000.0


def test_a_flush_writes_once() -> None:
    """What was written isn't written again by the next flush."""
    counted = {"route": "counted", "provider": "openai", "status": "200"}
    metrics.request_ended("counted", "openai", 200, True, 0.1)
    for _ in range(2):
        metrics.flush()
        assert REGISTRY.get_sample_value("tollkeeper_edge_requests_total", counted) == 1
