"""SessionsService: signing in and out."""

from collections.abc import Sequence
from datetime import timedelta

from google.protobuf.empty_pb2 import Empty

from control.caller import caller, set_caller
from control.domain.identity import CallerKind, Identity, Role
from control.interceptors.concern import Context
from control.services.access import sees_all
from control.services.audit import record_change
from control.services.client_address import client_address
from control.services.convert import checked_email, resource_id
from control.services.paging import page_of
from control.services.password_checks import PasswordChecks, wrong_password
from control.services.scope import scoped_customer
from control.services.users import check_outranks, role_name, user_message
from control.store import credentials
from control.store import users as store
from control.store.database import Connection, Database
from control.store.rows import Row
from control.store.teams import teams_of_users
from tollkeeper.errors import invalid, not_found
from tollkeeper.key_format import SESSION_PREFIX, mint, secret_hash
from tollkeeper.v1 import sessions_pb2, sessions_pb2_grpc

Session = sessions_pb2.Session


class SessionsService(sessions_pb2_grpc.SessionsServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database, passwords: PasswordChecks, ttl: timedelta) -> None:
        self._database = database
        self._passwords = passwords
        self._ttl = ttl

    async def CreateSession(
        self, request: sessions_pb2.CreateSessionRequest, context: Context
    ) -> sessions_pb2.CreateSessionResponse:
        """Signs in. The answer, and the time it takes, are the same for an unknown user and a wrong
        password."""
        email = checked_email(request.email)
        if not request.password:
            raise invalid("password is needed.", field="password")
        async with self._database.read() as connection:
            login = await store.find_login(connection, email)
        known_hash = login.password_hash if login else None
        await self._passwords.check(email, client_address(context), request.password, known_hash)
        if login is None:
            raise wrong_password()
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
                raise wrong_password()
            set_caller(identity)
            session = await _own_session(connection, identity)
            await record_change(connection, login.customer_id, None, session)
        return sessions_pb2.CreateSessionResponse(secret=secret, session=session)

    async def GetSession(self, request: sessions_pb2.GetSessionRequest, context: object) -> Session:
        """Who the caller is; for the local CLI an operator without a user."""
        async with self._database.read() as connection:
            return await _own_session(connection, caller())

    async def ListSessions(
        self, request: sessions_pb2.ListSessionsRequest, context: object
    ) -> sessions_pb2.ListSessionsResponse:
        """Open sessions of one user, newest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            user = await _reach_user(connection, request.customer_id, request.user_id)
            customer_id, user_id = user["customer_id"], user["user_id"]
            rows = await credentials.list_sessions(
                connection, customer_id, user_id, page.after, page.size + 1
            )
            team_ids = (await teams_of_users(connection, customer_id, [user_id]))[user_id]
        shown = rows[: page.size]
        return sessions_pb2.ListSessionsResponse(
            sessions=[_message(row, user, team_ids) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["credential_id"]) if shown else "",
        )

    async def DeleteSession(self, request: sessions_pb2.DeleteSessionRequest, context: object) -> Empty:
        """Signs out, at once on every replica."""
        identity = caller()
        if identity.kind is not CallerKind.SESSION:
            raise invalid("Only sessions can be signed out.")
        async with self._database.write() as connection:
            session = await _own_session(connection, identity)
            if request.everywhere:
                await credentials.end_sessions(connection, identity.home_customer_id, identity.user_id)
            else:
                await credentials.end(connection, identity.home_customer_id, identity.credential_id)
            await record_change(connection, identity.home_customer_id, session, None)
        return Empty()

    async def RevokeSession(self, request: sessions_pb2.RevokeSessionRequest, context: object) -> Session:
        """Ends one session of a user, at once on every replica."""
        session_id = resource_id("session", request.session_id)
        async with self._database.write() as connection:
            user = await _reach_user(connection, request.customer_id, request.user_id)
            customer_id, user_id = user["customer_id"], user["user_id"]
            row = await credentials.load_session(connection, customer_id, user_id, session_id)
            if user_id != caller().user_id:
                check_outranks(user)
            team_ids = (await teams_of_users(connection, customer_id, [user_id]))[user_id]
            session = _message(row, user, team_ids)
            await credentials.end(connection, customer_id, session_id)
            await record_change(connection, customer_id, session, None)
        return session


async def _reach_user(connection: Connection, customer: str, user: str) -> Row:
    """The user whose sessions are meant: the caller, or for those who see all of the customer one of it.
    Raises NOT_FOUND."""
    identity = caller()
    if not user or user.lower() == identity.user_id:
        if not identity.user_id:
            raise invalid("user_id is needed.", field="user_id")
        return await store.load_user(connection, identity.home_customer_id, identity.user_id)
    user_id = resource_id("user", user)
    customer_id = await scoped_customer(connection, customer)
    if not sees_all():
        raise not_found("user", user)
    return await store.load_user(connection, customer_id, user_id)


async def _own_session(connection: Connection, identity: Identity) -> Session:
    """Who the caller is and where it acts; API tokens have a user, or none, and no session."""
    session = Session(
        customer_id=identity.customer_id,
        role=role_name(identity.role or Role.OPERATOR),
        operator=identity.operator,
    )
    session.customer_slug, session.plan = await store.plan_of(connection, identity.customer_id)
    if not identity.user_id:
        return session
    home, user_id = identity.home_customer_id, identity.user_id
    user = await store.load_user(connection, home, user_id)
    team_ids = (await teams_of_users(connection, home, [user_id]))[user_id]
    session.user.CopyFrom(user_message(user, team_ids))
    if identity.kind is CallerKind.SESSION:
        row = await credentials.load_session(connection, home, user_id, identity.credential_id)
        _add_times(session, row)
    return session


def _message(row: Row, user: Row, team_ids: Sequence[str]) -> Session:
    session = Session(
        user=user_message(user, team_ids),
        customer_id=row["customer_id"],
        customer_slug=row["slug"],
        plan=row["plan"],
        role=role_name(row["role"]),
        operator=user["role"] == Role.OPERATOR,
    )
    _add_times(session, row)
    return session


def _add_times(session: Session, row: Row) -> None:
    session.session_id = row["credential_id"]
    session.create_time.FromDatetime(row["create_time"])
    if row["expire_time"] is not None:
        session.expire_time.FromDatetime(row["expire_time"])
