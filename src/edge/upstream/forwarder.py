"""What all requests of a worker share on their way out: connections, waits, and what is known of providers'
health."""

from math import inf
from time import monotonic

from edge.grants import GrantView
from edge.upstream.breakers import Breakers
from edge.upstream.retries import RetryBudgets
from edge.upstream.transport import Timeouts, Transport


class Forwarder:
    """Of one worker."""

    __slots__ = (
        "breakers",
        "budgets",
        "cache_secret",
        "direct",
        "gateway",
        "max_response_bytes",
        "timeouts",
        "total_s",
    )

    def __init__(
        self,
        gateway: Transport,
        direct: Transport,
        timeouts: Timeouts,
        max_response_bytes: int,
        cache_secret: bytes,
        breakers: Breakers,
        total_s: float = inf,
    ) -> None:
        """`direct` may check addresses that customers name; `gateway` goes where the operator says. What keys
        of cached answers are made with is `cache_secret`: edges that share it share their answers. `total_s`
        is how long all of a request may take."""
        self.gateway = gateway
        self.direct = direct
        self.timeouts = timeouts
        self.max_response_bytes = max_response_bytes
        self.cache_secret = cache_secret
        self.breakers = breakers
        self.budgets = RetryBudgets(monotonic)
        self.total_s = total_s

    def waits_of(self, grant: GrantView) -> tuple[Timeouts, float]:
        """How long each attempt, and all of the request, may take: what the router says where that is
        shorter."""
        own = grant.deadlines
        if own is None:
            return self.timeouts, self.total_s
        most = self.timeouts
        timeouts = Timeouts(
            _shorter(own.connect_ms, most.connect_s),
            _shorter(own.first_byte_ms, most.first_byte_s),
            _shorter(own.idle_ms, most.idle_s),
        )
        return timeouts, _shorter(own.total_ms, self.total_s)


def _shorter(own_ms: int, most_s: float) -> float:
    """0: none of one's own."""
    return min(own_ms / 1000, most_s) if own_ms else most_s
