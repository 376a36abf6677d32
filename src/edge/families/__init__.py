"""What the edge serves: one family for each path of a vendor's API that apps call (docs/architecture.md)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanic.request import Request

from edge.call import Call
from edge.dialects import OPENAI, Dialect
from edge.formats import Format
from edge.uploads.receive import ReadForm
from tollkeeper.operations import Wire

if TYPE_CHECKING:
    from edge.kept_objects import KeptObject


def of_body(parse: Callable[[bytes, bool], Call]) -> Callable[[Request, bool], Call]:
    """A family's `parse` that looks at nothing but the body."""
    return lambda request, with_provider: parse(request.body, with_provider)


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of request."""

    name: str
    """Label `route` of the metrics."""
    parse: Callable[[Request, bool], Call]
    """Reads a request; the flag says that a text `provider` in its body chooses among rules and is not
    forwarded. Raises INVALID_ARGUMENT, with the field's name as `param`."""
    formats: Mapping[Wire, Format] = field(hash=False)
    """How it is said in each format that it can be sent in."""
    dialect: Dialect = OPENAI
    """What its clients read errors in."""
    passed_headers: tuple[str, ...] = ()
    """Headers of clients that go to the vendor."""
    wire_headers: Mapping[Wire, bytes] = field(default_factory=dict, hash=False)
    """Header lines that go to vendors of a format beside the destination's."""
    cacheable: bool = False
    """Asking again gives as good an answer, so it may come from Cloudflare's cache."""
    free: bool = False
    """The vendor bills nothing for it, and it names no model."""
    passes: bool = False
    """It goes through as it is, to the path that the client names."""
    learn: "Callable[[Call, Sequence[KeptObject]], None] | None" = None
    """Takes model and worst case from the kept objects that a request names. Raises INVALID_ARGUMENT."""
    read_form: ReadForm | None = None
    """Reads a request whose body is a form, in place of `parse`."""
    stream_type: bytes = b""
    """Media type of its streams; empty: the vendor's."""
    relays_body: bool = False
    """A body goes on as it comes, even when it is no stream of events."""
