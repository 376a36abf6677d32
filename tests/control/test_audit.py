"""The audit log: every change leaves an entry, without secrets; who may read it, and how it is filtered."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson

from clients.control import ControlClient
from control.config import ControlSettings
from control.domain.identity import ANONYMOUS, CallerKind, Role
from control.domain.roles import REQUIREMENTS, Access, writes
from control.retention import Retention, old_audit_entries
from control.services.audit import record_change
from control.services.convert import clear_secrets
from control.store import audit, credentials
from control.store.database import Database
from tests.control.changes import OF_PEOPLE, PASSWORD, REQUESTS, SECRET, send
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import first_at, time_of, uuid7
from tollkeeper.key_format import SESSION_PREFIX, mint, secret_hash
from tollkeeper.v1.audit_pb2 import AuditEntry, GetAuditEntryRequest, ListAuditEntriesRequest
from tollkeeper.v1.providers_pb2 import CreateProviderRequest, Provider
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team, UpdateTeamRequest
from tollkeeper.v1.users_pb2 import UpdateUserRequest, User

CHANGING = {
    method.removeprefix("/tollkeeper.v1.")
    for method, requirement in REQUIREMENTS.items()
    if requirement.access is not Access.EDGE and writes(method)
}


async def entries(control: RunningControl, **chosen: Any) -> list[AuditEntry]:
    answer = await (await control.cli()).audit.ListAuditEntries(ListAuditEntriesRequest(**chosen))
    return list(answer.audit_entries)


async def signed_in(control: RunningControl, ids: dict[str, str]) -> ControlClient:
    secret = mint(SESSION_PREFIX)
    async with control.database.write() as connection:
        digest = secret_hash(secret)
        kind, user_id = CallerKind.SESSION, ids["user_id"]
        await credentials.add(connection, ids["customer_id"], kind, digest, user_id=user_id)
    return await control.client(secret)


def test_every_changing_method_is_tried() -> None:
    """tests/control/changes.py has a request for each RPC that changes something, and for no other."""
    assert set(REQUESTS) == CHANGING


async def test_every_change_leaves_an_entry_without_secrets(control: RunningControl) -> None:
    """Each RPC that changes something leaves one more entry that names it, generated over the contract."""
    cli, anonymous, ids = await control.cli(), await control.client(), {}
    for name in REQUESTS:
        before = await entries(control, method=name)
        client = cli
        if name == "SessionsService/CreateSession":
            client = anonymous
        elif name in OF_PEOPLE:
            client = await signed_in(control, ids)
        await send(client, name, ids)
        after = await entries(control, method=name)
        assert len(after) == len(before) + 1, name
        entry = after[0]
        assert entry.HasField("before") or entry.HasField("after"), name
        assert entry.resource_id, name
        assert entry.resource_type in ids or f"{entry.resource_type}_id" in ids, name
        assert entry.changed_fields, name
        assert entry.actor_kind == ("cli" if client is cli else "session"), name
    everything = "".join(MessageToJson(entry) for entry in await entries(control, page_size=1000))
    assert SECRET not in everything
    assert PASSWORD not in everything
    assert "aig_" in everything, "the prefix of a key is no secret"


async def test_an_entry_tells_the_change(control: RunningControl) -> None:
    """Actor, resource, before and after, the names of what differs; secrets that were set by name only."""
    customer = await control.customer("acme")
    admin = await control.person(customer.customer_id, Role.ADMIN, "ann@example.com")
    team = await admin.client.teams.CreateTeam(CreateTeamRequest(team=Team(name="Search")))
    team.name = "Ranking"
    await admin.client.teams.UpdateTeam(UpdateTeamRequest(team=team))
    changed, created = await entries(control, resource_id=team.team_id)
    assert (created.method, created.actor_id) == ("TeamsService/CreateTeam", admin.user_id)
    assert (created.actor_kind, created.actor_email) == ("session", "ann@example.com")
    assert not created.HasField("before")
    assert created.after["name"] == "Search"
    assert (changed.resource_type, changed.resource_name) == ("team", "Ranking")
    assert (changed.before["name"], changed.after["name"]) == ("Search", "Ranking")
    assert list(changed.changed_fields) == ["name"]

    provider = Provider(name="p", provider_type="openai", credential=SECRET)
    await admin.client.providers.CreateProvider(CreateProviderRequest(provider=provider))
    [entry] = await entries(control, resource_type="provider")
    assert "credential" in entry.changed_fields
    assert "credential" not in entry.after
    assert entry.after["has_credential"] is True


async def test_what_failed_or_was_repeated_leaves_no_entry(control: RunningControl) -> None:
    """An entry is written in the transaction of its change, and with it only."""
    cli = await control.cli()
    await control.customer("acme")
    request = CreateTeamRequest(team=Team(customer_id="acme", name="Search"), request_id=str(uuid7()))
    team = await cli.teams.CreateTeam(request)
    await cli.teams.CreateTeam(request)
    team.etag = '"99"'
    with pytest.raises(TollkeeperError):
        await cli.teams.UpdateTeam(UpdateTeamRequest(team=team))
    assert len(await entries(control, resource_type="team")) == 1


async def test_entries_are_filtered_and_paged(control: RunningControl) -> None:
    """Newest first; actor, resource, method and time choose; pages go on where they ended."""
    customer = await control.customer("acme")
    ann = await control.person(customer.customer_id, Role.ADMIN, "ann@example.com")
    cli = await control.cli()
    made = []
    for number in range(5):
        by = ann.client if number % 2 else cli
        request = CreateTeamRequest(team=Team(customer_id="acme", name=f"t{number}"))
        made.append((await by.teams.CreateTeam(request)).team_id)
        await asyncio.sleep(0.002)  # entries of one millisecond have no order
    request = UpdateUserRequest(user=User(customer_id="acme", user_id=ann.user_id, name="Ann"))
    await cli.users.UpdateUser(request)

    async def ids(**chosen: Any) -> list[str]:
        found = await entries(control, customer_id="acme", **chosen)
        return [entry.resource_id for entry in found]

    newest_first = made[::-1]
    assert await ids(resource_type="team") == newest_first
    assert await ids(actor="Ann@example.com") == [made[3], made[1]] == await ids(actor=ann.user_id)
    assert await ids(method="TeamsService") == newest_first == await ids(method="TeamsService/CreateTeam")
    assert await ids(method="Teams") == []
    assert await ids(resource_id=made[0]) == [made[0]]
    third = (await entries(control, resource_id=made[2]))[0].create_time
    assert await ids(resource_type="team", start_time=third) == newest_first[:3]
    assert await ids(resource_type="team", end_time=third) == newest_first[3:]
    assert await ids(start_time=datetime.now(UTC) + timedelta(hours=1)) == []

    page = ListAuditEntriesRequest(customer_id="acme", resource_type="team", page_size=2)
    seen = []
    while True:
        answer = await cli.audit.ListAuditEntries(page)
        seen += [entry.resource_id for entry in answer.audit_entries]
        await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="late")))
        if not answer.next_page_token:
            break
        page.page_token = answer.next_page_token
    assert seen == newest_first


async def test_administrators_see_their_own_customer_only(control: RunningControl) -> None:
    """Another customer's entries are as absent; operators see all customers', naming one or none."""
    for slug in ("acme", "other"):
        await control.customer(slug)
    cli = await control.cli()
    for slug in ("acme", "other"):
        await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id=slug, name="t")))
    [theirs] = await entries(control, customer_id="other", resource_type="team")
    [own] = await entries(control, customer_id="acme", resource_type="team")
    admin = (await control.person(own.customer_id, Role.ADMIN)).client
    listed = await admin.audit.ListAuditEntries(ListAuditEntriesRequest())
    assert {entry.customer_id for entry in listed.audit_entries} == {own.customer_id}
    for customer_id in ("acme", ""):
        request = GetAuditEntryRequest(customer_id=customer_id, audit_entry_id=own.audit_entry_id)
        assert await admin.audit.GetAuditEntry(request) == own
        request.audit_entry_id = theirs.audit_entry_id
        with pytest.raises(TollkeeperError) as refusal:
            await admin.audit.GetAuditEntry(request)
        assert refusal.value.reason == Reason.NOT_FOUND
    with pytest.raises(TollkeeperError) as refusal:
        await admin.audit.ListAuditEntries(ListAuditEntriesRequest(customer_id="other"))
    assert refusal.value.reason == Reason.NOT_FOUND
    assert {entry.customer_id for entry in await entries(control)} >= {own.customer_id, theirs.customer_id}


@pytest.mark.parametrize(
    "fields",
    [
        {"actor": "x" * 255},
        {"actor": "\x00"},
        {"resource_type": "a\nb"},
        {"resource_id": "\x00"},
        {"method": "\x00"},
        {"start_time": {"seconds": 1 << 60}},
        {"end_time": {"nanos": -5}},
        {"page_size": -1},
        {"page_token": "nonsense"},
    ],
)
async def test_bad_filters_are_refused(control: RunningControl, fields: dict[str, Any]) -> None:
    """By field, with INVALID_ARGUMENT."""
    with pytest.raises(TollkeeperError) as refusal:
        await entries(control, **fields)
    assert refusal.value.reason == Reason.INVALID_ARGUMENT


def test_input_only_fields_are_cleared_at_any_depth() -> None:
    """Also within messages of messages."""
    request = CreateProviderRequest(provider=Provider(name="p", credential=SECRET))
    clear_secrets(request)
    assert request == CreateProviderRequest(provider=Provider(name="p"))


async def test_a_service_that_shows_a_secret_does_not_get_it_into_the_log(database: Database) -> None:
    """Whatever message an entry is made of: only that the secret was set is told."""
    customer_id = str(uuid7())
    before = Provider(name="p", credential=SECRET)
    after = Provider(name="q", credential=f"{SECRET}-too")
    async with database.write() as connection:
        await record_change(connection, customer_id, before, after, secrets=("credential",))
        (row,) = await audit.list_entries(connection, customer_id, None, 10, audit.AuditFilter())
    assert SECRET not in str(row)
    assert (row["before"], row["after"]) == ({"name": "p"}, {"name": "q"})
    assert row["changed_fields"] == ["credential", "name"]


async def test_old_entries_are_removed_when_told(database: Database) -> None:
    """Those before the retention, a thousand at a time, and no others; without the setting nothing is."""
    now = datetime.now(UTC)
    customer_id = str(uuid7())
    async with database.write() as connection:
        for days in (*range(91, 94), *range(87, 90)):
            made = first_at(now - timedelta(days=days))
            row = {"customer_id": customer_id, "audit_entry_id": str(made), "create_time": time_of(made)}
            row |= {"actor_kind": "cli", "method": "m", "resource_type": "team"}
            await audit.insert_entry(connection, row, ANONYMOUS)
    retention = Retention(database, "audit_entries", old_audit_entries, timedelta(days=90))
    assert [await retention.look(now) for _ in range(2)] == [3, 0]
    async with database.read() as connection:
        left = await audit.list_entries(connection, customer_id, None, 10, audit.AuditFilter())
    assert len(left) == 3
    assert min(row["create_time"] for row in left) > now - timedelta(days=90)
    assert ControlSettings().audit_retention_days == 0
