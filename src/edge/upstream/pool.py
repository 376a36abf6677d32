"""The connections to one origin: idle ones to reuse, a bound on open ones, a bounded queue for the rest."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from edge.upstream.connection import Connection
from edge.upstream.failures import ConnectFailed, NotSent
from edge.upstream.limits import Limits, Origin, Stats


class Pool:
    """Connections to one origin.

    A request takes, in this order: an idle connection (the one used last, so that the others can age out), a
    new one while fewer than max_connections are open, or a turn in the queue. Whoever frees a connection or a
    slot hands it to the head of the queue directly, so late comers never overtake.
    """

    def __init__(
        self,
        origin: Origin,
        limits: Limits,
        tls: ssl.SSLContext | None,
        check_address: Callable[[str], None] | None,
        loop: asyncio.AbstractEventLoop,
        buffer: memoryview,
    ) -> None:
        """`buffer` is where the loop puts what its connections receive."""
        self.origin = origin
        self.host_line = b"host: " + origin.authority.encode("ascii") + b"\r\n"
        self._limits = limits
        self._tls = tls
        self._check_address = check_address
        self._loop = loop
        self._buffer = buffer
        self._connections: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # ordered, the last used one last
        self._dialing = 0  # slots held by connections being made
        self._queue: deque[tuple[float, asyncio.Future[Connection | None]]] = deque()
        self._lookup: asyncio.Task[list[str] | str] | None = None
        self._closed = False

    def take_idle(self) -> Connection | None:
        """An idle connection that can still be used, now the caller's."""
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.reusable():
                return connection
            connection.abort()
        return None

    async def acquire(self, connect_s: float) -> Connection:
        """A connection that is the caller's until it releases, aborts or loses it.

        Raises ConnectFailed, NotSent.
        """
        while True:
            if self._closed:
                raise NotSent("the transport is closed")
            connection = self.take_idle()
            if connection is not None:
                return connection
            if self._open_count() < self._limits.max_connections:
                self._dialing += 1
                return await self._dial(connect_s)
            connection = await self._turn()
            if connection is None:  # a free slot, counted as ours already
                return await self._dial(connect_s)
            if connection.reusable():
                return connection
            connection.abort()

    # Called by connections.

    def release(self, connection: Connection) -> None:
        """Take back a connection: for the head of the queue, or to keep."""
        now = self._loop.time()
        connection.idle_since = now
        connection.deadline = now + self._limits.keep_alive_s
        if self._closed:
            connection.abort()
        elif not self._hand_over(connection):
            self._idle[connection] = None

    def forget(self, connection: Connection) -> None:
        """Stop counting a connection that is gone; its slot goes to the head of the queue."""
        if connection in self._connections:
            self._connections.remove(connection)
            self._idle.pop(connection, None)
            self._offer_slot()

    # Called by the transport.

    def sweep(self, now: float) -> bool:
        """Apply every deadline that has passed. Returns whether anything is left here to watch."""
        late = [each for each in self._connections if each.deadline <= now or each.end_by_s <= now]
        for connection in late:
            connection.expire(now)
        while self._queue and (self._queue[0][0] <= now or self._queue[0][1].done()):
            _, turn = self._queue.popleft()
            if not turn.done():
                turn.set_exception(NotSent(f"no connection was free within {self._limits.max_wait_s:g} s"))
        return bool(self._connections or self._dialing or self._queue)

    def close(self) -> None:
        """Refuse new requests, also the waiting ones, and close what is idle."""
        self._closed = True
        while self._queue:
            _, turn = self._queue.popleft()
            if not turn.done():
                turn.set_exception(NotSent("the transport is closed"))
        for connection in list(self._idle):
            connection.abort()

    def abort(self) -> None:
        """Close every connection, also those in use, whose responses fail."""
        for connection in list(self._connections):
            connection.lose("the transport was closed")

    def stats(self) -> Stats:
        """How many connections and waiting requests there are."""
        opened, idle = self._open_count(), len(self._idle)
        return Stats(open=opened, idle=idle, in_use=opened - idle, waiting=len(self._queue))

    # Slots and turns

    def _open_count(self) -> int:
        return len(self._connections) + self._dialing

    async def _turn(self) -> Connection | None:
        """Wait in the queue for a connection, or for a slot to open one (None)."""
        if len(self._queue) >= self._limits.max_waiting:
            raise NotSent(f"{self._limits.max_waiting} requests already wait for a connection")
        turn: asyncio.Future[Connection | None] = self._loop.create_future()
        entry = (self._loop.time() + self._limits.max_wait_s, turn)
        self._queue.append(entry)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                # Whoever served the queue before this task went on may have dropped it already.
                with suppress(ValueError):
                    self._queue.remove(entry)
            elif turn.exception() is None:  # cancelled between being given its turn and taking it
                self._return_turn(turn.result())
            raise

    def _return_turn(self, connection: Connection | None) -> None:
        if connection is None:
            self._dialing -= 1
            self._offer_slot()
        elif connection.reusable():
            self.release(connection)
        else:
            connection.abort()

    def _hand_over(self, connection: Connection | None) -> bool:
        while self._queue:
            _, turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _offer_slot(self) -> None:
        if self._queue and self._open_count() < self._limits.max_connections and self._hand_over(None):
            self._dialing += 1

    # Making connections

    async def _dial(self, connect_s: float) -> Connection:
        """Make a connection in the slot that the caller holds."""
        connection: Connection | None = None
        try:
            async with asyncio.timeout(connect_s):
                connection = await self._connect()
        except TimeoutError as error:
            raise ConnectFailed(f"no connection to {self.origin} within {connect_s:g} s") from error
        except (OSError, UnicodeError) as error:  # ssl.SSLError is an OSError; a host name may fail to encode
            raise ConnectFailed(f"cannot connect to {self.origin}: {error}") from error
        finally:
            self._dialing -= 1
            if connection is not None and not connection.closed:
                self._connections.add(connection)
            else:
                self._offer_slot()
        if connection.closed:
            raise ConnectFailed(f"{self.origin} closed the connection at once")
        return connection

    async def _connect(self) -> Connection:
        """Resolve first and connect to the addresses, so that what was checked is what gets connected to."""
        # Whoever dials meanwhile shares a look-up: a burst's would queue for the resolver's few threads.
        if self._lookup is None:
            self._lookup = self._loop.create_task(self._look_up())
        addresses = await asyncio.shield(self._lookup)
        if isinstance(addresses, str):
            raise OSError(addresses)
        if self._check_address is not None:
            for address in addresses:
                self._check_address(address)
        if not addresses:
            raise OSError("the name has no address")
        for address in addresses[:-1]:
            with suppress(OSError):
                return await self._connect_to(address)
        return await self._connect_to(addresses[-1])

    async def _look_up(self) -> list[str] | str:
        """The name's addresses, or why there are none: an error would be raised for all who wait at once."""
        try:
            host, port = self.origin.host, self.origin.port
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            return str(error)
        finally:
            self._lookup = None
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def _connect_to(self, address: str) -> Connection:
        connection = Connection(self, self._loop, self._limits, self._buffer)
        try:
            await self._loop.create_connection(
                lambda: connection,
                address,
                self.origin.port,
                ssl=self._tls,
                server_hostname=self.origin.host if self._tls is not None else None,
            )
        except BaseException:
            connection.abort()  # cancelled at the very end, the connection may have been made already
            raise
        return connection

    def __repr__(self) -> str:
        stats = self.stats()
        return (
            f"<Pool {self.origin} open={stats.open} idle={stats.idle} in_use={stats.in_use} "
            f"waiting={stats.waiting}>"
        )
