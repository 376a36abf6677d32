"""How a family's requests and answers look in one vendor's format: one module for each pair."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from edge.call import Call, Made
from edge.upstream.cloudflare import Endpoint
from edge.upstream.upload import Upload
from tollkeeper.cost import UsageCounts
from tollkeeper.errors import TollkeeperError
from tollkeeper.operations import Operation


@dataclass(slots=True)
class Changes:
    """What differs from what the client sent. `output_limit` None: its own limit, or none, stands."""

    model: str
    output_limit: int | None
    held_output: int = 0
    """Of each choice, that the hold covers: what a vendor is told that must be told a limit."""
    by_units: bool = False
    """The price counts no model tokens."""


class Reading(NamedTuple):
    """What a whole answer tells."""

    usage: UsageCounts | None = None
    """None: it can't be trusted, or isn't there."""
    model: str = ""
    finish: str = ""
    answer: dict[str, Any] | None = None
    """Translated for the client; None: it gets the body as it came."""
    failure: TollkeeperError | None = None
    """A success that isn't one; what was used is billed nevertheless."""
    why: str = "usage_missing"
    """Why there is no usage."""
    unbilled: bool = False
    """The vendor says in so many words that it did nothing: `why` tells what."""
    units: UsageCounts | None = None
    """What follows from the request alone, and is billed where the price counts no model tokens."""
    kept: "tuple[Made, ...]" = ()
    """What the end of a kept object left behind at the vendor."""
    plain: tuple[bytes, bytes] | None = None
    """Media type and body for the client, where it asked for something else than JSON."""


class Unbilled(NamedTuple):
    """An error event of a stream that came instead of an answer, so that nothing is billed."""

    error: object
    why: str


class StreamReader(Protocol):
    """Watches, and may translate, the events of one answer on their way to the client."""

    @property
    def usage(self) -> UsageCounts | None:
        """As last reported; reports are never added up."""

    @property
    def usage_is_final(self) -> bool:
        """It came with or after the finish, so that a stream which breaks now has told everything."""

    @property
    def model(self) -> str: ...
    @property
    def finish(self) -> str: ...
    @property
    def done(self) -> bool:
        """The last event has passed."""

    @property
    def error(self) -> object:
        """What the vendor's error event held; None: there was none."""

    @property
    def withheld_count(self) -> int:
        """Usage events kept from a client that didn't ask for them."""

    def feed(self, chunk: bytes) -> bytes:
        """What to send on now."""

    def flush(self) -> bytes:
        """What is left when the upstream has ended."""


class Format(Protocol):
    """Stateless; one for each family and wire."""

    def operation(self, stream: bool) -> Operation:
        """What is asked of the vendor."""

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes | Upload:
        """The body that goes upstream. Raises INVALID_ARGUMENT for what can't be said in this format."""

    def content_type(self, call: Call) -> bytes:
        """Of that body."""

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Reads a complete answer; None: its body isn't a JSON object."""

    def stream(self, call: Call) -> StreamReader:
        """A reader for an answer in events."""

    def error(self, status: int, body: bytes) -> bytes | None:
        """A vendor's refusal as the family's clients read it; None: as it came."""
