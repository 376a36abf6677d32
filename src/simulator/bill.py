"""What the simulated vendor charges: one row a request, in tokens, priced by whoever checks it."""

import os
from array import array
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import time
from typing import Any, Literal

import orjson

Finish = Literal["complete", "hangup", "cut", "error"]

INDEX_STRIDE = 256
"""Every so many rows the bill remembers a file offset, which keeps old pages cheap to find."""
MODEL_LIMIT = 1024
"""Models told apart in the summary; later ones are added up under `other`."""


class BillGoneError(LookupError):
    """The rows asked for left memory and there is no bill file."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; every detail is a part of its total, as OpenAI reports them."""

    prompt: int
    completion: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cache_write_1h: int = 0
    """Within `cache_write`."""
    web_searches: int = 0

    def so_far(self, produced: int) -> "Usage":
        """The same prompt with only the first `produced` completion tokens; reasoning comes first."""
        if produced >= self.completion:
            return self
        return replace(self, completion=produced, reasoning=min(self.reasoning, produced))


class Bill:
    """Rows numbered from 1 by `seq`. A row is in the file, by its own write, before `add` returns."""

    def __init__(self, path: Path | None = None, memory_rows: int = 200_000) -> None:
        """Open `path` for appending and continue its numbering.

        Raises OSError, or ValueError when the file is no bill.
        """
        self._lines: deque[bytes] = deque(maxlen=memory_rows)
        self._offsets = array("Q")
        self._size = 0
        self._last = 0
        self._models: dict[str, Counter[str]] = {}
        self._finishes: Counter[str] = Counter()
        self._path = path
        self._fd: int | None = None
        if path is not None:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._load(path, self._fd)

    @property
    def last_seq(self) -> int:
        return self._last

    def add(
        self,
        event_id: str,
        provider: str,
        model: str,
        usage: Usage,
        *,
        status: int,
        finish: Finish,
        stream: bool,
        units: Mapping[str, int] | None = None,
    ) -> None:
        """Append one row; `units` are what is billed beside model tokens. Raises OSError when the bill file
        can't take it."""
        row: dict[str, Any] = {
            "seq": self._last + 1,
            "event_id": event_id,
            "provider": provider,
            "model": model,
            "prompt_tokens": usage.prompt,
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
            "cache_write_1h_tokens": usage.cache_write_1h,
            "completion_tokens": usage.completion,
            "reasoning_tokens": usage.reasoning,
            "web_searches": usage.web_searches,
            "status": status,
            "finish": finish,
            "stream": stream,
            "time": round(time(), 6),
            **(units or {}),
        }
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        if self._fd is not None:
            _write_all(self._fd, line)
        self._remember(row, line)

    def page(self, after: int = 0, limit: int = 1000) -> bytes:
        """Rows with seq > `after`, at most `limit`, as JSON lines. Raises BillGoneError."""
        first_held = self._last - len(self._lines) + 1
        if after >= self._last:
            return b""
        if after + 1 >= first_held:
            start = after + 1 - first_held
            return b"".join(islice(self._lines, start, start + limit))
        if self._fd is None:
            raise BillGoneError(f"rows before {first_held} left memory; keep the bill in a file")
        return self._page_of_file(after, limit)

    def rows(self) -> list[dict[str, Any]]:
        """Every row, decoded. Raises BillGoneError when the first ones left memory."""
        return [orjson.loads(line) for line in self.page(0, self._last).splitlines()]

    def summary(self) -> dict[str, Any]:
        """Totals of all rows ever added: rows and tokens by `provider/model`, rows by finish."""
        return {
            "rows": self._last,
            "last_seq": self._last,
            "in_memory": len(self._lines),
            "by_finish": dict(self._finishes),
            "by_model": {model: dict(totals) for model, totals in self._models.items()},
        }

    def reset(self) -> None:
        """Forget every row, in the file too; numbering starts again at 1."""
        self._lines.clear()
        del self._offsets[:]
        self._size = self._last = 0
        self._models.clear()
        self._finishes.clear()
        if self._fd is not None:
            os.ftruncate(self._fd, 0)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _remember(self, row: dict[str, Any], line: bytes) -> None:
        if self._last % INDEX_STRIDE == 0:
            self._offsets.append(self._size)
        self._size += len(line)
        self._last = row["seq"]
        # A copy: what orjson returns keeps the kilobytes it was written into.
        self._lines.append(b"%b" % line)
        self._finishes[row["finish"]] += 1
        name = f"{row['provider']}/{row['model']}"
        totals = self._models.get(name)
        if totals is None:
            name = name if len(self._models) < MODEL_LIMIT else "other"
            totals = self._models.setdefault(name, Counter())
        totals["rows"] += 1
        totals["prompt_tokens"] += row["prompt_tokens"]
        totals["cached_tokens"] += row["cached_tokens"]
        totals["cache_write_tokens"] += row["cache_write_tokens"]
        totals["completion_tokens"] += row["completion_tokens"]
        totals["reasoning_tokens"] += row["reasoning_tokens"]

    def _load(self, path: Path, fd: int) -> None:
        with path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    # The machine died inside a write: the answer it stands for never went out.
                    os.ftruncate(fd, self._size)
                    return
                row = orjson.loads(line)
                if not isinstance(row, dict) or row.get("seq") != self._last + 1:
                    raise ValueError(f"{path} is no bill: row {self._last + 1} is missing")
                self._remember(row, line)

    def _page_of_file(self, after: int, limit: int) -> bytes:
        assert self._path is not None
        skip = after % INDEX_STRIDE
        with self._path.open("rb") as lines:
            lines.seek(self._offsets[after // INDEX_STRIDE])
            return b"".join(islice(lines, skip, skip + limit))


def _write_all(fd: int, line: bytes) -> None:
    written = os.write(fd, line)
    while written < len(line):
        written += os.write(fd, line[written:])
