"""What came back from a vendor, before it is judged or relayed."""

from edge.call import Call
from edge.candidates import Candidate
from edge.upstream.encoding import Decoder, decoder_for
from edge.upstream.head import Head
from edge.upstream.response import COLLECTED_HIGH_WATER_BYTES
from edge.upstream.transport import Response, TransportError


class Upstream:
    """The vendor's answer. Either `complete`, with the whole body in `data`, or `data` is its beginning."""

    __slots__ = (
        "broken_by",
        "candidate",
        "complete",
        "data",
        "decoder",
        "final",
        "head",
        "response",
        "status",
    )

    def __init__(self, candidate: Candidate, response: Response, head: Head) -> None:
        self.candidate = candidate
        self.response = response
        self.status = response.status
        self.head = head
        self.decoder: Decoder | None = decoder_for(head.encoding) if head.encoding else None
        self.data = b""
        self.complete = False
        self.final = False
        """A refusal that is passed on: its attempt has been told to the ledger already."""
        self.broken_by: TransportError | None = None
        """Why it ended early, while it was relayed."""


async def answer_of(candidate: Candidate, response: Response, call: Call, most_bytes: int) -> Upstream:
    """The first bytes of a stream, or all of a body that is no stream unless it is longer than `most_bytes`:
    until they are there, others may be tried. Raises TransportError."""
    upstream = Upstream(candidate, response, Head(response))
    if (call.stream and upstream.head.is_event_stream) or call.family.relays_body:
        first = await response.next_chunk()
        upstream.data = first or b""
        upstream.complete = first is None
        return upstream
    if response.ended:  # all of it has come with the head
        upstream.data = await response.next_chunk() or b""
        upstream.complete = True
        return upstream
    pieces: list[bytes] = []
    size = 0
    high_water_bytes, response.high_water_bytes = response.high_water_bytes, COLLECTED_HIGH_WATER_BYTES
    while size <= most_bytes:
        chunk = await response.next_chunk()
        if chunk is None:
            upstream.complete = True
            break
        pieces.append(chunk)
        size += len(chunk)
    response.high_water_bytes = high_water_bytes
    upstream.data = b"".join(pieces)
    return upstream


def refusal(candidate: Candidate, response: Response, body: bytes) -> tuple[Upstream, bytes]:
    """A complete answer that isn't a success, and its body as plain text; empty where it can't be decoded."""
    upstream = Upstream(candidate, response, Head(response))
    upstream.data, upstream.complete, upstream.final = body, True, True
    if upstream.decoder is None:
        return upstream, body
    try:
        upstream.data = upstream.decoder.decode(body)
    except ValueError:
        upstream.decoder = None
        return upstream, b""
    return upstream, upstream.data
