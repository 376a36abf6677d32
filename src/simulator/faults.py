"""Standing orders for the management API to misbehave, since its callers can't be asked to steer it."""

from collections import deque
from dataclasses import dataclass, fields
from typing import Any

import orjson

from simulator.errors import ApiError

FAULT_LIMIT = 64
DELAY_LIMIT_MS = 600_000


class FaultError(ValueError):
    """The order can't be understood."""


@dataclass(slots=True)
class Fault:
    """The next `times` calls that match go wrong; `docs/simulator.md` explains each field."""

    method: str = ""
    path: str = ""
    times: int = 1
    status: int = 0
    code: int = 10000
    message: str = "Internal error"
    retry_after: str = ""
    delay_ms: int = 0
    lost: bool = False
    cut: bool = False
    garbage: bool = False

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("", method) and self.path in path

    def error(self) -> ApiError:
        return ApiError(self.status, self.code, self.message)


class Faults:
    """Orders in the sequence they came; a spent one is dropped."""

    def __init__(self) -> None:
        self._faults: deque[Fault] = deque(maxlen=FAULT_LIMIT)

    def add(self, body: bytes) -> None:
        """Takes one order or a list of them. Raises FaultError."""
        try:
            given = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise FaultError(str(error)) from error
        self._faults.extend([_fault(each) for each in (given if isinstance(given, list) else [given])])

    def next(self, method: str, path: str) -> Fault | None:
        """The fault of this call, counted as used."""
        for fault in self._faults:
            if fault.matches(method, path):
                fault.times -= 1
                if fault.times == 0:
                    self._faults.remove(fault)
                return fault
        return None

    def waiting(self) -> int:
        """How many calls are still to go wrong."""
        return sum(fault.times for fault in self._faults)

    def clear(self) -> None:
        self._faults.clear()


def _fault(given: Any) -> Fault:
    if not isinstance(given, dict):
        raise FaultError("a fault is an object")
    kinds = {each.name: type(each.default) for each in fields(Fault)}
    for name, value in given.items():
        if name not in kinds or type(value) is not kinds[name] or (isinstance(value, int) and value < 0):
            raise FaultError(f"a fault has no {name}={value!r}")
    fault = Fault(**given)
    if fault.delay_ms > DELAY_LIMIT_MS or fault.status not in (0, *range(400, 600)):
        raise FaultError("delay_ms or status is out of range")
    return fault
