"""KeysService over real gRPC and a real database."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from control.domain.identity import Role
from tests.control.gateway import authorize, changes, make_key, make_router, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.key_format import is_key, secret_hash
from tollkeeper.v1.budgets_pb2 import InitialBudget, Period
from tollkeeper.v1.keys_pb2 import (
    CreateKeyRequest,
    GetKeyRequest,
    Key,
    ListKeysRequest,
    RevokeKeyRequest,
    UpdateKeyRequest,
)
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, DeleteTeamRequest, Team
from tollkeeper.v1.users_pb2 import DeleteUserRequest, UpdateUserRequest, User


async def test_the_secret_is_shown_once_and_kept_as_a_hash(control: RunningControl) -> None:
    """Only the creating answer has the secret: no other answer, no row, not even a repeated call."""
    cli = await control.cli()
    await control.customer("acme")
    key = Key(customer_id="acme", name="app", allowed_models=["gpt-*"], default_output_limit=100)
    request = CreateKeyRequest(key=key, request_id="k1")
    made = await cli.keys.CreateKey(request)
    assert is_key(made.raw_key)
    assert made.key.key_hash == secret_hash(made.raw_key).hex()
    assert made.raw_key.startswith(made.key.prefix)
    assert made.key.created_by == "cli"
    repeated = await cli.keys.CreateKey(request)
    assert repeated.key == made.key
    assert repeated.raw_key == ""
    async with control.database.read() as connection:
        for table in ("keys", "directory", "request_ids"):
            found = await connection.exec_driver_sql(f"SELECT to_jsonb(t)::text FROM {table} t")
            text = " ".join(row[0] for row in found)
            assert made.raw_key not in text
            assert made.raw_key.encode().hex() not in text


async def test_a_key_is_named_by_id_or_hash_and_found_without_its_customer(control: RunningControl) -> None:
    """Operators need no customer; another customer's people don't find it at all."""
    cli = await control.cli()
    await control.customer("acme")
    other = await control.customer("other")
    made = (await make_key(cli, "acme")).key
    for name in (made.key_id, made.key_id.upper(), made.key_hash, made.key_hash.upper()):
        assert await cli.keys.GetKey(GetKeyRequest(key_id=name)) == made
        assert await cli.keys.GetKey(GetKeyRequest(customer_id="acme", key_id=name)) == made
        with refused(Reason.NOT_FOUND):
            await cli.keys.GetKey(GetKeyRequest(customer_id="other", key_id=name))
    stranger = await control.person(other.customer_id, Role.OWNER)
    for name in (made.key_id, made.key_hash, "nonsense", str(uuid7())):
        with refused(Reason.NOT_FOUND):
            await stranger.client.keys.GetKey(GetKeyRequest(key_id=name))
    with refused(Reason.INVALID_ARGUMENT):
        await cli.keys.GetKey(GetKeyRequest())


async def test_members_have_their_own_and_their_teams_keys(control: RunningControl) -> None:
    """B4: members make, see and change what is theirs or their teams', and give nothing away; managers do
    all."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id=acme, name="Search")))
    member, colleague = await control.person(acme, Role.MEMBER), await control.person(acme, Role.MEMBER)
    await cli.users.UpdateUser(
        UpdateUserRequest(
            user=User(customer_id=acme, user_id=member.user_id, team_ids=[team.team_id]),
            update_mask=FieldMask(paths=["team_ids"]),
        )
    )
    keys = member.client.keys
    own = (await make_key(member.client, "")).key
    assert (own.user_id, own.user_email, own.created_by) == (member.user_id, member.email, member.user_id)
    shared = (await make_key(member.client, "", team_id=team.team_id)).key
    assert (shared.team_name, shared.user_id) == ("Search", "")
    foreign = (await make_key(colleague.client, "")).key
    with refused(Reason.PERMISSION_DENIED):
        await make_key(member.client, "", user_id=colleague.user_id)
    with refused(Reason.PERMISSION_DENIED):
        await make_key(colleague.client, "", team_id=team.team_id)

    assert list((await keys.ListKeys(ListKeysRequest())).keys) == [own, shared]
    assert list((await keys.ListKeys(ListKeysRequest(team_id=team.team_id))).keys) == [shared]
    assert not (await keys.ListKeys(ListKeysRequest(user_id=colleague.user_id))).keys
    for name in (foreign.key_id, foreign.key_hash):
        with refused(Reason.NOT_FOUND):
            await keys.GetKey(GetKeyRequest(key_id=name))
        with refused(Reason.NOT_FOUND):
            await keys.RevokeKey(RevokeKeyRequest(key_id=name))
        with refused(Reason.NOT_FOUND):
            await keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=name, name="mine")))
    with refused(Reason.PERMISSION_DENIED):
        await keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=own.key_id, user_id=colleague.user_id)))
    assert (await keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=shared.key_id, name="ours")))).name == "ours"

    manager = await control.person(acme, Role.MANAGER)
    assert len((await manager.client.keys.ListKeys(ListKeysRequest())).keys) == 3
    moved = Key(key_id=own.key_id, user_id=colleague.user_id)
    assert (await manager.client.keys.UpdateKey(UpdateKeyRequest(key=moved))).user_email == colleague.email


