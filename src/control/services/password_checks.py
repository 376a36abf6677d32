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
# Over all addresses, which whoever reaches the control plane itself can make up.
ATTEMPTS_OF_ALL = 100
WINDOW = timedelta(minutes=5)
# Each check takes 64 MiB for its while.
_CHECKS_AT_ONCE = 4


class PasswordChecks:
    """One for all services of a replica."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._logins = metrics.logins
        self._checks = asyncio.Semaphore(_CHECKS_AT_ONCE)

    async def check(self, account: str, address: str, password: str, password_hash: str | None) -> None:
        """Raises INVALID_CREDENTIALS unless the password is the one hashed, and LOGIN_THROTTLED when it was
        wrong too often for the account from this address, or from all together."""
        names = _digest(f"{account} {address}"), _digest(account)
        await self._begin(names)
        async with self._checks:
            matches = await asyncio.to_thread(is_password, password_hash, password)
        if not matches:
            self._logins.labels("refused").inc()
            raise wrong_password()
        self._logins.labels("ok").inc()
        async with self._database.write() as connection:
            for name in names:
                await password_failures.forget(connection, name)

    async def _begin(self, names: tuple[bytes, bytes]) -> None:
        async with self._database.write() as connection:
            for name, most in zip(names, (ATTEMPTS, ATTEMPTS_OF_ALL), strict=True):
                wait_s = await password_failures.begin_attempt(connection, name, most, WINDOW)
                if wait_s > 0:
                    self._logins.labels("throttled").inc()
                    raise TollkeeperError(
                        Reason.LOGIN_THROTTLED,
                        "Too many attempts to sign in; wait a while.",
                        retry_after_s=wait_s,
                    )


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def wrong_password() -> TollkeeperError:
    """The same for an unknown user and a wrong password."""
    return TollkeeperError(Reason.INVALID_CREDENTIALS, "Email or password is wrong.")
