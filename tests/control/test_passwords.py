"""Changing one's own password, resetting another's, and what that does to sessions."""

from typing import Any

import pytest

from clients.control import ControlClient
from control.domain.identity import Role
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1.api_tokens_pb2 import ApiToken, CreateApiTokenRequest
from tollkeeper.v1.sessions_pb2 import (
    CreateSessionRequest,
    GetSessionRequest,
    ListSessionsRequest,
    RevokeSessionRequest,
)
from tollkeeper.v1.users_pb2 import (
    ROLE_MEMBER,
    ChangePasswordRequest,
    CreateUserRequest,
    ResetPasswordRequest,
    User,
)

OLD, NEW = "the first password", "another password"


async def make_user(control: RunningControl, email: str = "ann@example.com", role: int = ROLE_MEMBER) -> User:
    user = User(customer_id="acme", email=email, role=role)  # type: ignore[arg-type]
    return await (await control.cli()).users.CreateUser(CreateUserRequest(user=user, password=OLD))


async def sign_in(control: RunningControl, password: str, email: str = "ann@example.com") -> ControlClient:
    request = CreateSessionRequest(email=email, password=password)
    return await control.client((await (await control.client()).sessions.CreateSession(request)).secret)


async def is_in(client: ControlClient) -> bool:
    try:
        await client.sessions.GetSession(GetSessionRequest())
    except TollkeeperError as error:
        if error.reason != Reason.UNAUTHENTICATED:
            raise
        return False
    return True


async def refused(call: Any) -> TollkeeperError:
    with pytest.raises(TollkeeperError) as refusal:
        await call
    return refusal.value


async def test_changing_ones_own(control: RunningControl) -> None:
    """The old one is needed; the session that changes it stays, all others end; tokens stay."""
    await control.customer("acme")
    await make_user(control)
    here, elsewhere = await sign_in(control, OLD), await sign_in(control, OLD)
    token = CreateApiTokenRequest(api_token=ApiToken(name="t"))
    tool = await control.client((await here.api_tokens.CreateApiToken(token)).secret)
    wrong = ChangePasswordRequest(old_password="not the password", new_password=NEW)
    assert (await refused(here.users.ChangePassword(wrong))).reason == Reason.INVALID_CREDENTIALS
    assert await is_in(elsewhere)
    await here.users.ChangePassword(ChangePasswordRequest(old_password=OLD, new_password=NEW))
    assert (await is_in(here), await is_in(elsewhere), await is_in(tool)) == (True, False, True)
    assert (await refused(sign_in(control, OLD))).reason == Reason.INVALID_CREDENTIALS
    assert await is_in(await sign_in(control, NEW))


async def test_guessing_the_old_one_is_throttled(control: RunningControl) -> None:
    """A stolen session doesn't help to find the password out."""
    await control.customer("acme")
    await make_user(control)
    client = await sign_in(control, OLD)
    wrong = ChangePasswordRequest(old_password="not the password", new_password=NEW)
    reasons = [(await refused(client.users.ChangePassword(wrong))).reason for _ in range(11)]
    assert reasons == [Reason.INVALID_CREDENTIALS] * 10 + [Reason.LOGIN_THROTTLED]


@pytest.mark.parametrize("given", [NEW, ""])
async def test_resetting_anothers(control: RunningControl, given: str) -> None:
    """By an administrator: a password that is given, or one that is made and shown once; all sessions end."""
    customer = await control.customer("acme")
    user = await make_user(control)
    session = await sign_in(control, OLD)
    admin = await control.person(customer.customer_id, Role.ADMIN)
    request = ResetPasswordRequest(user_id=user.user_id, password=given)
    answer = await admin.client.users.ResetPassword(request)
    assert answer.user.user_id == user.user_id
    assert bool(answer.password) == (not given)
    assert not await is_in(session)
    assert (await refused(sign_in(control, OLD))).reason == Reason.INVALID_CREDENTIALS
    assert await is_in(await sign_in(control, given or answer.password))


async def test_nobody_resets_a_higher_role(control: RunningControl) -> None:
    """Nor the own password without the old one, nor anybody's elsewhere."""
    customer = await control.customer("acme")
    other = await control.customer("other")
    admin = await control.person(customer.customer_id, Role.ADMIN)
    owner = await control.person(customer.customer_id, Role.OWNER)
    stranger = await control.person(other.customer_id, Role.MEMBER)

    async def reset(user_id: str) -> Reason:
        return (await refused(admin.client.users.ResetPassword(ResetPasswordRequest(user_id=user_id)))).reason

    assert await reset(owner.user_id) == Reason.PERMISSION_DENIED
    assert await reset(admin.user_id) == Reason.INVALID_ARGUMENT
    assert await reset(stranger.user_id) == await reset(str(uuid7())) == Reason.NOT_FOUND
    assert await is_in(owner.client)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"old_password": "", "new_password": NEW}, "old_password"),
        ({"old_password": OLD, "new_password": ""}, "new_password"),
        ({"old_password": OLD, "new_password": "x" * 11}, "new_password"),
        ({"old_password": OLD, "new_password": "x" * 257}, "new_password"),
    ],
)
async def test_bad_changes(control: RunningControl, fields: dict[str, str], field: str) -> None:
    """By field; nothing is changed, and nobody is signed out."""
    await control.customer("acme")
    await make_user(control)
    client = await sign_in(control, OLD)
    refusal = await refused(client.users.ChangePassword(ChangePasswordRequest(**fields)))
    assert (refusal.reason, refusal.metadata["field"]) == (Reason.INVALID_ARGUMENT, field)
    assert await is_in(await sign_in(control, OLD))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"user_id": ""}, Reason.INVALID_ARGUMENT),
        ({"user_id": "x"}, Reason.NOT_FOUND),
        ({"password": "short"}, Reason.INVALID_ARGUMENT),
        ({"password": "x" * 257}, Reason.INVALID_ARGUMENT),
        ({"customer_id": "nowhere"}, Reason.NOT_FOUND),
    ],
)
async def test_bad_resets(control: RunningControl, fields: dict[str, str], reason: Reason) -> None:
    """By field."""
    await control.customer("acme")
    user = await make_user(control)
    request = ResetPasswordRequest(**{"customer_id": "acme", "user_id": user.user_id, **fields})
    assert (await refused((await control.cli()).users.ResetPassword(request))).reason == reason


