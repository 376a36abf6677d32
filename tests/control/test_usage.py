"""UsageService over real gRPC and a real database: the log. Sums: test_usage_sums.py."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import delete, insert, text
from sqlalchemy.dialects import postgresql

from clients.control import ControlClient
from control.domain.identity import Role
from control.store.database import Database
from control.store.request_log import LogFilter, list_statement
from control.store.tables import entries, request_log, request_tags, rollups, usage_records
from tests.control.gateway import make_key, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import first_at, uuid7
from tollkeeper.v1 import usage_pb2
from tollkeeper.v1.budgets_pb2 import Scope
from tollkeeper.v1.customers_pb2 import GetCustomerRequest
from tollkeeper.v1.edge_pb2 import USAGE_STATE_ESTIMATED, USAGE_STATE_REFUSED
from tollkeeper.v1.keys_pb2 import Key
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team
from tollkeeper.v1.usage_pb2 import GetUsageRequest, GetUsageSummaryRequest, ListUsageRequest
from tollkeeper.v1.users_pb2 import UpdateUserRequest, User


async def post(
    control: RunningControl, key: Key, amounts: list[int], usage_id: str = "", **fields: Any
) -> str:
    """A request with its entries, as the ledger leaves them; without amounts it was refused. `fields` are
    the log's."""
    # Ids of one millisecond have no order, and the tests' database takes less.
    await asyncio.sleep(0.002)
    usage_id, lease_id = usage_id or str(uuid7()), str(uuid7())
    owners = {
        "customer_id": key.customer_id,
        "usage_id": usage_id,
        "key_id": key.key_id,
        "user_id": key.user_id or None,
        "team_id": key.team_id or None,
        "state": fields.get("state", 1),
    }
    record = {
        **owners,
        "incarnation_id": str(uuid7()),
        "sequence": 1,
        "lease_id": lease_id,
        "digest": b"",
        "cost_nanousd": sum(amounts),
    }
    posted = [
        {
            "customer_id": key.customer_id,
            "usage_id": usage_id,
            "part": part,
            "lease_id": lease_id,
            "label": "correction" if part else "post",
            "amount_nanousd": amount,
        }
        for part, amount in enumerate(amounts)
    ]
    async with control.database.write() as connection:
        if posted:
            await connection.execute(insert(usage_records).values(**record))
            await connection.execute(insert(entries), posted)
        await connection.execute(insert(request_log).values(**{**owners, **fields}))
        for tag in fields.get("tags", ()):
            await connection.execute(
                insert(request_tags).values(customer_id=key.customer_id, tag=tag, usage_id=usage_id)
            )
    return usage_id


async def sum_up(
    control: RunningControl, customer_id: str, scope: int, scope_id: str, hour: datetime, cost: int
) -> None:
    """One hour's sums of a scope, as the ledger keeps them."""
    async with control.database.write() as connection:
        await connection.execute(
            insert(rollups).values(
                customer_id=customer_id,
                dimension=int(scope),
                value=scope_id,
                hour=hour.replace(minute=0, second=0, microsecond=0),
                request_count=1,
                cost_nanousd=cost,
                input_tokens=10,
                output_tokens=20,
            )
        )


