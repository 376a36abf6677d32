"""What a bucket tells the control plane, and asks of it."""

from collections.abc import Sequence

from edge.rates.limits import MeterKey
from tollkeeper.v1 import edge_pb2


class Ask:
    """One report and request of one bucket, the same however often it is sent."""

    __slots__ = ("in_flight", "kept", "key", "number", "sent_at_s", "used", "waiting", "wanted")

    def __init__(self, key: MeterKey, number: int, sent_at_s: float) -> None:
        self.key = key
        self.number = number
        # The first time; the share's life counts from there.
        self.sent_at_s = sent_at_s
        # When, and how much.
        self.used: list[tuple[float, int]] = []
        self.in_flight = 0
        self.kept = 0
        self.waiting: Sequence[int] = ()
        self.wanted = 0

    def message(self, now_s: float) -> edge_pb2.ShareAsk:
        """As it is sent at this moment."""
        key = self.key
        return edge_pb2.ShareAsk(
            scope=key.scope,
            scope_id=key.scope_id,
            model=key.model,
            kind=key.kind,  # type: ignore[arg-type]
            number=self.number,
            used=[
                edge_pb2.ShareUse(age_ms=max(0, int((now_s - at_s) * 1000)), amount=amount)
                for at_s, amount in self.used
            ],
            in_flight=self.in_flight,
            kept=self.kept,
            waiting=self.waiting,
            wanted=self.wanted,
        )
