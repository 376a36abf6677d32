"""Checking passwords: throttled over all replicas, a few at once, and as slowly without a password as with
one."""

import asyncio
import hashlib
from datetime import timedelta

from control.domain.passwords import is_password
from control.metrics import Metrics
from control.store import password_failures
from control.store.database import Database
from tollkeeper.errors import Reason, TollkeeperError

ATTEMPTS = 10
WINDOW = timedelta(minutes=5)
# Each check takes 64 MiB for its while.
_CHECKS_AT_ONCE = 4


class PasswordChecks:
    """One for all services of a replica."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._logins = metrics.logins
        self._checks = asyncio.Semaphore(_CHECKS_AT_ONCE)

    async def check(self, name: str, password: str, password_hash: str | None) -> None:
        """Raises INVALID_CREDENTIALS unless the password is the one hashed, and LOGIN_THROTTLED when `name`,
        which stands for who is asked for and who asks, was wrong too often."""
        name_hash = hashlib.sha256(name.encode()).digest()
        async with self._database.write() as connection:
            wait_s = await password_failures.begin_attempt(connection, name_hash, ATTEMPTS, WINDOW)
        if wait_s > 0:
            self._logins.labels("throttled").inc()
            raise TollkeeperError(
                Reason.LOGIN_THROTTLED, "Too many attempts to sign in; wait a while.", retry_after_s=wait_s
            )
        async with self._checks:
            matches = await asyncio.to_thread(is_password, password_hash, password)
        if not matches:
            self._logins.labels("refused").inc()
            raise wrong_password()
        self._logins.labels("ok").inc()
        async with self._database.write() as connection:
            await password_failures.forget(connection, name_hash)


def wrong_password() -> TollkeeperError:
    """The same for an unknown user and a wrong password."""
    return TollkeeperError(Reason.INVALID_CREDENTIALS, "Email or password is wrong.")


def host_of(peer: str) -> str:
    """`ipv4:192.0.2.1:4711` → `ipv4:192.0.2.1`: a new connection is no new caller."""
    return peer.rpartition(":")[0] or peer
