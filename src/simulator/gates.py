"""Gates: named points where a stream waits until a test lets it go on."""

import asyncio
from dataclasses import dataclass, field

GATE_LIMIT = 1024


class GateLimitError(RuntimeError):
    """Too many gates exist; a reset drops them all."""


@dataclass(slots=True)
class _Gate:
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0


class Gates:
    """Gates come into being closed, when first opened or waited for, and stay open once opened."""

    def __init__(self) -> None:
        self._gates: dict[str, _Gate] = {}

    def open(self, name: str) -> None:
        """Let everyone through who waits at `name` or comes later. Raises GateLimitError."""
        self._gate(name).opened.set()

    async def passed(self, name: str) -> None:
        """Wait until `name` is open. Raises GateLimitError."""
        gate = self._gate(name)
        gate.waiting += 1
        try:
            await gate.opened.wait()
        finally:
            gate.waiting -= 1

    def state(self) -> dict[str, dict[str, int | bool]]:
        """Each gate's name with whether it is open and how many streams wait there."""
        return {
            name: {"open": gate.opened.is_set(), "waiting": gate.waiting}
            for name, gate in self._gates.items()
        }

    def reset(self) -> None:
        """Release everyone who waits and forget all gates."""
        for gate in self._gates.values():
            gate.opened.set()
        self._gates.clear()

    def _gate(self, name: str) -> _Gate:
        gate = self._gates.get(name)
        if gate is None:
            if len(self._gates) >= GATE_LIMIT:
                raise GateLimitError(f"more than {GATE_LIMIT} gates")
            gate = self._gates[name] = _Gate()
        return gate
