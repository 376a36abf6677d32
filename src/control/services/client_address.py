"""Who really calls, where an edge calls for somebody."""

from control.interceptors.concern import Context
from tollkeeper.networks import CLIENT_ADDRESS_METADATA

_MAX_ADDRESS_CHARS = 64


def client_address(context: Context) -> str:
    """The address that an edge tells, else the host of the peer: a new connection is no new caller.

    Whoever reaches the control plane itself can make addresses up, so what counts by address needs a second
    limit that doesn't.
    """
    metadata = dict(context.invocation_metadata() or ())
    told = metadata.get(CLIENT_ADDRESS_METADATA)
    return told[:_MAX_ADDRESS_CHARS] if isinstance(told, str) and told else _host(context.peer())


def _host(peer: str) -> str:
    """`ipv4:192.0.2.1:4711` → `ipv4:192.0.2.1`."""
    return peer.rpartition(":")[0] or peer