async def test_records_come_newest_first_with_their_entries_on_request(control: RunningControl) -> None:
    """Pages cover the log once; one record shows what was posted for it, corrections included."""
    cli = await control.cli()
    await control.customer("acme")
    key = (await make_key(cli, "acme")).key
    other = (await make_key(cli, "acme")).key
    made = [await post(control, key, [n + 1]) for n in range(3)]
    estimated = await post(
        control,
        other,
        [100, -60],
        state=2,
        why="cut",
        failover=True,
        attempts=[{"number": 1, "usage": {"reasoning_tokens": 3}}],
        finish="stop",
    )
    seen: list[str] = []
    token = ""
    while True:
        request = ListUsageRequest(customer_id="acme", page_size=3, page_token=token)
        answer = await cli.usage.ListUsage(request)
        seen += [entry.usage_id for entry in answer.usage]
        token = answer.next_page_token
        if not token:
            break
    assert seen == [estimated, *reversed(made)]
    of_key = await cli.usage.ListUsage(ListUsageRequest(customer_id="acme", key_id=key.key_hash))
    assert [entry.usage_id for entry in of_key.usage] == made[::-1]

    entry = await cli.usage.GetUsage(GetUsageRequest(customer_id="acme", usage_id=estimated))
    assert (entry.state, entry.why, entry.failover, entry.cost_nanousd) == (
        USAGE_STATE_ESTIMATED,
        "cut",
        True,
        40,
    )
    assert entry.usage.reasoning_tokens == 3
    assert [(part.part, part.label, part.amount_nanousd) for part in entry.entries] == [
        (0, "post", 100),
        (1, "correction", -60),
    ]
    with refused(Reason.NOT_FOUND):
        await cli.usage.GetUsage(GetUsageRequest(customer_id="acme", usage_id=str(uuid7())))


async def test_members_see_what_is_theirs(control: RunningControl) -> None:
    """B4: a member's list, record, key and sum are its own; nobody sees another customer's."""
    cli = await control.cli()
    acme, other = await control.customer("acme"), await control.customer("other")
    member = await control.person(acme.customer_id, Role.MEMBER)
    stranger = await control.person(other.customer_id, Role.OWNER)
    own = (await make_key(member.client, "")).key
    foreign = (await make_key(cli, "acme")).key
    mine, theirs = await post(control, own, [1]), await post(control, foreign, [2])
    await sum_up(control, acme.customer_id, Scope.SCOPE_USER, member.user_id, datetime.now(UTC), 1)
    usage = member.client.usage
    assert [entry.usage_id for entry in (await usage.ListUsage(ListUsageRequest())).usage] == [mine]
    assert (await usage.GetUsage(GetUsageRequest(usage_id=mine))).cost_nanousd == 1
    assert (await usage.GetUsageSummary(GetUsageSummaryRequest())).total_cost_nanousd == 1
    with refused(Reason.NOT_FOUND):
        await usage.GetUsage(GetUsageRequest(usage_id=theirs))
    with refused(Reason.NOT_FOUND):
        await usage.ListUsage(ListUsageRequest(key_id=foreign.key_id))
    with refused(Reason.NOT_FOUND):
        await usage.GetUsageSummary(GetUsageSummaryRequest(key_id=foreign.key_id))
    with refused(Reason.NOT_FOUND):
        await stranger.client.usage.GetUsage(GetUsageRequest(usage_id=mine))
    with refused(Reason.NOT_FOUND):
        await stranger.client.usage.ListUsage(ListUsageRequest(customer_id="acme"))


NOW = datetime.now(UTC)
PROVIDER = str(uuid7())


async def listed(client: ControlClient, **wanted: Any) -> list[str]:
    """Ids of all requests that a filter lets through."""
    answer = await client.usage.ListUsage(ListUsageRequest(customer_id="acme", **wanted))
    return [entry.usage_id for entry in answer.usage]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"end_user": "ann"}, {"end_user": "ann"}),
        ({"tags": ["a", "b"]}, {"tag": "b"}),
        ({"requested_model": "gpt"}, {"model": "gpt"}),
        ({"provider_id": PROVIDER}, {"provider_id": PROVIDER}),
        ({"provider_id": PROVIDER}, {"provider_id": PROVIDER.upper()}),
        ({"state": 2}, {"state": USAGE_STATE_ESTIMATED}),
        ({"state": 4}, {"state": USAGE_STATE_REFUSED}),
        ({"status": 429}, {"status": 429}),
        ({"tags": ["x"], "end_user": "ann", "status": 500}, {"tag": "x", "end_user": "ann", "status": 500}),
    ],
)
async def test_a_filter_finds_what_it_names_and_no_more(
    control: RunningControl, fields: dict[str, Any], wanted: dict[str, Any]
) -> None:
    """A5: each filter alone, and several together."""
    cli = await control.cli()
    await control.customer("acme")
    key = (await make_key(cli, "acme")).key
    other = {"status": 200, "requested_model": "other", "end_user": "bob", "tags": ["c"]}
    await post(control, key, [1], **other)
    found = await post(control, key, [1], **{**other, **fields})
    await post(control, key, [1], **other)
    assert await listed(cli, **wanted) == [found]
    nothing = {
        name: "none" if name in ("end_user", "tag", "model") else value for name, value in wanted.items()
    }
    nothing |= {"end_user": "nobody"}
    assert await listed(cli, **nothing) == []


