"""Writes a journal until it is killed: `python -m tests.edge.journal_writer ROOT`. Prints each sequence
that is safe."""

import sys
from pathlib import Path

from edge.journal import Journal, JournalSettings
from tests.edge.fake_control import new_id
from tollkeeper.v1 import edge_pb2

SEGMENT_BYTES = 20_000


def main() -> None:
    """Begins and ends requests; every tenth never ends."""
    incarnation_id = new_id()
    journal = Journal(Path(sys.argv[1]), incarnation_id, JournalSettings(segment_bytes=SEGMENT_BYTES))
    while True:
        sequence = journal.last_sequence + 1
        record = edge_pb2.UsageRecord(
            usage_id=new_id(), incarnation_id=incarnation_id, sequence=sequence, requested_model="m" * 50
        )
        record.attempts.add(number=1, hold_nanousd=5)
        journal.begin(sequence, record.SerializeToString())
        sys.stdout.write(f"begin {sequence}\n")
        sys.stdout.flush()
        if sequence % 10:
            record.state = edge_pb2.USAGE_STATE_VOIDED
            journal.end(sequence, record.SerializeToString())
            sys.stdout.write(f"end {sequence}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
