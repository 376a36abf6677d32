"""Every metric of the control plane, its labels and buckets. Names and meanings: docs/metrics.md."""

from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LOOK_DELAY_SECONDS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21_600, 86_400)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Metrics:
    """The metrics of one replica, in a registry of its own, so that two replicas can live in one process."""

    def __init__(self) -> None:
        registry = CollectorRegistry(auto_describe=True)
        self.registry = registry

        self.build_info = Gauge(
            "tollkeeper_control_build_info",
            "Always 1; the label has the version.",
            ["version"],
            registry=registry,
        )
        self.build_info.labels(_version()).set(1)
        self.rpcs = Counter(
            "tollkeeper_control_rpcs", "Finished RPCs.", ["method", "code"], registry=registry
        )
        self.rpc_seconds = Histogram(
            "tollkeeper_control_rpc_seconds",
            "Time to serve one RPC; streams are not counted here.",
            ["method"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.logins = Counter(
            "tollkeeper_control_logins",
            "Attempts to sign in: ok, refused, throttled.",
            ["outcome"],
            registry=registry,
        )

        self.records = Counter(
            "tollkeeper_control_records",
            "Usage records settled: posted, duplicate, conflict, rejected, retry.",
            ["outcome"],
            registry=registry,
        )
        self.acquires = Counter(
            "tollkeeper_control_acquires",
            "AcquireLease: granted, repeated, insufficient_quota, budget_held, grant_stale, lease_closed.",
            ["outcome"],
            registry=registry,
        )
        self.rate_asks = Counter(
            "tollkeeper_control_rate_asks",
            "Shares of rates and of concurrent requests that edges asked for: granted, refused.",
            ["kind", "outcome"],
            registry=registry,
        )
        self.look_delay_seconds = Histogram(
            "tollkeeper_control_look_delay_seconds",
            "From when the end of an unfinished object was to be looked for until an edge took it.",
            buckets=_LOOK_DELAY_SECONDS,
            registry=registry,
        )
        self.cost_mismatches = Counter(
            "tollkeeper_control_cost_mismatch",
            "Records whose cost the edge computed otherwise; the control plane's figure was posted.",
            registry=registry,
        )
        self.expired_leases = Counter(
            "tollkeeper_control_expired_leases",
            "Leases that were silent for the whole grace; what they held was posted as lost.",
            registry=registry,
        )
        self.recalls = Counter(
            "tollkeeper_control_recalls", "Recall marks put on windows.", registry=registry
        )
        self.budget_alerts = Counter(
            "tollkeeper_control_budget_alerts",
            "Thresholds of budgets that spending has reached, by scope.",
            ["scope"],
            registry=registry,
        )
        self.ledger_batch_records = Histogram(
            "tollkeeper_control_ledger_batch_records",
            "Usage records booked in one transaction.",
            buckets=_SIZES,
            registry=registry,
        )
        self.ledger_batch_seconds = Histogram(
            "tollkeeper_control_ledger_batch_seconds",
            "Time of one ledger transaction.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.ledger_waiting = Gauge(
            "tollkeeper_control_ledger_waiting",
            "Ledger calls that wait for a transaction.",
            registry=registry,
        )

        self.request_log_months = Gauge(
            "tollkeeper_control_request_log_months",
            "Months that the request log has partitions for.",
            registry=registry,
        )

        self.gateway_tries = Counter(
            "tollkeeper_control_gateway_tries",
            "Tries to make or delete a Cloudflare gateway: ok, or the kind of problem.",
            ["action", "outcome"],
            registry=registry,
        )
        self.gateways = Gauge(
            "tollkeeper_control_gateways",
            "Customers by the state of their own Cloudflare gateway, as of the last half minute.",
            ["state"],
            registry=registry,
        )
        self.registrations = Counter(
            "tollkeeper_control_registrations",
            "Customers that asked to be registered: ok, refused, throttled.",
            ["outcome"],
            registry=registry,
        )

        self.watch_streams = Gauge(
            "tollkeeper_control_watch_streams", "Edge workers that watch.", registry=registry
        )
        self.watch_overflows = Counter(
            "tollkeeper_control_watch_overflows",
            "Watch streams closed because their edge was too slow.",
            registry=registry,
        )
        self.pushes = Counter(
            "tollkeeper_control_pushes",
            "Events put on Watch streams: customer_changed, price_book, recall, room.",
            ["event"],
            registry=registry,
        )
        self.change_push_seconds = Histogram(
            "tollkeeper_control_change_push_seconds",
            "From the change of a customer (a revocation, say) to its push onto a Watch stream.",
            buckets=_SECONDS,
            registry=registry,
        )


def _version() -> str:
    try:
        return version("tollkeeper")
    except PackageNotFoundError:  # run from a checkout that isn't installed
        return "0"
