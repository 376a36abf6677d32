"""What every call gets: a credential, a deadline, a request id where it creates something, and another try
where that can do no harm. The same for the asyncio and the blocking client."""

import random
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from google.protobuf.message import Message

from tollkeeper.errors import Reason, TollkeeperError

CALL_TIMEOUT_S = 30.0
ATTEMPTS = 4
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0

# Answered alike however often they are sent: reads, and what the ledger recognises by its ids (L5, L17).
_REPEATABLE_PREFIXES = ("Get", "List", "Query")
_REPEATABLE = frozenset(
    {
        "Authorize",
        "AcquireLease",
        "ReturnLease",
        "Settle",
        "CloseIncarnation",
        "FindKeptObjects",
        "ScanKeptObjects",
        "ShowKey",
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How a client makes its calls."""

    credential: str | None = field(default=None, repr=False)
    # Of a call with all its attempts; None: as long as the server likes.
    timeout_s: float | None = CALL_TIMEOUT_S

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """What is sent with each call."""
        return [("authorization", f"Bearer {self.credential}")] if self.credential else []


class Attempts:
    """The attempts of one call: what is sent, how long each may take, and whether there is another."""

    def __init__(self, method: str | bytes, request: Any, timeout_s: float | None) -> None:
        self.request = _with_request_id(request)
        self._repeatable = is_repeatable(method, self.request)
        self._end_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._number = 1

    @property
    def timeout_s(self) -> float | None:
        """What is left for this attempt."""
        return None if self._end_s is None else max(0.001, self._end_s - time.monotonic())

    def pause_s(self, error: TollkeeperError) -> float | None:
        """How long to wait before the next attempt; None: the error is the answer."""
        if error.reason != Reason.UNAVAILABLE or not self._repeatable or self._number >= ATTEMPTS:
            return None
        pause_s = min(_FIRST_PAUSE_S * 2.0 ** (self._number - 1), _LONGEST_PAUSE_S) * random.uniform(0.8, 1.2)
        if error.metadata:
            # Its own words, so that it lives: its database is away, and it says how long to wait.
            pause_s = max(pause_s, min(error.retry_after_s or 0, _LONGEST_PAUSE_S))
        if self._end_s is not None and time.monotonic() + pause_s >= self._end_s:
            return None
        self._number += 1
        return pause_s


def is_repeatable(method: str | bytes, request: Any) -> bool:
    """Whether the call may be sent again without knowing whether the first one arrived."""
    name = (method if isinstance(method, str) else method.decode()).rpartition("/")[2]
    return (
        name.startswith(_REPEATABLE_PREFIXES)
        or name in _REPEATABLE
        or bool(isinstance(request, Message) and getattr(request, "request_id", ""))
    )


def _with_request_id(request: Any) -> Any:
    """The request with an id of its own, so that creating may be tried again (AIP-155). The caller's message
    stays as it is: sent twice by him, it means two."""
    if not isinstance(request, Message) or getattr(request, "request_id", None) != "":
        return request
    copy: Any = type(request)()
    copy.CopyFrom(request)
    copy.request_id = str(uuid4())
    return copy