async def test_a_filter_by_owner_and_by_time(control: RunningControl) -> None:
    """Key by hash, user, team; from a time on, before a time; with and without refused requests."""
    cli = await control.cli()
    acme = await control.customer("acme")
    user = await control.person(acme.customer_id, Role.MEMBER)
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="t")))
    of_user = (await make_key(cli, "acme", user_id=user.user_id)).key
    of_team = (await make_key(cli, "acme", team_id=team.team_id)).key
    old = await post(control, of_team, [1], str(first_at(NOW - timedelta(days=2))))
    recent = await post(control, of_user, [1], str(first_at(NOW - timedelta(hours=1))))
    refusal = await post(control, of_user, [], str(first_at(NOW)), state=4)
    assert await listed(cli) == [refusal, recent, old]
    assert await listed(cli, without_refused=True) == [recent, old]
    assert await listed(cli, key_id=of_team.key_hash) == [old]
    assert await listed(cli, user_id=user.user_id) == [refusal, recent]
    assert await listed(cli, team_id=team.team_id) == [old]
    yesterday = Timestamp()
    yesterday.FromDatetime(NOW - timedelta(days=1))
    assert await listed(cli, start_time=yesterday) == [refusal, recent]
    assert await listed(cli, end_time=yesterday) == [old]
    assert await listed(cli, start_time=yesterday, end_time=yesterday) == []


async def test_pages_survive_what_comes_in_between(control: RunningControl) -> None:
    """The next page begins behind the last one, whatever was logged since; other tokens are refused."""
    cli = await control.cli()
    await control.customer("acme")
    key = (await make_key(cli, "acme")).key
    made = [await post(control, key, [1]) for _ in range(6)]
    request = ListUsageRequest(customer_id="acme", page_size=2)
    first = await cli.usage.ListUsage(request)
    late = await post(control, key, [1], str(first_at(NOW - timedelta(days=1))))
    await post(control, key, [1])
    seen = [entry.usage_id for entry in first.usage]
    token = first.next_page_token
    while token:
        page = await cli.usage.ListUsage(ListUsageRequest(customer_id="acme", page_size=2, page_token=token))
        seen += [entry.usage_id for entry in page.usage]
        token = page.next_page_token
    assert seen == [*made[::-1], late]
    with refused(Reason.INVALID_ARGUMENT):
        await listed(cli, status=200, page_token=first.next_page_token)


async def test_a_member_lists_its_own_and_its_teams(control: RunningControl) -> None:
    """B4: with filters too, each request once, newest first, page by page."""
    cli = await control.cli()
    acme = await control.customer("acme")
    member = await control.person(acme.customer_id, Role.MEMBER)
    teams = []
    for name in ("one", "two", "three"):
        team = Team(customer_id="acme", name=name)
        teams.append((await cli.teams.CreateTeam(CreateTeamRequest(team=team))).team_id)
    user = User(customer_id="acme", user_id=member.user_id, team_ids=teams[:2])
    await cli.users.UpdateUser(UpdateUserRequest(user=user, update_mask=FieldMask(paths=["team_ids"])))
    owners = [
        {"user_id": member.user_id},
        {"team_id": teams[0]},
        {"team_id": teams[2]},
        {"user_id": member.user_id, "team_id": teams[1]},
        {},
    ]
    keys = [(await make_key(cli, "acme", **owner)).key for owner in owners]
    made = [await post(control, key, [1], requested_model=f"m{n % 2}") for n in range(4) for key in keys]
    own = [usage_id for number, usage_id in enumerate(made) if number % 5 in (0, 1, 3)][::-1]
    seen: list[str] = []
    token = ""
    while True:
        answer = await member.client.usage.ListUsage(ListUsageRequest(page_size=5, page_token=token))
        seen += [entry.usage_id for entry in answer.usage]
        token = answer.next_page_token
        if not token:
            break
    assert seen == own
    of_model = await member.client.usage.ListUsage(ListUsageRequest(model="m1"))
    assert {entry.usage_id for entry in of_model.usage} == set(own[:3] + own[6:9])
    exported = await exported_text(member.client, format=usage_pb2.EXPORT_FORMAT_JSONL)
    assert [json.loads(line)["usage_id"] for line in exported.splitlines()] == own


