"""Replay: journals of dead workers are adopted by whoever comes first, and every request in them ends
once."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from edge.admission import UsageState
from edge.journal import ACKED_SUFFIX, DONE_SUFFIX, SEGMENT_SUFFIX, Journal, JournalSettings
from edge.journal_format import Kind, frame
from edge.replay import read_segment
from tests.edge.conftest import StartWorker, until
from tests.edge.fake_control import FakeControl, Fault, error, new_id, new_secret
from tollkeeper.errors import Reason
from tollkeeper.v1 import edge_pb2

ESTIMATED = UsageState.USAGE_STATE_ESTIMATED
VOIDED = UsageState.USAGE_STATE_VOIDED


def a_record(incarnation_id: str, sequence: int, *holds: int) -> edge_pb2.UsageRecord:
    """A record as journaled at begin."""
    record = edge_pb2.UsageRecord(usage_id=new_id(), incarnation_id=incarnation_id, sequence=sequence)
    record.customer_id, record.key_id, record.lease_id = new_id(), new_id(), new_id()
    for number, hold in enumerate(holds, 1):
        record.attempts.add(number=number, price_id=new_id(), hold_nanousd=hold)
    return record


async def dead_journal(root: Path, *, segment_bytes: int = 1 << 20) -> tuple[str, list[str], list[str]]:
    """A journal left behind: four requests ended and two not, one of these in its second attempt.

    Returns incarnation, ended and unended usage ids.
    """
    incarnation_id = new_id()
    journal = Journal(root, incarnation_id, JournalSettings(segment_bytes=segment_bytes))
    ended: list[str] = []
    unended: list[str] = []
    for sequence in range(1, 7):
        record = a_record(incarnation_id, sequence, 1000)
        journal.begin(sequence, record.SerializeToString())
        if sequence == 2:
            unended.append(record.usage_id)
            continue
        if sequence == 5:
            unended.append(record.usage_id)
            record.attempts[0].state = VOIDED
            record.attempts.add(number=2, price_id=new_id(), hold_nanousd=700)
            journal.attempt(sequence, record.SerializeToString())
            continue
        record.state = record.attempts[0].state = ESTIMATED
        record.cost_nanousd = record.attempts[0].cost_nanousd = sequence
        journal.end(sequence, record.SerializeToString())
        ended.append(record.usage_id)
    await journal.close(done=False)
    return incarnation_id, ended, unended


async def test_a_dead_workers_requests_all_end(
    control: FakeControl, start_worker: StartWorker, tmp_path: Path
) -> None:
    """Ends are sent as they are, begins without one as estimates of their full hold, then the incarnation
    closes."""
    root = tmp_path / "journal"
    incarnation_id, ended, unended = await dead_journal(root, segment_bytes=600)
    await start_worker()
    await until(lambda: control.closed_incarnations)
    assert control.closed_incarnations == {incarnation_id: 6}
    assert set(control.posted) == {*ended, *unended}
    first, second = (control.posted[usage_id] for usage_id in unended)
    assert (first.state, first.cost_nanousd, first.attempts[0].why) == (ESTIMATED, 1000, "in_doubt")
    assert (second.state, second.cost_nanousd) == (ESTIMATED, 700)
    assert [attempt.state for attempt in second.attempts] == [VOIDED, ESTIMATED]
    await until((root / f"{incarnation_id}{DONE_SUFFIX}").is_dir)
    assert not (root / incarnation_id).exists()


async def test_many_workers_adopt_each_journal_once(
    control: FakeControl, start_worker: StartWorker, tmp_path: Path
) -> None:
    """Workers that start together share the journals out; nothing is posted as anything but what it was."""
    root = tmp_path / "journal"
    dead = [await dead_journal(root) for _ in range(6)]
    workers = await asyncio.gather(*(start_worker() for _ in range(3)))
    await until(lambda: len(control.closed_incarnations) == 6)
    assert sum(worker.ledger.replayer.counts.journals for worker in workers) == 6
    assert set(control.posted) == {usage_id for _, ended, unended in dead for usage_id in ended + unended}
    assert len(control.received) == 36


async def test_replay_goes_on_when_the_control_plane_comes_back(
    control: FakeControl, start_worker: StartWorker, tmp_path: Path
) -> None:
    """An outage in the middle costs nothing: the journal is taken up again and ends once."""
    incarnation_id, ended, unended = await dead_journal(tmp_path / "journal")
    control.faults["Settle"].extend([Fault(lose_answer=True), Fault(error=error(Reason.UNAVAILABLE))])
    control.faults["CloseIncarnation"].append(Fault(error=error(Reason.UNAVAILABLE)))
    await start_worker()
    await until(lambda: incarnation_id in control.closed_incarnations)
    assert set(control.posted) == {*ended, *unended}
    assert control.count("CloseIncarnation") == 2


async def test_one_bad_record_holds_up_nothing(
    control: FakeControl, start_worker: StartWorker, tmp_path: Path
) -> None:
    """RETRY is asked again at once, conflict and rejection are taken as an answer."""
    incarnation_id, ended, unended = await dead_journal(tmp_path / "journal")
    outcome = edge_pb2.SettleOutcome
    script = {
        ended[0]: [outcome.RETRY, outcome.RETRY, outcome.POSTED],
        ended[1]: [outcome.REJECTED],
        unended[0]: [outcome.CONFLICT],
    }
    control.outcome_of = lambda record: (
        script[record.usage_id].pop(0) if script.get(record.usage_id) else None
    )
    await start_worker()
    await until(lambda: incarnation_id in control.closed_incarnations)
    assert not any(script.values())


async def test_damage_is_stepped_over(
    control: FakeControl, start_worker: StartWorker, tmp_path: Path
) -> None:
    """A torn end leaves its begin in doubt; the rest is sent, and the bytes are kept and counted."""
    root = tmp_path / "journal"
    incarnation_id, ended, unended = await dead_journal(root)
    (segment,) = (root / incarnation_id).glob(f"*{SEGMENT_SUFFIX}")
    segment.write_bytes(segment.read_bytes()[:-10])
    worker = await start_worker()
    await until(lambda: incarnation_id in control.closed_incarnations)
    assert set(control.posted) == {*ended, *unended}
    assert control.posted[ended[-1]].attempts[0].why == "in_doubt"
    assert worker.ledger.replayer.counts.damaged_bytes > 0
    assert worker.ledger.replayer.counts.in_doubt == 3


async def test_an_unnamed_directory_is_left_alone(
    control: FakeControl, start_worker: StartWorker, tmp_path: Path
) -> None:
    """A journal that is being made isn't adopted, nor is one whose worker lives."""
    root = tmp_path / "journal"
    (root / f"{new_id()}.new").mkdir(parents=True)
    first = await start_worker()
    second = await start_worker()
    await asyncio.sleep(0.4)
    assert not control.closed_incarnations
    assert first.ledger.journal.path.is_dir()
    assert second.ledger.journal.path.is_dir()