async def test_updates_change_what_they_name(control: RunningControl) -> None:
    """Masked fields change, others stay; what must be noticed at once is told urgently."""
    cli, edge = await control.cli(), await control.edge()
    customer = await control.customer("acme")
    made = await make_key(cli, "acme", allowed_models=["a"], clamp_output=True)
    key = made.key
    limit = Key(key_id=key.key_id, etag=key.etag, default_output_limit=7)
    async with changes(control, customer.customer_id) as told:
        updated = await cli.keys.UpdateKey(UpdateKeyRequest(key=limit))
    assert told == {"changed": True, "urgent": False}
    assert updated.default_output_limit == 7
    assert (list(updated.allowed_models), updated.clamp_output) == (["a"], True)
    with refused(Reason.ETAG_MISMATCH):
        await cli.keys.UpdateKey(UpdateKeyRequest(key=limit))
    with refused(Reason.INVALID_ARGUMENT):
        await cli.keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=key.key_id)))

    async with changes(control, customer.customer_id) as told:
        await cli.keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=key.key_id, disabled=True)))
    assert told["urgent"]
    with refused(Reason.INVALID_API_KEY):
        await authorize(edge, made.raw_key)
    mask = FieldMask(paths=["disabled", "allowed_models"])
    enabled = await cli.keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=key.key_id), update_mask=mask))
    assert (enabled.disabled, list(enabled.allowed_models)) == (False, [])
    assert (await authorize(edge, made.raw_key)).key_id == key.key_id


async def test_moving_a_key_changes_its_chain(control: RunningControl) -> None:
    """L3: a key with another owner has other budgets above it, so grants of it are stale."""
    cli, edge = await control.cli(), await control.edge()
    acme = (await control.customer("acme")).customer_id
    user = await control.person(acme, Role.MEMBER)
    made = await make_key(cli, "acme")
    before = (await authorize(edge, made.raw_key)).chain_version
    await cli.keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=made.key.key_id, name="renamed")))
    assert (await authorize(edge, made.raw_key)).chain_version == before
    await cli.keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=made.key.key_id, user_id=user.user_id)))
    grant = await authorize(edge, made.raw_key)
    assert grant.chain_version > before
    assert grant.user_id == user.user_id


async def test_a_key_has_a_budget_of_its_own(control: RunningControl) -> None:
    """Made, changed and removed with the key; without a period left out stays, and removing keeps the
    rest."""
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    budget = InitialBudget(limit_nanousd=10_000_000, period=Period.PERIOD_MONTHLY)
    made = await cli.keys.CreateKey(CreateKeyRequest(key=Key(customer_id="acme", name="tiny"), budget=budget))
    (shown,) = made.key.budgets
    assert (shown.limit_nanousd, shown.period, shown.scope_id) == (
        10_000_000,
        Period.PERIOD_MONTHLY,
        made.key.key_id,
    )
    assert shown.window.end_time.ToDatetime(tzinfo=UTC) > datetime.now(UTC)
    assert made.key.spend_nanousd == 0
    first = await authorize(edge, made.raw_key)
    assert not first.unlimited

    key = Key(key_id=made.key.key_id)
    raised = UpdateKeyRequest(key=key, budget=InitialBudget(limit_nanousd=5))
    (shown,) = (await cli.keys.UpdateKey(raised)).budgets
    assert (shown.limit_nanousd, shown.period) == (5, Period.PERIOD_MONTHLY)
    removed = await cli.keys.UpdateKey(UpdateKeyRequest(key=key, budget=InitialBudget()))
    assert not removed.budgets
    last = await authorize(edge, made.raw_key)
    assert last.unlimited
    assert last.chain_version == first.chain_version + 2
    added = await cli.keys.UpdateKey(raised)
    assert added.budgets[0].period == Period.PERIOD_NONE


