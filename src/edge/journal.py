"""The journal of one incarnation: what was begun and how it ended, before anybody else knows (L13, L20, L21).

One directory per incarnation, locked for its life; segments of some megabytes inside. A record is one
write(2), so it survives the death of the process; fsync follows off the path, within `fsync_interval_s`,
for the death of the host.
"""

import asyncio
import errno
import fcntl
import os
import shutil
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog

from edge.journal_format import Kind, frame
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

log = structlog.get_logger(__name__)

SEGMENT_SUFFIX = ".journal"
ACKED_SUFFIX = ".acked"
DONE_SUFFIX = ".done"
NEW_SUFFIX = ".new"
LOCK_NAME = "lock"
TIMELINE_NAME = "timeline"
# Ends that couldn't be written yet; past it the oldest are only in memory of the settler.
MOST_UNWRITTEN = 100_000

_sync = getattr(os, "fdatasync", os.fsync)


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Sizes and times of the journal."""

    segment_bytes: int = 8 * 1024 * 1024
    fsync_interval_s: float = 0.1
    # Acknowledged segments, and journals of incarnations that are over, are kept so long, and so many bytes
    # of them.
    keep_s: float = 86_400.0
    keep_bytes: int = 1 << 30


class Segment:
    """One file of the journal, and how many of the requests begun in it are not settled yet."""

    __slots__ = ("fd", "path", "pending", "sealed", "size")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd
        self.size = 0
        self.pending = 0
        self.sealed = False


class Journal:
    """Appends records. Methods are called from the event loop only; syncing and closing happen in one
    thread."""

    def __init__(self, root: Path, incarnation_id: str, settings: JournalSettings) -> None:
        """Makes and locks `root/<incarnation_id>`. Raises OSError."""
        self.incarnation_id = incarnation_id
        self.last_sequence = 0
        # Whether the last writes and syncs worked and nothing waits to be written again.
        self.healthy = True
        self.written_bytes = 0
        self._settings = settings
        self.path, self._lock_fd = _make_directory(root, incarnation_id)
        self._segments: deque[Segment] = deque()
        self._number = 0
        # sequence → segment of its begin, and the begin's payload while the request is open.
        self._held: dict[int, tuple[Segment, bytes | None]] = {}
        self._unwritten: deque[bytes] = deque()
        self._dirty = False
        self._failing = False
        self._unsynced: list[Segment] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-sync")
        self._task: asyncio.Task[None] | None = None
        self._segment = self._open_segment()

    def start(self) -> None:
        """Starts syncing in the background."""
        self._task = asyncio.create_task(self._keep_synced(), name="journal-sync")

    # ---- appending

    def begin(self, sequence: int, payload: bytes) -> None:
        """Records that a request is about to be sent; `sequence` is `last_sequence + 1`.

        Raises JOURNAL_UNAVAILABLE, and then the sequence is not used up and nothing may be sent.
        """
        self._write_or_refuse(payload)
        segment = self._segment
        segment.pending += 1
        self._held[sequence] = (segment, payload)
        self.last_sequence = sequence

    def attempt(self, sequence: int, payload: bytes) -> None:
        """Records a further attempt of a begun request (L13). Raises JOURNAL_UNAVAILABLE."""
        self._write_or_refuse(payload)
        self._held[sequence] = (self._held[sequence][0], payload)

    def end(self, sequence: int, payload: bytes) -> None:
        """Records how a request ended. What can't be written is kept and tried again; `healthy` tells."""
        self._held[sequence] = (self._held[sequence][0], None)
        if self._unwritten or not self._try_write(Kind.END, payload):
            if len(self._unwritten) < MOST_UNWRITTEN:
                self._unwritten.append(payload)
            self.healthy = False

    def acknowledged(self, sequence: int) -> None:
        """The record is settled: its segment needs it no longer."""
        segment = self._held.pop(sequence)[0]
        segment.pending -= 1
        if not segment.pending and segment.sealed:
            self._rename_acked()

    @property
    def open_count(self) -> int:
        """Requests begun and not acknowledged."""
        return len(self._held)

    def _write_or_refuse(self, payload: bytes) -> None:
        if not self.healthy:
            self._retry_unwritten()
        if self._unwritten or not self._try_write(Kind.BEGIN, payload):
            self.healthy = False
            raise TollkeeperError(
                Reason.JOURNAL_UNAVAILABLE, "The journal can't be written.", retry_after_s=1.0
            )
        self.healthy = True

    def _retry_unwritten(self) -> None:
        while self._unwritten and self._try_write(Kind.END, self._unwritten[0]):
            self._unwritten.popleft()
        self.healthy = not self._unwritten and not self._failing

    def _try_write(self, kind: Kind, payload: bytes) -> bool:
        """One record, wholly or not at all."""
        data = frame(kind, payload)
        try:
            if self._segment.size + len(data) > self._settings.segment_bytes:
                self._rotate()
            self._append(self._segment, data)
        except OSError as error:
            log.error("journal_write_failed", error=error.strerror, path=self._segment.path.name)
            self._failing = True
            return False
        self._failing = False
        return True

    def _append(self, segment: Segment, data: bytes) -> None:
        written = os.write(segment.fd, data)
        if written == len(data):
            segment.size += written
            self.written_bytes += written
            self._dirty = True
            return
        # The disk is full, or a limit was met, in the middle of the record.
        try:
            os.ftruncate(segment.fd, segment.size)
        except OSError:
            # The reader skips the torn record; what follows goes to a file of its own.
            segment.size = self._settings.segment_bytes
        raise OSError(errno.ENOSPC, "record written in part")

    # ---- segments

    def _open_segment(self) -> Segment:
        path = self.path / f"{self._number + 1:08d}{SEGMENT_SUFFIX}"
        segment = Segment(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600))
        first = edge_pb2.UsageRecord(incarnation_id=self.incarnation_id, sequence=self.last_sequence)
        try:
            self._append(segment, frame(Kind.SEGMENT, first.SerializeToString()))
        except OSError:
            os.close(segment.fd)
            path.unlink()
            raise
        self._number += 1
        self._segments.append(segment)
        return segment

    def _rotate(self) -> None:
        """Raises OSError, and then the present segment stays in use."""
        sealed, self._segment = self._segment, self._open_segment()
        sealed.sealed = True
        self._unsynced.append(sealed)
        self._carry_forward(sealed)
        self._rename_acked()

    def _carry_forward(self, newest: Segment) -> None:
        """Begins that are still open and lie further back are written again, so that long requests pin no
        old files."""
        for sequence, (segment, payload) in list(self._held.items()):
            if payload is None or not segment.sealed or segment is newest:
                continue
            self._append(self._segment, frame(Kind.BEGIN, payload))
            self._held[sequence] = (self._segment, payload)
            self._segment.pending += 1
            segment.pending -= 1

    def _rename_acked(self) -> None:
        """Settled segments are renamed oldest first, so that what replay reads holds all of a request or
        nothing of it."""
        while (oldest := self._segments[0]).sealed and not oldest.pending:
            self._segments.popleft()
            target = oldest.path.with_suffix(ACKED_SUFFIX)
            try:
                os.rename(oldest.path, target)
            except OSError as error:
                log.error("journal_rename_failed", error=error.strerror, path=oldest.path.name)
                continue
            oldest.path = target

    # ---- syncing

    async def _keep_synced(self) -> None:
        while True:
            await asyncio.sleep(self._settings.fsync_interval_s)
            if self._unwritten or not self.healthy:
                self._retry_unwritten()
            if self._dirty or self._unsynced:
                await self.sync()

    async def sync(self) -> None:
        """Puts on disk what was written so far. A failure turns `healthy` off until a later sync succeeds."""
        self._dirty = False
        sealed, self._unsynced = self._unsynced, []
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, _sync_files, self.path, self._segment.fd, sealed)
        except OSError as error:
            log.error("journal_sync_failed", error=error.strerror)
            self.healthy, self._failing, self._dirty = False, True, True
            self._unsynced = sealed + self._unsynced
        else:
            self._failing = False

    async def close(self, *, done: bool) -> None:
        """Syncs, unlocks and, when all of it is settled and the incarnation closed (`done`), marks the
        directory so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._retry_unwritten()
        await self.sync()
        self._thread.shutdown()
        os.close(self._segment.fd)
        if done:
            mark_done(self.path)
        os.close(self._lock_fd)


def _sync_files(directory: Path, fd: int, sealed: list[Segment]) -> None:
    for segment in sealed:
        if segment.fd >= 0:
            _sync(segment.fd)
            os.close(segment.fd)
            segment.fd = -1
    if sealed:
        directory_fd = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(directory_fd)
        finally:
            os.close(directory_fd)
    _sync(fd)


def _make_directory(root: Path, incarnation_id: str) -> tuple[Path, int]:
    """A locked directory. It gets its name only when it is locked, so that nobody adopts it before that."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, unnamed = root / incarnation_id, root / f"{incarnation_id}{NEW_SUFFIX}"
    unnamed.mkdir(mode=0o700)
    lock_fd = try_lock(unnamed)
    assert lock_fd is not None, "nobody else knows the directory yet"
    unnamed.rename(path)
    return path, lock_fd


