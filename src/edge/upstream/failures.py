"""How a request to an upstream can fail, told apart by what is known about billing.

TransportError
├── ConnectFailed          no connection was made
│   └── AddressRefused     the name resolves to an address that policy forbids
├── NotSent                no connection was free in time, or the transport is closed
│   └── InvalidRequest     the request cannot be written as HTTP/1.1
├── SentButNoAnswer        written, then the connection was lost before an answer
│   └── BadAnswer          written, and the answer's head is not acceptable HTTP/1.1
├── FirstByteTimeout       written, and no answer within first_byte_s
├── BrokenBody             the body ended before its end, or broke the framing
│   └── BodyTooLarge       more body than the caller was ready to hold
├── IdleTimeout            no byte of the body for idle_s
└── TotalTimeout           the request's own time is over, wherever it stood

`request_sent` is False only when not one byte was handed to the connection: then the request cannot have been
billed, its hold may be voided and it may go elsewhere. When True the outcome upstream is unknown.
"""

from typing import ClassVar


class TransportError(Exception):
    """Base of every failure of the transport; the message never carries request content or a credential."""

    request_sent: ClassVar[bool] = True


class ConnectFailed(TransportError):
    """Resolving, connecting or the TLS handshake failed or took longer than connect_s."""

    request_sent = False


class AddressRefused(ConnectFailed):
    """For `check_address` hooks: the upstream's address is one that this edge must not talk to."""


class NotSent(TransportError):
    """No connection became free in time, too many requests were waiting, or the transport is closed."""

    request_sent = False


class InvalidRequest(NotSent):
    """Method, target or a header cannot be written as they are."""


class SentButNoAnswer(TransportError):
    """The connection was lost after the request was written and before the answer's head was complete."""


class BadAnswer(SentButNoAnswer):
    """The head of the answer is not HTTP/1.1, or larger than allowed."""


class FirstByteTimeout(TransportError):
    """The answer's head was not complete within first_byte_s of the request being written."""


class BrokenBody(TransportError):
    """The body ended early or broke its framing, or was read after the response was closed."""


class BodyTooLarge(BrokenBody):
    """`Response.read` met more bytes than its limit; the connection was given up."""


class IdleTimeout(TransportError):
    """The upstream sent nothing for idle_s in the middle of a body."""


class TotalTimeout(TransportError):
    """The time that the whole request may take is over."""
