"""The engine, and transactions named by what they are for.

Store functions take the connection; whoever opened the transaction commits it. Leaving a block with an
exception rolls back.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tollkeeper.errors import Reason, TollkeeperError

Result = TypeVar("Result")

# What transactions hand out; services name it by this, and nothing else of SQLAlchemy.
Connection = AsyncConnection

# serialization_failure, deadlock_detected: the transaction was undone and may simply run again.
_RETRIED_SQLSTATES = frozenset({"40001", "40P01"})
UNIQUE_VIOLATION = "23505"
_ATTEMPTS = 5


class Database:
    """A pool of connections to one PostgreSQL. Raises TollkeeperError UNAVAILABLE while it can't be
    reached."""

    def __init__(self, url: str, pool_size: int = 10, statement_timeout_s: float = 30.0) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            pool_pre_ping=False,
            connect_args={
                "connect_timeout": 5,
                "options": f"-c statement_timeout={int(statement_timeout_s * 1000)} -c timezone=UTC"
                " -c idle_in_transaction_session_timeout=60000",
            },
        )

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One snapshot (REPEATABLE READ); rolled back at the end, so that a stray write is lost and its test
        fails."""
        async with self._connection() as connection:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield connection
            await connection.rollback()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """READ COMMITTED, committed at the end; rows that are read to be changed are locked by the store."""
        async with self._connection() as connection:
            yield connection
            await connection.commit()

    async def write_again(
        self, work: Callable[[AsyncConnection], Awaitable[Result]], also: Collection[str] = ()
    ) -> Result:
        """Runs `work` in a write transaction, and again when the database undid it for the sake of another
        (or with an SQLSTATE in `also`)."""
        for attempt in range(_ATTEMPTS):
            try:
                async with self.write() as connection:
                    return await work(connection)
            except DBAPIError as error:
                again = sqlstate(error) in _RETRIED_SQLSTATES or sqlstate(error) in also
                if not again or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self.engine.connect() as connection:
                yield connection
        except (OperationalError, PoolTimeoutError, OSError, TimeoutError) as error:
            if isinstance(error, DBAPIError) and sqlstate(error) in _RETRIED_SQLSTATES:
                raise
            raise TollkeeperError(
                Reason.UNAVAILABLE, "The database can't be reached.", retry_after_s=1
            ) from error

    async def close(self) -> None:
        """Closes all connections."""
        await self.engine.dispose()


def sqlstate(error: DBAPIError) -> str | None:
    """The five-character code PostgreSQL gave, if it gave one."""
    return getattr(error.orig, "sqlstate", None)


def is_data_error(error: Exception) -> bool:
    """Whether the database refused the data itself (classes 22 and 23), which another try won't change."""
    return isinstance(error, DBAPIError) and (sqlstate(error) or "")[:2] in ("22", "23")