async def test_the_ledger_remembers_what_the_log_forgot(control: RunningControl) -> None:
    """L19: a request whose partition was dropped still has its cost and entries; members see their own."""
    cli = await control.cli()
    acme = await control.customer("acme")
    member = await control.person(acme.customer_id, Role.MEMBER)
    key = (await make_key(cli, "acme")).key
    usage_id = await post(control, key, [100, -60])
    async with control.database.write() as connection:
        await connection.execute(delete(request_log))
    assert await listed(cli) == []
    entry = await cli.usage.GetUsage(GetUsageRequest(customer_id="acme", usage_id=usage_id))
    assert (entry.ledger_only, entry.cost_nanousd, entry.key_id) == (True, 40, key.key_id)
    assert [part.amount_nanousd for part in entry.entries] == [100, -60]
    with refused(Reason.NOT_FOUND):
        await member.client.usage.GetUsage(GetUsageRequest(usage_id=usage_id))


async def test_one_request_shows_its_attempts(control: RunningControl) -> None:
    """A5: each try with provider, model, status, state, cost and reason; the usage is the sum of all."""
    cli = await control.cli()
    await control.customer("acme")
    key = (await make_key(cli, "acme")).key
    attempts = [
        {"number": 1, "provider_name": "a", "model": "m", "status": 500, "state": 2, "why": "upstream_error",
         "cost_nanousd": 3, "usage": {"input_tokens": 3}},
        {"number": 2, "provider_name": "b", "provider_type": "openai", "status": 200, "state": 1,
         "cost_nanousd": 4, "usage": {"input_tokens": 4, "output_tokens": 1}},
    ]  # fmt: skip
    usage_id = await post(control, key, [7], attempts=attempts, failover=True, cf_log_id="cf-1", status=200)
    entry = await cli.usage.GetUsage(GetUsageRequest(customer_id="acme", usage_id=usage_id))
    assert [(a.number, a.status, a.cost_nanousd, a.why) for a in entry.attempts] == [
        (1, 500, 3, "upstream_error"),
        (2, 200, 4, ""),
    ]
    assert (entry.provider_name, entry.provider_type, entry.cf_log_id) == ("b", "openai", "cf-1")
    assert (entry.usage.input_tokens, entry.usage.output_tokens) == (7, 1)


async def exported_text(client: ControlClient, **wanted: Any) -> str:
    """The whole of an export."""
    request = usage_pb2.ExportUsageRequest(**wanted)
    return "".join([part.text async for part in client.usage.ExportUsage(request)])


