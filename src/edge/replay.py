"""Replay: journals that dead workers left are adopted, sent until acknowledged, and closed (L20–L22)."""

import asyncio
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from edge.control_link import ControlLink
from edge.journal import (
    ACKED_SUFFIX,
    DONE_SUFFIX,
    NEW_SUFFIX,
    SEGMENT_SUFFIX,
    TIMELINE_NAME,
    JournalSettings,
    mark_done,
    purge,
    try_lock,
)
from edge.journal_format import Kind, read_frames
from edge.records import estimate_in_doubt
from edge.settlement import settle_request
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

log = structlog.get_logger(__name__)

BATCH = 500
DAMAGED_SUFFIX = ".damaged"
RETRY_S = 0.2
RETRIES = 5

Outcome = edge_pb2.SettleOutcome


@dataclass(slots=True)
class ReplayCounts:
    """What was found in journals of dead workers, for the metrics."""

    journals: int = 0
    records: int = 0
    in_doubt: int = 0
    damaged_bytes: int = 0


@dataclass(slots=True)
class SegmentContent:
    """One segment, read."""

    # Usage id → the last begin of it in this segment.
    begins: dict[str, bytes]
    # (usage id, payload) as written.
    ends: list[tuple[str, bytes]]
    last_sequence: int
    damaged_bytes: int


def read_segment(path: Path) -> SegmentContent:
    """Reads one segment; what is no record is set aside in `<segment>.damaged`."""
    content = SegmentContent({}, [], 0, 0)
    damaged: list[bytes] = []
    for kind, payload in read_frames(path.read_bytes()):
        if kind is None:
            damaged.append(payload)
            continue
        record = edge_pb2.UsageRecord.FromString(payload)
        content.last_sequence = max(content.last_sequence, record.sequence)
        if kind is Kind.BEGIN:
            content.begins[record.usage_id] = payload
        elif kind is Kind.END:
            content.begins.pop(record.usage_id, None)
            content.ends.append((record.usage_id, payload))
    if damaged:
        data = b"".join(damaged)
        content.damaged_bytes = len(data)
        path.with_suffix(DAMAGED_SUFFIX).write_bytes(data)
    return content


