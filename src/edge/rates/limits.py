"""The rates and the concurrency a grant is held to."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tollkeeper.model_match import ModelList
from tollkeeper.v1 import edge_pb2

Kind = edge_pb2.RateKind
REQUESTS = Kind.REQUESTS_PER_MINUTE
TOKENS = Kind.TOKENS_PER_MINUTE
CONCURRENT = Kind.CONCURRENT_REQUESTS
# Models whose limits are remembered, per grant.
MOST_CACHED_MODELS = 256


class MeterKey(NamedTuple):
    """Names one meter of the control plane: what all requests of a scope (for models that match `model`) use
    of one kind."""

    customer_id: str
    # key, user, team or customer.
    scope: str
    scope_id: str
    model: str
    kind: int


class Limit(NamedTuple):
    """One limit of one grant."""

    key: MeterKey
    most: int


class GrantLimits:
    """All limits of a grant. False where there are none."""

    __slots__ = ("_by_model", "_limits", "rows")

    def __init__(self, customer_id: str, limits: Sequence[edge_pb2.RateLimit]) -> None:
        # As the grant has them.
        self.rows = tuple(limits)
        self._limits = tuple(
            (ModelList((limit.model,)) if limit.model else None, each)
            for limit in limits
            for each in _limits_of(customer_id, limit)
        )
        self._by_model: dict[str, tuple[Limit, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._limits)

    def of(self, model: str) -> tuple[Limit, ...]:
        """Those that a request for this model is held to."""
        found = self._by_model.get(model)
        if found is None:
            if len(self._by_model) >= MOST_CACHED_MODELS:
                self._by_model.clear()
            found = tuple(limit for models, limit in self._limits if models is None or models.allows(model))
            self._by_model[model] = found
        return found


def _limits_of(customer_id: str, limit: edge_pb2.RateLimit) -> Iterable[Limit]:
    kinds = (
        (REQUESTS, limit.requests_per_minute),
        (TOKENS, limit.tokens_per_minute),
        (CONCURRENT, limit.max_concurrent_requests),
    )
    for kind, most in kinds:
        if most:
            yield Limit(MeterKey(customer_id, limit.scope, limit.scope_id, limit.model, kind), most)
