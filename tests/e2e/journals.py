"""What edges wrote into their journals, read from the files."""

from pathlib import Path

from edge.journal_format import Kind, read_frames
from tollkeeper.v1.edge_pb2 import UsageRecord


def journaled(data_dir: Path, usage_id: str) -> list[tuple[Kind, UsageRecord]]:
    """The records of one request in the order in which they were written: attempts begun, then the end."""
    found = []
    for path in sorted((data_dir / "journal").glob("*/*")):
        for kind, payload in read_frames(path.read_bytes()):
            if kind in (Kind.BEGIN, Kind.END) and usage_id.encode() in payload:
                record = UsageRecord.FromString(payload)
                if record.usage_id == usage_id:
                    found.append((kind, record))
    return found