async def test_a_revoked_key_is_over_for_good(control: RunningControl) -> None:
    """Revoking is urgent, repeatable and final; the key is still shown when asked for."""
    cli, edge = await control.cli(), await control.edge()
    customer = await control.customer("acme")
    made = await make_key(cli, "acme")
    request = RevokeKeyRequest(key_id=made.key.key_hash)
    async with changes(control, customer.customer_id) as told:
        revoked = await cli.keys.RevokeKey(request)
    assert told["urgent"]
    assert await cli.keys.RevokeKey(request) == revoked
    with refused(Reason.INVALID_API_KEY):
        await authorize(edge, made.raw_key)
    with refused(Reason.NOT_FOUND):
        await cli.keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=made.key.key_id, name="again")))
    assert not (await cli.keys.ListKeys(ListKeysRequest(customer_id="acme"))).keys
    shown = await cli.keys.ListKeys(ListKeysRequest(customer_id="acme", show_revoked=True))
    assert list(shown.keys) == [revoked]


async def test_keys_come_in_pages(control: RunningControl) -> None:
    """Every key exactly once, in the order they were made."""
    cli = await control.cli()
    await control.customer("acme")
    made = [(await make_key(cli, "acme", limit_nanousd=n + 1)).key for n in range(5)]
    seen: list[Key] = []
    token = ""
    while True:
        answer = await cli.keys.ListKeys(ListKeysRequest(customer_id="acme", page_size=2, page_token=token))
        seen += answer.keys
        token = answer.next_page_token
        if not token:
            break
    assert seen == made


UNUSABLE: list[tuple[dict[str, Any], Reason]] = [
    ({"name": ""}, Reason.INVALID_ARGUMENT),
    ({"allowed_models": ["x" * 201]}, Reason.INVALID_ARGUMENT),
    ({"default_output_limit": -1}, Reason.INVALID_ARGUMENT),
    ({"expire_time": datetime(2020, 1, 1, tzinfo=UTC)}, Reason.INVALID_ARGUMENT),
    ({"router_id": str(uuid7())}, Reason.NOT_FOUND),
    ({"router_id": "main"}, Reason.NOT_FOUND),
    ({"user_id": str(uuid7())}, Reason.NOT_FOUND),
    ({"team_id": "search"}, Reason.NOT_FOUND),
]


async def test_unusable_keys_are_refused(control: RunningControl) -> None:
    """A key names what exists in its own customer, and its values are in range."""
    cli = await control.cli()
    await control.customer("acme")
    for fields, reason in UNUSABLE:
        with refused(reason):
            await make_key(cli, "acme", **fields)
    assert not (await cli.keys.ListKeys(ListKeysRequest(customer_id="acme"))).keys


async def test_an_expiry_lies_in_the_future_and_can_be_taken_back(control: RunningControl) -> None:
    """The edge learns the expiry with the grant; a mask without a value removes it."""
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    router = await make_router(cli, "acme")
    expiry = datetime.now(UTC) + timedelta(hours=1)
    made = await make_key(cli, "acme", expire_time=expiry, router_id=router.router_id)
    grant = await authorize(edge, made.raw_key)
    assert grant.expire_time == made.key.expire_time
    mask = FieldMask(paths=["expire_time"])
    kept = await cli.keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=made.key.key_id), update_mask=mask))
    assert not kept.HasField("expire_time")


async def test_b3_a_key_has_all_its_fields(control: RunningControl) -> None:
    """Hash, owner, budget with its reset, spend and next reset, models, switch, who made it and when; and it
    stays when its owners go."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    maker, user = await control.person(acme, Role.MANAGER), await control.person(acme, Role.MEMBER)
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id=acme, name="Search")))
    budget = InitialBudget(limit_nanousd=12_345_600_000, period=Period.PERIOD_WEEKLY)
    fields = Key(name="app", user_id=user.user_id, team_id=team.team_id, allowed_models=["gpt-*"])
    made = await maker.client.keys.CreateKey(CreateKeyRequest(key=fields, budget=budget))
    key = made.key
    assert made.raw_key.startswith("aig_")
    assert key.key_hash == secret_hash(made.raw_key).hex()
    assert (key.user_id, key.user_email, key.team_name) == (user.user_id, user.email, "Search")
    assert (key.budgets[0].limit_nanousd, key.budgets[0].period) == (12_345_600_000, Period.PERIOD_WEEKLY)
    assert (key.spend_nanousd, key.spend_reset_time) == (0, key.budgets[0].window.end_time)
    assert (list(key.allowed_models), key.disabled) == (["gpt-*"], False)
    assert key.created_by == maker.user_id
    assert key.HasField("create_time")

    await cli.users.DeleteUser(DeleteUserRequest(customer_id=acme, user_id=user.user_id))
    await cli.teams.DeleteTeam(DeleteTeamRequest(customer_id=acme, team_id=team.team_id))
    left = await cli.keys.GetKey(GetKeyRequest(key_id=key.key_id))
    assert (left.user_id, left.team_id, left.created_by) == ("", "", maker.user_id)
    assert (await authorize(await control.edge(), made.raw_key)).key_id == key.key_id
