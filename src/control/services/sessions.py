"""SessionsService: signing in and out."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from google.protobuf.empty_pb2 import Empty

from control.caller import caller, set_caller
from control.domain.identity import CallerKind, Identity
from control.domain.passwords import is_password
from control.domain.throttle import Throttle
from control.interceptors.concern import Context
from control.metrics import Metrics
from control.services.audit import record_change
from control.services.convert import checked_email, timestamp
from control.services.users import role_name, user_message
from control.store import credentials
from control.store import users as store
from control.store.database import Connection, Database
from control.store.teams import teams_of_users
from control.store.users import Login
from tollkeeper.errors import Reason, TollkeeperError, invalid
from tollkeeper.key_format import SESSION_PREFIX, mint, secret_hash
from tollkeeper.v1 import sessions_pb2, sessions_pb2_grpc, users_pb2

Session = sessions_pb2.Session

_FAILURES = 10
_FAILURE_WINDOW_S = 300.0
_THROTTLED_NAMES = 10_000
# Each check takes 64 MiB for its while.
_CHECKS_AT_ONCE = 4


class SessionsService(sessions_pb2_grpc.SessionsServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        ttl: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._logins = metrics.logins
        self._ttl = ttl
        self._clock = clock
        self._throttle = Throttle(_FAILURES, _FAILURE_WINDOW_S, _THROTTLED_NAMES)
        self._checks = asyncio.Semaphore(_CHECKS_AT_ONCE)

    async def CreateSession(
        self, request: sessions_pb2.CreateSessionRequest, context: Context
    ) -> sessions_pb2.CreateSessionResponse:
        """Signs in. The answer, and the time it takes, are the same for an unknown user and a wrong
        password."""
        email = checked_email(request.email)
        if not request.password:
            raise invalid("password is needed.", field="password")
        login = await self._check(email, request.password, f"{email} {_host(context.peer())}")
        secret = mint(SESSION_PREFIX)
        async with self._database.write() as connection:
            await credentials.add(
                connection,
                login.customer_id,
                CallerKind.SESSION,
                secret_hash(secret),
                user_id=login.user_id,
                acting_customer_id=login.acting_customer_id,
                ttl=self._ttl,
            )
            identity = await credentials.identify(connection, secret_hash(secret))
            if identity is None:
                # Suspended or deleted while the password was checked.
                raise _refused()
            set_caller(identity)
            session = await _session(connection, identity)
            await record_change(connection, login.customer_id, None, session)
        return sessions_pb2.CreateSessionResponse(secret=secret, session=session)

    async def GetSession(self, request: sessions_pb2.GetSessionRequest, context: object) -> Session:
        """Who the caller is; for the local CLI an operator without a user."""
        identity = caller()
        if identity.kind is not CallerKind.SESSION:
            return Session(operator=identity.operator, role=users_pb2.ROLE_OPERATOR)
        async with self._database.read() as connection:
            return await _session(connection, identity)

    async def DeleteSession(self, request: sessions_pb2.DeleteSessionRequest, context: object) -> Empty:
        """Signs out, at once on every replica."""
        identity = caller()
        if identity.kind is not CallerKind.SESSION:
            raise invalid("Only sessions can be signed out.")
        async with self._database.write() as connection:
            session = await _session(connection, identity)
            await record_change(connection, identity.home_customer_id, session, None)
            if request.everywhere:
                await credentials.end_all_of_user(connection, identity.home_customer_id, identity.user_id)
            else:
                await credentials.end(connection, identity.home_customer_id, identity.credential_id)
        return Empty()

    async def _check(self, email: str, password: str, name: str) -> Login:
        wait_s = self._throttle.wait_s(name, self._clock())
        if wait_s > 0:
            self._logins.labels("throttled").inc()
            raise TollkeeperError(
                Reason.LOGIN_THROTTLED, "Too many attempts to sign in; wait a while.", retry_after_s=wait_s
            )
        async with self._database.read() as connection:
            login = await store.find_login(connection, email)
        async with self._checks:
            matches = await asyncio.to_thread(is_password, login.password_hash if login else None, password)
        if login is None or not matches:
            self._throttle.failed(name, self._clock())
            self._logins.labels("refused").inc()
            raise _refused()
        self._throttle.succeeded(name)
        self._logins.labels("ok").inc()
        return login


async def _session(connection: Connection, identity: Identity) -> Session:
    user = await store.load_user(connection, identity.home_customer_id, identity.user_id)
    teams = await teams_of_users(connection, identity.home_customer_id, [identity.user_id])
    slug, plan = await store.plan_of(connection, identity.customer_id)
    expire_time = await credentials.expire_time(connection, identity.home_customer_id, identity.credential_id)
    return Session(
        user=user_message(user, teams[identity.user_id]),
        customer_id=identity.customer_id,
        customer_slug=slug,
        role=role_name(identity.role),
        operator=identity.operator,
        plan=plan,
        expire_time=timestamp(expire_time),
        session_id=identity.credential_id,
    )


def _refused() -> TollkeeperError:
    return TollkeeperError(Reason.INVALID_CREDENTIALS, "Email or password is wrong.")


def _host(peer: str) -> str:
    """`ipv4:192.0.2.1:4711` → `ipv4:192.0.2.1`: a new connection is no new caller."""
    return peer.rpartition(":")[0] or peer
