"""Signing in and out over real gRPC."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from argon2 import PasswordHasher
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text
from structlog.testing import capture_logs

from control.domain.identity import CallerKind, Role
from control.store import credentials, password_failures
from control.store.database import Database
from control.store.tables import PLATFORM_CUSTOMER_ID
from control.store.users import set_role
from tests.control.harness import OPERATOR_EMAIL, OPERATOR_PASSWORD, RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.networks import CLIENT_ADDRESS_METADATA
from tollkeeper.v1.customers_pb2 import Customer, DeleteCustomerRequest, UpdateCustomerRequest
from tollkeeper.v1.sessions_pb2 import CreateSessionRequest, DeleteSessionRequest, GetSessionRequest
from tollkeeper.v1.users_pb2 import (
    ROLE_ADMIN,
    ROLE_OPERATOR,
    ROLE_OWNER,
    CreateUserRequest,
    DeleteUserRequest,
    UpdateUserRequest,
    User,
)

PASSWORD = "a password of mine"


async def make_user(control: RunningControl) -> User:
    """An administrator of the customer acme who can sign in."""
    cli = await control.cli()
    await control.customer("acme")
    user = User(customer_id="acme", email="Ann@Example.com", name="Ann", role=ROLE_ADMIN)
    return await cli.users.CreateUser(CreateUserRequest(user=user, password=PASSWORD))


async def refusal_of_login(control: RunningControl, email: str, password: str) -> TollkeeperError:
    """How signing in is refused."""
    client = await control.client()
    with pytest.raises(TollkeeperError) as refusal:
        await client.sessions.CreateSession(CreateSessionRequest(email=email, password=password))
    return refusal.value


async def test_signing_in_and_out(control: RunningControl) -> None:
    """The secret works until it is signed out, and then nowhere; it is not in the log."""
    made = await make_user(control)
    anonymous = await control.client()
    with capture_logs() as logs:
        answer = await anonymous.sessions.CreateSession(
            CreateSessionRequest(email=" ann@example.COM ", password=PASSWORD)
        )
    session = answer.session
    assert (session.user.user_id, session.customer_slug) == (made.user_id, "acme")
    assert (session.role, session.operator, session.plan) == (ROLE_ADMIN, False, "free")
    hours = (session.expire_time.ToDatetime(UTC) - datetime.now(UTC)).total_seconds() / 3600
    assert 11.9 < hours < 12.1
    assert PASSWORD not in str(logs)
    assert answer.secret not in str(logs)

    client = await control.client(answer.secret)
    assert await client.sessions.GetSession(GetSessionRequest()) == session
    await client.sessions.DeleteSession(DeleteSessionRequest())
    for _ in control.replicas:
        with pytest.raises(TollkeeperError) as refusal:
            await client.sessions.GetSession(GetSessionRequest())
        assert refusal.value.reason == Reason.UNAUTHENTICATED


async def test_signing_out_everywhere(control: RunningControl) -> None:
    """Ends all sessions of the user, and nobody else's."""
    made = await make_user(control)
    anonymous = await control.client()
    request = CreateSessionRequest(email=made.email, password=PASSWORD)
    secrets = [(await anonymous.sessions.CreateSession(request)).secret for _ in range(3)]
    other = await control.person(made.customer_id, Role.MEMBER)
    await (await control.client(secrets[0])).sessions.DeleteSession(DeleteSessionRequest(everywhere=True))
    for secret in secrets:
        with pytest.raises(TollkeeperError) as refusal:
            await (await control.client(secret)).sessions.GetSession(GetSessionRequest())
        assert refusal.value.reason == Reason.UNAUTHENTICATED
    assert (await other.client.sessions.GetSession(GetSessionRequest())).user.user_id == other.user_id


async def test_unknown_user_and_wrong_password_are_told_alike(control: RunningControl) -> None:
    """The answer doesn't tell whether the address is known."""
    made = await make_user(control)
    wrong = await refusal_of_login(control, made.email, "not the password")
    unknown = await refusal_of_login(control, "nobody@example.com", "not the password")
    assert wrong.reason == Reason.INVALID_CREDENTIALS
    assert (wrong.reason, wrong.message, wrong.metadata) == (
        unknown.reason,
        unknown.message,
        unknown.metadata,
    )


