"""What one request takes of all limits it is held to, and gives back."""

from collections.abc import Callable, Iterator, Sequence

from edge.rates.bucket import ALL_REPORTED, Bucket
from edge.rates.headers import with_rates
from edge.rates.limits import CONCURRENT, TOKENS


class Ticket:
    """Drawn from every bucket or from none. Ends with `void` or `finish`, whichever comes first."""

    __slots__ = ("_marks", "_now_s", "_on_end", "draws", "model")

    def __init__(
        self,
        draws: Sequence[tuple[Bucket, int]],
        model: str,
        now_s: Callable[[], float],
        on_end: Callable[[Bucket], Bucket],
    ) -> None:
        """`on_end` hears of each bucket that gets something back, and returns the one that is in use for its
        limit now."""
        self.draws = draws
        self.model = model
        self._now_s = now_s
        self._on_end = on_end
        # Since when each draw counts, and how often its bucket had reported by then.
        self._marks: list[tuple[int, int]] = []

    def draw(self, now_s: float) -> bool:
        """Takes everything, if all of it is in hand."""
        for bucket, amount in self.draws:
            if not bucket.covers(amount, now_s):
                return False
        self._marks = [(bucket.draw(amount, now_s), bucket.report_count) for bucket, amount in self.draws]
        return True

    def void(self) -> None:
        """The request was not sent: it counts nowhere."""
        for bucket, amount, mark in self._ended():
            if bucket.kind == CONCURRENT:
                self._free(bucket)
            else:
                self._correct(bucket, amount, mark, 0)

    def finish(self, tokens: int | None) -> None:
        """The request is over and used so many tokens; None: nobody knows, what was counted stands."""
        for bucket, amount, mark in self._ended():
            if bucket.kind == CONCURRENT:
                self._free(bucket)
            elif bucket.kind == TOKENS and tokens is not None and tokens != amount:
                self._correct(bucket, amount, mark, tokens)

    def _ended(self) -> Iterator[tuple[Bucket, int, tuple[int, int]]]:
        """What was drawn; nothing the second time."""
        marks, self._marks = self._marks, []
        for (bucket, amount), mark in zip(self.draws, marks, strict=False):
            yield bucket, amount, mark

    def _free(self, bucket: Bucket) -> None:
        bucket.end()
        self._on_end(bucket)

    def _correct(self, bucket: Bucket, amount: int, mark: tuple[int, int], used: int) -> None:
        current = self._on_end(bucket)
        now_s = self._now_s()
        if used > amount:
            current.add(used - amount, now_s)
            return
        step, report_count = mark
        # A bucket that was forgotten had reported everything.
        current.take_back(amount - used, step, report_count if current is bucket else ALL_REPORTED, now_s)

    def with_rates(self, lines: bytes) -> bytes:
        """Header lines of the vendor's, with `x-ratelimit-*` of these limits in place of its own."""
        return with_rates(lines, [bucket for bucket, _ in self.draws])
