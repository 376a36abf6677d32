"""Processor time, pinning and memory of processes and all their descendants (Linux)."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

EDGE_CPU, OTHERS_CPU = 0, 1
LOWEST_PRIORITY = 19


def need_two_cores() -> None:
    """Raises SystemExit where there is only one."""
    if (os.cpu_count() or 1) <= OTHERS_CPU:
        raise SystemExit("two cores are needed")


def used_s(pid: int) -> float:
    """User and system seconds of a process and all its descendants, those included that have ended since.

    A child that ends moves its time into its parent's, so the sum only grows.
    """
    return sum(sum(process.cpu_times()[:4]) for process in _tree(pid))


def pin(pid: int, cpu: int) -> None:
    """Keeps a process, its descendants and all their threads on one core; what they start stays there too."""
    for process in _tree(pid):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {cpu})


def yield_to_others(pid: int) -> None:
    """Lets a process, its descendants and their threads run only when nobody else wants the core."""
    for process in _tree(pid):
        for thread in process.threads():
            os.setpriority(os.PRIO_PROCESS, thread.id, LOWEST_PRIORITY)


def peak_rss_mb(pid: int) -> float:
    """The most memory that any one process of the tree has ever had resident, in MB (10^6 bytes)."""
    return max(_peak_rss_bytes(process.pid) for process in _tree(pid)) / 1e6


def rss_mb(pid: int) -> float:
    """What the largest process of the tree has resident now, in MB (10^6 bytes)."""
    return max(process.memory_info().rss for process in _tree(pid)) / 1e6


def _tree(pid: int) -> Iterator[psutil.Process]:
    root = psutil.Process(pid)
    yield root
    yield from root.children(recursive=True)


def _peak_rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