async def test_a_restored_database_gets_kept_segments_again(
    control: FakeControl, start_worker: StartWorker, tmp_path: Path
) -> None:
    """L21: on another timeline, settled records of done and of live journals are sent once more, and not
    twice."""
    root = tmp_path / "journal"
    incarnation_id, ended, unended = await dead_journal(root)
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(segment_bytes=1500)
    await until(lambda: incarnation_id in control.closed_incarnations)
    for _ in range(5):
        await worker.request(secret)
    assert await worker.ledger.settler.flush(5)
    kept = list(worker.ledger.journal.path.glob(f"*{ACKED_SUFFIX}"))
    assert kept
    posted_before = dict(control.posted)
    control.posted.clear()
    control.closed_incarnations.clear()
    control.timeline = "timeline-2"
    control.end_streams()
    await until(lambda: incarnation_id in control.closed_incarnations)
    assert {*ended, *unended} <= set(control.posted) <= set(posted_before)
    assert len(control.posted) > 6
    received = len(control.received)
    control.end_streams()
    await until(lambda: len(control.watch_requests) == 3)
    await asyncio.sleep(0.4)
    assert len(control.received) == received


async def test_a_worker_killed_under_load_posts_everything_once(
    control: FakeControl, start_worker: StartWorker, tmp_path: Path
) -> None:
    """kill -9 in the middle of requests: what began is posted once, as it ended or as an estimate (I5)."""
    secret = new_secret()
    control.add_key(secret)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.edge.busy_worker",
        control.address,
        str(tmp_path),
        secret,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    said = [await process.stdout.readline() for _ in range(900)]
    process.send_signal(signal.SIGKILL)
    said += (await process.stdout.read()).splitlines()
    await process.wait()
    sent: dict[str, int | None] = {}
    for line in said:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        sent[event["usage_id"]] = event.get("cost", sent.get(event["usage_id"]))
    await start_worker()
    await until(lambda: control.closed_incarnations)
    assert set(sent) <= set(control.posted)
    for usage_id, cost in sent.items():
        record = control.posted[usage_id]
        if record.attempts[0].why == "in_doubt":
            assert record.cost_nanousd == record.hold_nanousd
        elif cost is not None:
            assert record.cost_nanousd == cost
    in_doubt = [r for r in control.posted.values() if r.attempts[0].why == "in_doubt"]
    assert 1 <= len(in_doubt) <= 16
    assert control.budget is not None
    assert control.budget.spent == sum(record.cost_nanousd for record in control.posted.values())
    assert control.budget.overrun == 0
    (last_sequence,) = control.closed_incarnations.values()
    assert sorted(record.sequence for record in control.posted.values()) == list(range(1, last_sequence + 1))


async def test_a_frame_of_an_unknown_kind_is_damage(tmp_path: Path) -> None:
    """A newer version's records are set aside, not guessed at."""
    data = frame(Kind.BEGIN, b"")
    other = data[:10] + b"\x09" + data[11:]
    path = tmp_path / f"1{SEGMENT_SUFFIX}"
    path.write_bytes(other)
    assert read_segment(path).damaged_bytes == len(other)