class Replayer:
    """Adopts journals whose worker is dead. Any number of workers may do so at once: the lock of each
    decides."""

    def __init__(
        self, root: Path, link: ControlLink, settings: JournalSettings, *, interval_s: float
    ) -> None:
        self._root = root
        self._link = link
        self._settings = settings
        self._interval_s = interval_s
        self._timeline = ""
        self._own: Path | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self.counts = ReplayCounts()

    def start(self, own: Path) -> None:
        """Looks for journals once the control plane is there, and again every interval. `own` is this
        worker's."""
        self._own = own
        self._task = asyncio.create_task(self._run(), name="replay")

    async def close(self) -> None:
        """Stops; an adopted journal is left to the next worker."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hello(self, timeline: str) -> None:
        """The control plane is there, and says which timeline its database is on (L21)."""
        self._timeline = timeline
        self._wake.set()

    async def _run(self) -> None:
        await self._wake.wait()
        while True:
            self._wake.clear()
            try:
                await self.look()
            except TollkeeperError as error:
                log.info("replay_later", reason=error.reason_name)
            except Exception:
                log.exception("replay_failed")
            try:
                async with asyncio.timeout(self._interval_s * random.uniform(0.8, 1.2)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Replays every journal that nobody holds, and deletes what has been kept long enough.

        Raises TollkeeperError when the control plane is away; the rest is for another time. A journal that
        can't be read or sent for another reason is for another time too, and holds up no other.
        """
        if self._own is not None:
            await self._send_own_again(self._own)
        for directory in sorted(self._root.iterdir()):
            if directory == self._own or directory.suffix == NEW_SUFFIX or not directory.is_dir():
                continue
            lock_fd = try_lock(directory)
            if lock_fd is None:
                continue
            try:
                await self._adopt(directory)
            except TollkeeperError as error:
                if error.reason is Reason.UNAVAILABLE:
                    raise
                log.error("journal_not_replayed", incarnation_id=directory.name, reason=error.reason_name)
            except Exception:
                log.exception("journal_not_replayed", incarnation_id=directory.name)
            finally:
                os.close(lock_fd)
        await asyncio.to_thread(purge, self._root, self._settings)

    async def _send_own_again(self, own: Path) -> None:
        """Of this worker's own journal, only what was settled needs sending again; the rest waits anyway."""
        if self._timeline_changed(own):
            for path in _segments(own, ACKED_SUFFIX):
                content = await asyncio.to_thread(read_segment, path)
                await self._settle(own.name, [payload for _, payload in content.ends])
        self._note_timeline(own)

    async def _adopt(self, directory: Path) -> None:
        changed, done = self._timeline_changed(directory), directory.suffix == DONE_SUFFIX
        if done and not changed:
            return
        incarnation_id = directory.name.removesuffix(DONE_SUFFIX)
        log.info("journal_adopted", incarnation_id=incarnation_id, again=done)
        self.counts.journals += 1
        suffixes = (SEGMENT_SUFFIX, ACKED_SUFFIX) if changed else (SEGMENT_SUFFIX,)
        last_sequence = await self._replay(incarnation_id, _segments(directory, *suffixes))
        gap_count = await self._link.close_incarnation(incarnation_id, last_sequence)
        if gap_count:
            log.warning("journal_gaps", incarnation_id=incarnation_id, gap_count=gap_count)
        self._note_timeline(directory)
        if not done:
            mark_done(directory)

    async def _replay(self, incarnation_id: str, paths: Sequence[Path]) -> int:
        """Sends what these segments hold, and estimates of what never ended; returns the last sequence
        given."""
        begins: dict[str, bytes] = {}
        last_sequence = 0
        for path in paths:
            content = await asyncio.to_thread(read_segment, path)
            last_sequence = max(last_sequence, content.last_sequence)
            self.counts.damaged_bytes += content.damaged_bytes
            for usage_id, _ in content.ends:
                begins.pop(usage_id, None)
            begins.update(content.begins)
            await self._settle(incarnation_id, [payload for _, payload in content.ends])
        self.counts.in_doubt += len(begins)
        await self._settle(incarnation_id, [_in_doubt(payload) for payload in begins.values()])
        return last_sequence

    def _timeline_changed(self, directory: Path) -> bool:
        """Whether the database was restored since the journal's records were settled (L21)."""
        path = directory / TIMELINE_NAME
        return path.exists() and path.read_text() != self._timeline

    def _note_timeline(self, directory: Path) -> None:
        path = directory / TIMELINE_NAME
        if not path.exists() or path.read_text() != self._timeline:
            path.write_text(self._timeline)

    async def _settle(self, incarnation_id: str, payloads: Sequence[bytes]) -> None:
        """Sends records until each is acknowledged. Raises TollkeeperError when that can't be done now."""
        for start in range(0, len(payloads), BATCH):
            waiting = list(payloads[start : start + BATCH])
            for attempt in range(RETRIES):
                outcomes = await self._link.settle(settle_request(incarnation_id, waiting))
                self.counts.records += len(waiting)
                waiting = [
                    payload
                    for payload, outcome in zip(waiting, outcomes, strict=True)
                    if outcome in (Outcome.RETRY, Outcome.SETTLE_OUTCOME_UNSPECIFIED)
                ]
                if not waiting:
                    break
                await asyncio.sleep(RETRY_S * (attempt + 1))
            else:
                raise TollkeeperError(Reason.UNAVAILABLE, "The control plane asks for some records later.")


def _segments(directory: Path, *suffixes: str) -> list[Path]:
    """Segments in the order they were written."""
    return sorted(
        (path for path in directory.iterdir() if path.suffix in suffixes), key=lambda path: path.stem
    )


def _in_doubt(begin: bytes) -> bytes:
    record = edge_pb2.UsageRecord.FromString(begin)
    estimate_in_doubt(record)
    return record.SerializeToString()
