"""The journal: what was written is read back whatever happened to the process, the disk or the bytes."""

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.journal import (
    ACKED_SUFFIX,
    DONE_SUFFIX,
    SEGMENT_SUFFIX,
    Journal,
    JournalSettings,
    mark_done,
    purge,
    try_lock,
)
from edge.journal_format import Framed, Kind, frame, read_frames
from edge.replay import read_segment
from tests.edge.fake_control import new_id
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2


def payload(sequence: int, *, ended: bool = False) -> bytes:
    """A small record."""
    record = edge_pb2.UsageRecord(usage_id=f"usage-{sequence}", sequence=sequence, requested_model="m" * 100)
    if ended:
        record.state = edge_pb2.USAGE_STATE_VOIDED
    return record.SerializeToString()


@pytest.fixture
async def journal(tmp_path: Path) -> Journal:
    """A journal with small segments."""
    return Journal(tmp_path, new_id(), JournalSettings(segment_bytes=2000, fsync_interval_s=0.01))


def begin(journal: Journal) -> int:
    """Begins the next request."""
    sequence = journal.last_sequence + 1
    journal.begin(sequence, payload(sequence))
    return sequence


def begin_until_refused(journal: Journal) -> list[int]:
    """Begins requests until the disk is full."""
    written: list[int] = []
    try:
        while True:
            written.append(begin(journal))
    except TollkeeperError as refused:
        assert refused.reason == Reason.JOURNAL_UNAVAILABLE  # noqa: PT017 - the loop ends by it
    return written


def is_healthy(journal: Journal) -> bool:
    """Asked anew each time."""
    return journal.healthy


def names(journal: Journal, suffix: str) -> list[str]:
    """Segments with a suffix."""
    return sorted(path.stem for path in journal.path.glob(f"*{suffix}"))


def read_all(directory: Path) -> tuple[set[int], set[int]]:
    """Sequences of all begins without an end, and of all ends, in every segment."""
    begins: dict[str, bytes] = {}
    ends: set[str] = set()
    for path in sorted(directory.glob("0*"), key=lambda path: path.stem):
        if path.suffix in (SEGMENT_SUFFIX, ACKED_SUFFIX):
            content = read_segment(path)
            begins |= content.begins
            ends |= {usage_id for usage_id, _ in content.ends}
    return {_number(usage_id) for usage_id in begins if usage_id not in ends}, {_number(e) for e in ends}


def _number(usage_id: str) -> int:
    return int(usage_id.rpartition("-")[2])


# ---- bytes


def test_frames_are_read_back() -> None:
    """What is framed comes back, in order."""
    data = frame(Kind.BEGIN, b"one") + frame(Kind.END, b"")
    assert list(read_frames(data)) == [Framed(Kind.BEGIN, b"one"), Framed(Kind.END, b"")]


@settings(max_examples=200, deadline=None)
@given(
    payloads=st.lists(st.binary(max_size=60), min_size=1, max_size=8),
    damage=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=4),
    cut=st.integers(0, 40),
)
def test_damage_costs_only_what_it_touches(
    payloads: list[bytes], damage: list[tuple[int, int]], cut: int
) -> None:
    """Flipped bytes and a cut tail lose the records they lie in, no other, and no byte goes unaccounted
    for."""
    frames = [frame(Kind.BEGIN, payload) for payload in payloads]
    data = bytearray(b"".join(frames))
    for position, flip in damage:
        data[position % len(data)] ^= flip
    data = data[: len(data) - min(cut, len(data) - 1)]
    found = list(read_frames(bytes(data)))
    sound = {}
    start = 0
    for number, whole in enumerate(frames):
        sound[number] = bytes(data[start : start + len(whole)]) == whole
        start += len(whole)
    expected = [Framed(Kind.BEGIN, payloads[number]) for number, intact in sound.items() if intact]
    kept = [framed for framed in found if framed.kind is not None]
    assert [framed for framed in kept if framed in expected] == expected
    assert sum(len(f.payload) + (11 if f.kind is not None else 0) for f in found) == len(data)


# ---- appending and acknowledging


