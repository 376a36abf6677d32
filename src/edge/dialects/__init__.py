"""The shapes in which clients of inference read errors, whole or as the last event of a stream."""

from collections.abc import Callable
from dataclasses import dataclass

from edge.errors import Rendered, event, render
from tollkeeper.errors import TollkeeperError


@dataclass(frozen=True, slots=True)
class Dialect:
    """One vendor's way of saying that something failed."""

    render: Callable[[TollkeeperError], Rendered]
    event: Callable[[TollkeeperError], bytes]
    """The last event of a stream that broke. SDKs raise on it; without it a cut answer would look
    complete."""
    heartbeat: bytes = b": ping\n\n"
    """What is sent into a stream to show that it is alive: something its clients' SDKs pass over. Empty:
    there is no such thing."""


OPENAI = Dialect(render, event)
