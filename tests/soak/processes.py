"""Memory and open files of the product's processes over the run."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil

INTERVAL_S = 5.0
# The first part of a run fills caches, pools and the allocator's own; growth is looked for after it.
SETTLING_PART = 0.5
MOST_GROWTH_MB = 6.0
MOST_GROWTH_PART = 0.05
# Pools of connections breathe.
MOST_MORE_FILES = 24


@dataclass
class History:
    """Samples of one process: seconds, resident MB (10^6 bytes), open files."""

    name: str
    pid: int
    samples: list[tuple[float, float, int]] = field(default_factory=list)

    @property
    def late(self) -> list[tuple[float, float, int]]:
        """Those after things have settled."""
        return self.samples[int(len(self.samples) * SETTLING_PART) :]

    def growth_mb(self) -> float:
        """Of the straight line through the late samples, from their first to their last."""
        late = self.late
        if len(late) < 2:
            return 0.0
        return _slope([(at, mb) for at, mb, _ in late]) * (late[-1][0] - late[0][0])

    def more_files(self) -> int:
        """Open files in the last samples over those when things had settled, both at their least."""
        files = [count for _, _, count in self.late]
        part = max(1, len(files) // 4)
        return min(files[-part:], default=0) - min(files[:part], default=0)

    def is_flat(self) -> bool:
        """Whether neither memory nor files grow."""
        most_mb = max(MOST_GROWTH_MB, MOST_GROWTH_PART * self.samples[-1][1])
        return self.growth_mb() <= most_mb and self.more_files() <= MOST_MORE_FILES

    def line(self) -> str:
        """For programs."""
        late = self.late
        minutes = max(1e-9, (late[-1][0] - late[0][0]) / 60)
        rss = [mb for _, mb, _ in self.samples]
        return (
            f"SOAK_PROCESS name={self.name} rss_first_mb={rss[0]:.1f} rss_last_mb={rss[-1]:.1f}"
            f" rss_max_mb={max(rss):.1f} slope_mb_per_min={self.growth_mb() / minutes:.2f}"
            f" files_first={self.samples[0][2]} files_last={self.samples[-1][2]}"
            f" files_max={max(files for _, _, files in self.samples)}"
            f" flat={'yes' if self.is_flat() else 'NO'}"
        )


class Watcher:
    """Samples processes until it is cancelled. `find` names those that run now."""

    def __init__(self, find: Callable[[], Mapping[str, int]]) -> None:
        self._find = find
        self._histories: dict[tuple[str, int], History] = {}
        self._began = time.monotonic()

    async def run(self) -> None:
        """A sample every few seconds."""
        while True:
            self.sample()
            await asyncio.sleep(INTERVAL_S)

    def sample(self) -> None:
        """One of each."""
        for name, pid in self._find().items():
            try:
                process = psutil.Process(pid)
                mb, files = process.memory_info().rss / 1e6, process.num_fds()
            except psutil.NoSuchProcess:
                continue
            history = self._histories.setdefault((name, pid), History(name, pid))
            history.samples.append((time.monotonic() - self._began, mb, files))

    def lasting(self) -> list[History]:
        """Of those that lived through the whole run."""
        most = max((len(each.samples) for each in self._histories.values()), default=0)
        return [each for each in self._histories.values() if len(each.samples) >= most - 1]


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the line with the least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