async def test_settled_segments_are_renamed_in_order(journal: Journal) -> None:
    """A segment is done when all of it and all before it is settled."""
    sequences = []
    for _ in range(30):
        sequences.append(sequence := begin(journal))
        journal.end(sequence, payload(sequence, ended=True))
    assert len(names(journal, SEGMENT_SUFFIX)) > 2
    for sequence in reversed(sequences):
        assert not names(journal, ACKED_SUFFIX)
        journal.acknowledged(sequence)
    assert len(names(journal, SEGMENT_SUFFIX)) == 1
    assert read_all(journal.path) == (set(), set(sequences))
    await journal.close(done=False)


async def test_a_long_request_pins_no_old_segments(journal: Journal) -> None:
    """The begin of a request that stays open is written again in newer segments."""
    long_one = begin(journal)
    for _ in range(60):
        sequence = begin(journal)
        journal.end(sequence, payload(sequence, ended=True))
        journal.acknowledged(sequence)
    assert len(names(journal, SEGMENT_SUFFIX)) <= 3
    unacked = {path.stem for path in journal.path.glob(f"*{SEGMENT_SUFFIX}")}
    in_doubt: set[str] = set()
    for stem in sorted(unacked):
        in_doubt |= set(read_segment(journal.path / f"{stem}{SEGMENT_SUFFIX}").begins)
    assert in_doubt == {f"usage-{long_one}"}
    await journal.close(done=False)


async def test_the_last_sequence_survives_the_loss_of_older_segments(journal: Journal) -> None:
    """Every segment starts with the sequence before it, so a close can name the last one."""
    for _ in range(9):
        sequence = begin(journal)
        journal.end(sequence, payload(sequence, ended=True))
        journal.acknowledged(sequence)
    (newest,) = journal.path.glob(f"*{SEGMENT_SUFFIX}")
    assert read_segment(newest).last_sequence in (8, 9)
    await journal.close(done=False)


async def test_it_is_locked_for_life(journal: Journal) -> None:
    """Nobody else gets the lock before the journal is closed; a done directory has another name."""
    assert try_lock(journal.path) is None
    path = journal.path
    await journal.close(done=True)
    assert not path.exists()
    lock_fd = try_lock(path.with_name(path.name + DONE_SUFFIX))
    assert lock_fd is not None
    os.close(lock_fd)
    assert try_lock(path) is None


async def test_a_lock_taken_too_late_is_no_lock(tmp_path: Path) -> None:
    """Who opened the lock before the directory was renamed and made anew doesn't hold the new one."""
    directory = tmp_path / new_id()
    directory.mkdir()
    lock_fd = try_lock(directory)
    assert lock_fd is not None
    assert try_lock(directory) is None
    mark_done(directory)
    os.close(lock_fd)
    assert try_lock(directory) is None