async def test_unknown_users_cost_as_much(control: RunningControl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password is checked for an address that nobody has, too: time doesn't tell who is known."""
    made = await make_user(control)
    checked: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            checked.append(str(hash))
            return super().verify(hash, password)

    monkeypatch.setattr(
        "control.domain.passwords._hasher", Counting(time_cost=1, memory_cost=8, parallelism=1)
    )
    for email in (made.email, "nobody@example.com"):
        await refusal_of_login(control, email, "not the password")
    assert len(checked) == 2


@pytest.mark.parametrize(("email", "password"), [("", "x"), ("no address", "x"), ("ann@example.com", "")])
async def test_incomplete_logins_are_refused(control: RunningControl, email: str, password: str) -> None:
    """Without a usable address or a password there is nothing to check."""
    assert (await refusal_of_login(control, email, password)).reason == Reason.INVALID_ARGUMENT


async def test_guessing_is_throttled(control: RunningControl) -> None:
    """After ten wrong passwords, on whatever replicas, the right one has to wait too; other users don't."""
    made = await make_user(control)
    client = await control.client()

    async def guess(email: str, password: str) -> TollkeeperError:
        with pytest.raises(TollkeeperError) as refusal:
            await client.sessions.CreateSession(CreateSessionRequest(email=email, password=password))
        return refusal.value

    guesses = await asyncio.gather(*(guess(made.email, "wrong") for _ in range(30)))
    reasons = [each.reason for each in guesses]
    assert reasons.count(Reason.INVALID_CREDENTIALS) == 10
    assert reasons.count(Reason.LOGIN_THROTTLED) == 20
    refusal = await guess(made.email, PASSWORD)
    assert refusal.reason == Reason.LOGIN_THROTTLED
    assert refusal.retry_after_s is not None
    assert 0 < refusal.retry_after_s <= 300
    assert (await guess("other@example.com", "wrong")).reason == Reason.INVALID_CREDENTIALS


async def test_addresses_wait_apart_and_together(
    control: RunningControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edge tells whose attempt it is: others' guesses lock nobody out; made-up addresses end, too."""
    monkeypatch.setattr("control.services.password_checks.ATTEMPTS_OF_ALL", 25)
    made = await make_user(control)
    client = await control.client()

    async def attempt(address: str, password: str) -> "Reason | None":
        request = CreateSessionRequest(email=made.email, password=password)
        try:
            await client.sessions.CreateSession(request, metadata=((CLIENT_ADDRESS_METADATA, address),))
        except TollkeeperError as error:
            return error.reason
        return None

    guesses = [await attempt("192.0.2.1", "wrong") for _ in range(12)]
    assert guesses == [Reason.INVALID_CREDENTIALS] * 10 + [Reason.LOGIN_THROTTLED] * 2
    assert await attempt("192.0.2.2", PASSWORD) is None
    made_up = [await attempt(f"192.0.2.{number}", "wrong") for number in range(3, 30)]
    assert made_up == [Reason.INVALID_CREDENTIALS] * 25 + [Reason.LOGIN_THROTTLED] * 2


async def test_attempts_count_within_their_window(database: Database) -> None:
    """Attempts count for a window, success forgets them, and rows of windows long over are removed."""
    window = timedelta(minutes=5)

    async def wait_s(name: bytes) -> float:
        async with database.write() as connection:
            return await password_failures.begin_attempt(connection, name, 2, window)

    assert [await wait_s(b"a") for _ in range(2)] == [0, 0]
    assert 290 < await wait_s(b"a") <= 300
    assert await wait_s(b"b") == 0
    async with database.write() as connection:
        await password_failures.forget(connection, b"a")
    assert await wait_s(b"a") == 0
    async with database.write() as connection:
        await connection.execute(
            text("UPDATE password_failures SET attempts = 2, begin_time = now() - interval '301 s'")
        )
    assert [await wait_s(b"a") for _ in range(2)] == [0, 0], "a new window counts anew"
    assert await wait_s(b"a") > 0
    async with database.write() as connection:
        await connection.execute(text("UPDATE password_failures SET begin_time = now() - interval '1 h'"))
    assert await wait_s(b"c") == 0
    async with database.read() as connection:
        left = (await connection.execute(text("SELECT name_hash FROM password_failures"))).scalars()
        assert [bytes(each) for each in left] == [b"c"]


async def test_operator_acts_in_the_demo_customer(control: RunningControl) -> None:
    """Somebody of the platform who also owns a customer signs in to that one, and stays an operator."""
    demo = await control.customer("demo")
    async with control.database.write() as connection:
        found = await connection.execute(text("SELECT user_id::text FROM users"))
        await set_role(connection, demo.customer_id, found.scalar_one(), Role.OWNER)
    anonymous = await control.client()
    answer = await anonymous.sessions.CreateSession(
        CreateSessionRequest(email=OPERATOR_EMAIL, password=OPERATOR_PASSWORD)
    )
    session = answer.session
    assert (session.customer_slug, session.role, session.operator) == ("demo", ROLE_OWNER, True)
    assert session.user.customer_id == PLATFORM_CUSTOMER_ID


async def test_an_operator_outlives_the_customer_it_acts_in(control: RunningControl) -> None:
    """Suspended or gone, the operator is back with the platform, able to resume it."""
    demo = await control.customer("demo")
    async with control.database.write() as connection:
        found = await connection.execute(text("SELECT user_id::text FROM users"))
        await set_role(connection, demo.customer_id, found.scalar_one(), Role.OWNER)
    request = CreateSessionRequest(email=OPERATOR_EMAIL, password=OPERATOR_PASSWORD)
    client = await control.client((await (await control.client()).sessions.CreateSession(request)).secret)
    customer = Customer(customer_id="demo", suspended=True)
    mask = FieldMask(paths=["suspended"])
    await client.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer, update_mask=mask))
    session = await client.sessions.GetSession(GetSessionRequest())
    assert (session.customer_id, session.role) == (PLATFORM_CUSTOMER_ID, ROLE_OPERATOR)
    customer.suspended = False
    await client.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer, update_mask=mask))
    assert (await client.sessions.GetSession(GetSessionRequest())).customer_slug == "demo"