async def test_an_export_comes_in_parts(control: RunningControl, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a filter, newest first, in snapshots of bounded size, after an estimate of how much it is."""
    monkeypatch.setattr("control.services.usage.EXPORT_PAGE", 3)
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    key = (await make_key(cli, "acme")).key
    made = [await post(control, key, [n], end_user="ann") for n in range(8)]
    await post(control, key, [1], end_user="bob")
    for _ in range(2):
        await sum_up(control, acme, Scope.SCOPE_CUSTOMER, acme, NOW - timedelta(hours=_), 1)
    request = usage_pb2.ExportUsageRequest(
        customer_id="acme", end_user="ann", format=usage_pb2.EXPORT_FORMAT_JSONL
    )
    parts = [part async for part in cli.usage.ExportUsage(request)]
    assert [part.row_count for part in parts] == [0, 3, 3, 2]
    lines = [json.loads(line) for part in parts for line in part.text.splitlines()]
    assert [line["usage_id"] for line in lines] == made[::-1]
    assert lines[0]["cost_nanousd"] == "7"
    everything = usage_pb2.ExportUsageRequest(customer_id="acme")
    first = await anext(aiter(cli.usage.ExportUsage(everything)))
    assert (first.estimated_row_count, first.row_count) == (2, 0)
    assert first.text.startswith("usage_id,begin_time,")


async def test_a_csv_has_no_formulas(control: RunningControl) -> None:
    """What apps and vendors wrote can't act in a spreadsheet, nor break a line."""
    cli = await control.cli()
    await control.customer("acme")
    key = (await make_key(cli, "acme")).key
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a "quoted", line\nbreak']
    for each in evil:
        await post(control, key, [5_000_000], end_user=each, tags=[each], requested_model="gpt")
    table = await exported_text(cli, customer_id="acme")
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert [row["end_user"] for row in rows] == [*(f"'{each}" for each in evil[:5]), evil[5]][::-1]
    assert {row["cost_usd"] for row in rows} == {"0.005"}
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


async def test_an_operator_exports_all_customers(control: RunningControl) -> None:
    """One after the other; nobody else may."""
    cli = await control.cli()
    for slug in ("acme", "other"):
        await control.customer(slug)
        await post(control, (await make_key(cli, slug)).key, [1])
    exported = await exported_text(cli, customer_id="-", format=usage_pb2.EXPORT_FORMAT_JSONL)
    assert len({json.loads(line)["customer_id"] for line in exported.splitlines()}) == 2
    acme = (await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme"))).customer_id
    owner = await control.person(acme, Role.OWNER)
    with refused(Reason.PERMISSION_DENIED):
        await exported_text(owner.client, customer_id="-")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"user_id": "ann"}, "user_id"),
        ({"team_id": "t"}, "team_id"),
        ({"provider_id": "p"}, "provider_id"),
        ({"end_user": "x" * 301}, "end_user"),
        ({"tag": "x" * 301}, "tag"),
        ({"model": "x" * 301}, "model"),
        ({"state": 99}, "state"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "x"}, "page_token"),
        ({"start_time": Timestamp(seconds=10**15)}, "start_time"),
        ({"end_time": Timestamp(nanos=-1)}, "end_time"),
    ],
)
async def test_bad_filters_name_the_field(
    control: RunningControl, wanted: dict[str, Any], field: str
) -> None:
    """Lists and exports alike."""
    cli = await control.cli()
    await control.customer("acme")
    with refused(Reason.INVALID_ARGUMENT) as refusal:
        await listed(cli, **wanted)
    assert refusal.metadata["field"].startswith(field)
    if not field.startswith("page_"):
        with refused(Reason.INVALID_ARGUMENT):
            await exported_text(cli, customer_id="acme", **wanted)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (LogFilter(), "pkey"),
        (LogFilter(key_id=PROVIDER), "key_id"),
        (LogFilter(user_id=PROVIDER), "user_id"),
        (LogFilter(team_id=PROVIDER), "team_id"),
        (LogFilter(end_user="ann"), "end_user"),
        (LogFilter(model="gpt"), "requested_model"),
        (LogFilter(provider_id=PROVIDER), "provider_id"),
        (LogFilter(state=2), "state"),
        (LogFilter(state=4), "state"),
        (LogFilter(status=429), "status"),
        (LogFilter(tag="a"), "request_tags"),
    ],
)
async def test_every_filter_has_an_index_that_gives_the_order(
    database: Database, wanted: LogFilter, index: str
) -> None:
    """A page costs what it holds: it is read off an index in order, and nothing is sorted."""
    async with database.read() as connection:
        for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            await connection.execute(text(f"SET LOCAL {setting} = off"))
        statement = list_statement(PROVIDER, wanted, str(uuid7()), 50)
        sql = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
        plan = "\n".join((await connection.exec_driver_sql(f"EXPLAIN {sql}")).scalars())
    assert index in plan
    assert "Seq Scan" not in plan
    assert "Sort  (" not in plan
