"""Settles who calls, from `authorization: Bearer <secret>` in the call's metadata."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic

from google.protobuf.message import Message

from control.caller import set_called_method, set_caller
from control.domain.identity import ANONYMOUS, CallerKind, Identity
from control.interceptors.concern import Context, Stream, Unary
from control.interceptors.metrics import short_name
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.key_format import secret_hash

# Finds the live credential with this hash.
Lookup = Callable[[bytes], Awaitable[Identity | None]]

_SCHEME = "bearer "
_MAX_SECRET_CHARS = 512
_REMEMBERED = (CallerKind.EDGE, CallerKind.CLI)
CACHED_S = 5.0
MAX_CACHED = 1024


class Authentication:
    """Sets the caller of each RPC; a call without credential is anonymous, one with a wrong credential is
    refused.

    Edges call often and their credentials change rarely: those, and the CLI's, are remembered for up to 5
    seconds. Sessions and API tokens are looked up each time, so that ending them and suspending act at once
    on every replica.
    """

    def __init__(self, lookup: Lookup, clock: Callable[[], float] = monotonic) -> None:
        self._lookup = lookup
        self._clock = clock
        self._cache: OrderedDict[bytes, tuple[float, Identity]] = OrderedDict()

    def unary(self, method: str, inner: Unary) -> Unary:
        """UNAUTHENTICATED for a credential that isn't known or has ended."""
        name = short_name(method)

        async def handle(request: Message, context: Context) -> Message:
            set_called_method(name)
            set_caller(await self._identify(context))
            return await inner(request, context)

        return handle

    def stream(self, method: str, inner: Stream) -> Stream:
        """As for unary methods, once at the begin."""
        name = short_name(method)

        async def handle(request: Message, context: Context) -> AsyncIterator[Message]:
            set_called_method(name)
            set_caller(await self._identify(context))
            async for message in inner(request, context):
                yield message

        return handle

    async def _identify(self, context: Context) -> Identity:
        secret = _secret(context)
        if secret is None:
            return ANONYMOUS
        digest = secret_hash(secret)
        cached = self._cache.get(digest)
        if cached is not None and cached[0] > self._clock():
            return cached[1]
        identity = await self._lookup(digest) if len(secret) <= _MAX_SECRET_CHARS else None
        if identity is None:
            self._cache.pop(digest, None)
            raise TollkeeperError(Reason.UNAUTHENTICATED, "The credential isn't known, or it has ended.")
        if identity.kind in _REMEMBERED:
            self._remember(digest, identity)
        return identity

    def _remember(self, digest: bytes, identity: Identity) -> None:
        self._cache[digest] = (self._clock() + CACHED_S, identity)
        self._cache.move_to_end(digest)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)


def _secret(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            text = value if isinstance(value, str) else value.decode("ascii", "replace")
            if text[: len(_SCHEME)].lower() != _SCHEME:
                raise TollkeeperError(Reason.UNAUTHENTICATED, "The authorization must be `Bearer <secret>`.")
            return text[len(_SCHEME) :].strip()
    return None