async def test_local_command_line_is_an_operator(control: RunningControl) -> None:
    """The CLI's credential acts for no user, and isn't a session that could be signed out."""
    cli = await control.cli()
    session = await cli.sessions.GetSession(GetSessionRequest())
    assert (session.operator, session.role, session.user.user_id) == (True, ROLE_OPERATOR, "")
    with pytest.raises(TollkeeperError) as refusal:
        await cli.sessions.DeleteSession(DeleteSessionRequest())
    assert refusal.value.reason == Reason.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "ending", ["suspended", "deleted", "customer deleted", "customer suspended", "expired"]
)
async def test_sessions_end_with_what_they_stand_on(control: RunningControl, ending: str) -> None:
    """Suspended or deleted users, those of deleted customers, and expired sessions are out at once."""
    made = await make_user(control)
    cli, anonymous = await control.cli(), await control.client()
    request = CreateSessionRequest(email=made.email, password=PASSWORD)
    client = await control.client((await anonymous.sessions.CreateSession(request)).secret)
    await client.sessions.GetSession(GetSessionRequest())
    if ending == "suspended":
        made.suspended = True
        await cli.users.UpdateUser(UpdateUserRequest(user=made, update_mask=FieldMask(paths=["suspended"])))
    elif ending == "deleted":
        await cli.users.DeleteUser(DeleteUserRequest(customer_id="acme", user_id=made.user_id))
    elif ending == "customer suspended":
        customer = Customer(customer_id="acme", suspended=True)
        await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer))
    elif ending == "customer deleted":
        await cli.customers.DeleteCustomer(DeleteCustomerRequest(customer_id="acme"))
    else:
        async with control.database.write() as connection:
            await connection.execute(
                text("UPDATE credentials SET expire_time = now() - interval '1 s' WHERE kind = 'session'")
            )
    with pytest.raises(TollkeeperError) as refusal:
        await client.sessions.GetSession(GetSessionRequest())
    assert refusal.value.reason == Reason.UNAUTHENTICATED
    if ending != "expired":
        assert (await refusal_of_login(control, made.email, PASSWORD)).reason == Reason.INVALID_CREDENTIALS


async def test_old_sessions_make_room(control: RunningControl) -> None:
    """A user keeps the newest fifty sessions; what ends is gone from the database."""
    made = await make_user(control)
    person = await control.person(made.customer_id, Role.MEMBER)
    async with control.database.write() as connection:
        for number in range(60):
            digest = number.to_bytes(32, "big")
            await credentials.add(
                connection, made.customer_id, CallerKind.SESSION, digest, user_id=person.user_id
            )
        count = text("SELECT count(*) FROM credentials WHERE user_id = :user_id")
        assert (await connection.execute(count, {"user_id": person.user_id})).scalar_one() == 50
        hashes = text("SELECT count(*) FROM directory WHERE kind = 'credential_hash'")
        assert (await connection.execute(hashes)).scalar_one() == 52
    with pytest.raises(TollkeeperError) as refusal:
        await person.client.sessions.GetSession(GetSessionRequest())
    assert refusal.value.reason == Reason.UNAUTHENTICATED