async def test_it_syncs_in_the_background(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dirty segments are synced within the interval, in another thread, and clean ones are left alone."""
    synced: list[int] = []
    monkeypatch.setattr("edge.journal._sync", synced.append)
    journal.start()
    await asyncio.sleep(0.05)
    before = len(synced)
    begin(journal)
    await asyncio.sleep(0.05)
    after = len(synced)
    await asyncio.sleep(0.05)
    assert after > before or before
    assert len(synced) == after
    await journal.close(done=False)


async def test_a_failed_sync_shows_and_heals(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that can't sync turns readiness off until it can."""

    def fail(fd: int) -> None:
        raise OSError(5, "input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("edge.journal._sync", fail)
        begin(journal)
        await journal.sync()
        assert not is_healthy(journal)
    journal.start()
    await asyncio.sleep(0.1)
    assert is_healthy(journal)
    await journal.close(done=False)


# ---- a disk that is full


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    """No file may grow past this size: writes stop in the middle of a record, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield 1000
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


async def test_a_full_disk_refuses_begins_and_keeps_ends(journal: Journal, file_size_limit: int) -> None:
    """A begin that can't be written is refused and uses no sequence; an end waits in memory until there is
    room."""
    written = begin_until_refused(journal)
    assert journal.last_sequence == len(written) > 3
    for sequence in written:
        journal.end(sequence, payload(sequence, ended=True))
    assert not is_healthy(journal)
    (segment,) = journal.path.glob(f"*{SEGMENT_SUFFIX}")
    assert read_segment(segment).damaged_bytes == 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    written.append(begin(journal))
    assert is_healthy(journal)
    await journal.close(done=False)
    assert read_all(journal.path) == ({written[-1]}, set(written[:-1]))


async def test_a_torn_record_that_cannot_be_cut_off_gets_a_new_segment(
    journal: Journal, file_size_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When even truncating fails, what follows goes to another file, and the reader steps over the torn
    one."""

    def fail(fd: int, length: int) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr("edge.journal.os.ftruncate", fail)
    written = begin_until_refused(journal)
    written.append(begin(journal))
    first, second = sorted(journal.path.glob(f"*{SEGMENT_SUFFIX}"))
    content = read_segment(first)
    assert content.damaged_bytes > 0
    assert first.with_suffix(".damaged").stat().st_size == content.damaged_bytes
    assert set(content.begins) == {f"usage-{sequence}" for sequence in written[:-1]}
    assert set(read_segment(second).begins) == {f"usage-{written[-1]}"}
    await journal.close(done=False)


# ---- a process that is killed


def test_a_killed_process_loses_nothing_it_was_told_is_written(tmp_path: Path) -> None:
    """After kill -9 every begin and end that returned is in the files, and the lock is free."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.edge.journal_writer", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(600)]
    process.kill()
    said += process.stdout.read().splitlines()
    process.stdout.close()
    process.wait()
    begun = {int(line.split()[1]) for line in said if line.startswith("begin ") and len(line.split()) == 2}
    ended = {int(line.split()[1]) for line in said if line.startswith("end ") and len(line.split()) == 2}
    (directory,) = tmp_path.iterdir()
    lock_fd = try_lock(directory)
    assert lock_fd is not None
    os.close(lock_fd)
    found_begun: set[int] = set()
    found_ended: set[int] = set()
    for path in sorted(directory.glob("0*")):
        for kind, data in read_frames(path.read_bytes()):
            assert kind is not None
            sequence = edge_pb2.UsageRecord.FromString(data).sequence
            if kind is not Kind.SEGMENT:
                (found_begun if kind is Kind.BEGIN else found_ended).add(sequence)
    # The last line may itself have been cut off.
    assert begun - {max(begun)} <= found_begun
    assert ended - {max(ended)} <= found_ended
    assert len(begun) > 200


def test_flipped_bytes_are_set_aside_and_counted(tmp_path: Path) -> None:
    """One flipped byte costs one record; its bytes are kept beside the segment."""
    path = tmp_path / f"00000001{SEGMENT_SUFFIX}"
    frames = [frame(Kind.BEGIN, payload(sequence)) for sequence in range(1, 6)]
    data = bytearray(b"".join(frames))
    data[len(frames[0]) * 2 + random.randrange(len(frames[2]))] ^= 0x40
    path.write_bytes(data)
    content = read_segment(path)
    assert set(content.begins) == {"usage-1", "usage-2", "usage-4", "usage-5"}
    assert content.damaged_bytes == len(frames[2])
    assert path.with_suffix(".damaged").stat().st_size == len(frames[2])


# ---- keeping


def test_kept_segments_are_bounded_by_age_and_size(tmp_path: Path) -> None:
    """The oldest go first, and a done journal disappears once it is empty and old; live ones stay."""
    done, live = tmp_path / f"a{DONE_SUFFIX}", tmp_path / "b"
    for directory in (done, live):
        directory.mkdir()
    now_s = time.time()
    for number, (directory, suffix, age_s) in enumerate(
        [
            (done, SEGMENT_SUFFIX, 200),
            (live, ACKED_SUFFIX, 50),
            (live, ACKED_SUFFIX, 40),
            (live, SEGMENT_SUFFIX, 300),
        ]
    ):
        path = directory / f"{number:08d}{suffix}"
        path.write_bytes(b"x" * 100)
        os.utime(path, (now_s - age_s, now_s - age_s))
    os.utime(done, (now_s - 500, now_s - 500))
    purge(tmp_path, JournalSettings(keep_s=100, keep_bytes=100))
    assert sorted(path.name for path in live.iterdir()) == ["00000002.acked", "00000003.journal"]
    assert list(done.iterdir()) == []
    os.utime(done, (now_s - 500, now_s - 500))
    purge(tmp_path, JournalSettings(keep_s=100, keep_bytes=100))
    assert not done.exists()