def try_lock(directory: Path) -> int | None:
    """Takes the lock of a journal directory; None when somebody holds it or the directory is gone. Close
    the fd to unlock."""
    lock_path = directory / LOCK_NAME
    try:
        lock_fd = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it before may have renamed the directory meanwhile.
        if os.fstat(lock_fd).st_ino == os.stat(lock_path).st_ino:
            return lock_fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock_fd)
    return None


def mark_done(directory: Path) -> None:
    """All records of the incarnation are settled and it is closed: its journal is kept for a while, and not
    replayed."""
    directory.rename(directory.with_name(directory.name + DONE_SUFFIX))


def purge(root: Path, settings: JournalSettings) -> None:
    """Deletes kept segments that are too old or too many, oldest first, and what is left of done journals.

    Several workers may do so at once.
    """
    paths = [*root.glob(f"*/*{ACKED_SUFFIX}"), *root.glob(f"*{DONE_SUFFIX}/*{SEGMENT_SUFFIX}")]
    kept = [(entry, path) for path in paths if (entry := _stat(path)) is not None]
    kept.sort(key=lambda entry: entry[0].st_mtime)
    total_bytes = sum(entry.st_size for entry, _ in kept)
    oldest_s = time.time() - settings.keep_s
    for entry, path in kept:
        if entry.st_mtime >= oldest_s and total_bytes <= settings.keep_bytes:
            break
        total_bytes -= entry.st_size
        path.unlink(missing_ok=True)
    for directory in (*root.glob(f"*{DONE_SUFFIX}"), *root.glob(f"*{NEW_SUFFIX}")):
        _remove_if_over(directory, oldest_s)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _remove_if_over(directory: Path, oldest_s: float) -> None:
    """Removes a journal without segments once nobody has touched it for the time segments are kept."""
    entry = _stat(directory)
    if entry is None or entry.st_mtime >= oldest_s:
        return
    lock_fd = try_lock(directory)
    if lock_fd is None:
        return
    try:
        if not any(directory.glob(f"*{SEGMENT_SUFFIX}")) and not any(directory.glob(f"*{ACKED_SUFFIX}")):
            shutil.rmtree(directory)
    finally:
        os.close(lock_fd)