async def test_the_command_line_has_no_password(control: RunningControl) -> None:
    """It acts for no user."""
    change = ChangePasswordRequest(old_password=OLD, new_password=NEW)
    refusal = await refused((await control.cli()).users.ChangePassword(change))
    assert refusal.reason == Reason.INVALID_ARGUMENT


async def test_sessions_are_listed_and_revoked_one_by_one(control: RunningControl) -> None:
    """Newest first, one's own; the other goes on."""
    await control.customer("acme")
    await make_user(control)
    first, second = await sign_in(control, OLD), await sign_in(control, OLD)
    listed = (await second.sessions.ListSessions(ListSessionsRequest())).sessions
    assert [each.user.email for each in listed] == ["ann@example.com"] * 2
    newest, oldest = listed
    assert newest == await second.sessions.GetSession(GetSessionRequest())
    page = await second.sessions.ListSessions(ListSessionsRequest(page_size=1))
    rest = ListSessionsRequest(page_size=1, page_token=page.next_page_token)
    assert list((await second.sessions.ListSessions(rest)).sessions) == [oldest]
    await second.sessions.RevokeSession(RevokeSessionRequest(session_id=oldest.session_id))
    assert (await is_in(first), await is_in(second)) == (False, True)
    again = await refused(second.sessions.RevokeSession(RevokeSessionRequest(session_id=oldest.session_id)))
    assert again.reason == Reason.NOT_FOUND


async def test_administrators_end_others_sessions(control: RunningControl) -> None:
    """Members reach their own only; nobody ends those of a higher role."""
    customer = await control.customer("acme")
    people = {role: await control.person(customer.customer_id, role) for role in (1, 3, 4)}
    member, admin, owner = people[1], people[3], people[4]

    async def sessions(of: str) -> list[str]:
        request = ListSessionsRequest(user_id=of)
        answer = await admin.client.sessions.ListSessions(request)
        return [each.session_id for each in answer.sessions]

    theirs = ListSessionsRequest(user_id=admin.user_id)
    assert (await refused(member.client.sessions.ListSessions(theirs))).reason == Reason.NOT_FOUND
    [session_id] = await sessions(member.user_id)
    request = RevokeSessionRequest(user_id=member.user_id, session_id=session_id)
    await admin.client.sessions.RevokeSession(request)
    assert not await is_in(member.client)
    [session_id] = await sessions(owner.user_id)
    request = RevokeSessionRequest(user_id=owner.user_id, session_id=session_id)
    assert (await refused(admin.client.sessions.RevokeSession(request))).reason == Reason.PERMISSION_DENIED
    own = RevokeSessionRequest(session_id=session_id)
    assert (await refused(admin.client.sessions.RevokeSession(own))).reason == Reason.NOT_FOUND
    assert await is_in(owner.client)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"session_id": ""}, Reason.INVALID_ARGUMENT),
        ({"session_id": "x"}, Reason.NOT_FOUND),
        ({"session_id": str(uuid7())}, Reason.NOT_FOUND),
        ({"session_id": str(uuid7()), "user_id": "x"}, Reason.NOT_FOUND),
        ({"session_id": str(uuid7()), "user_id": str(uuid7())}, Reason.NOT_FOUND),
        ({"session_id": str(uuid7()), "user_id": str(uuid7()), "customer_id": "nowhere"}, Reason.NOT_FOUND),
    ],
)
async def test_sessions_that_are_not_there(
    control: RunningControl, fields: dict[str, str], reason: Reason
) -> None:
    """Neither ended nor, by user, listed."""
    customer = await control.customer("acme")
    admin = await control.person(customer.customer_id, Role.ADMIN)
    request = RevokeSessionRequest(**fields)
    assert (await refused(admin.client.sessions.RevokeSession(request))).reason == reason
    of = {name: value for name, value in fields.items() if name != "session_id"}
    if of:
        listed = ListSessionsRequest(**of)
        assert (await refused(admin.client.sessions.ListSessions(listed))).reason == reason
