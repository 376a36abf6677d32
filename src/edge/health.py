"""What the workers of a machine know of providers' health, for people: each writes it to a file of its own,
and any of them shows all (`/statusz`)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

_SUFFIX = ".health"


def health_file(data_dir: Path, worker: int) -> Path:
    """The file of one worker."""
    return data_dir / "run" / f"edge-worker-{worker}{_SUFFIX}"


class HealthFile:
    """Of one worker; there is one only while it has something to say."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._says_something = path.exists()  # what the worker before left

    def write(self, rows: list[dict[str, object]]) -> None:
        """`rows` are of `Breakers.rows`. Raises OSError."""
        if not rows:
            if self._says_something:
                self._path.unlink(missing_ok=True)
                self._says_something = False
        else:
            # In one step, so that nobody reads half of it.
            new = self._path.with_suffix(".new")
            new.write_bytes(orjson.dumps(rows))
            new.replace(self._path)
            self._says_something = True


def breakers_of(data_dir: Path) -> list[Mapping[str, Any]]:
    """The breakers that aren't closed, of all workers, each with its `worker`."""
    files = sorted((data_dir / "run").glob(f"edge-worker-*{_SUFFIX}"))
    return [row for path in files for row in _rows(path)]


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    worker = path.stem.rpartition("-")[2]
    try:
        rows = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):  # it is well again, or its worker was killed while it wrote
        return []
    return [{"worker": worker, **row} for row in rows]
