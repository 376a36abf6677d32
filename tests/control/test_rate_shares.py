"""Shares of rates and of concurrent requests over the database (L4), and the limits they are shares of."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from clients.control import ControlClient
from control.domain.key_limits import RATES
from control.retention import Retention
from control.store import rates
from tests.control.gateway import authorize, make_key, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.customers_pb2 import Customer, UpdateCustomerRequest
from tollkeeper.v1.edge_pb2 import (
    CONCURRENT_REQUESTS,
    REQUESTS_PER_MINUTE,
    TOKENS_PER_MINUTE,
    AcquireSharesRequest,
    ShareAnswer,
    ShareAsk,
    ShareUse,
)
from tollkeeper.v1.keys_pb2 import Key, ModelLimit, UpdateKeyRequest
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team, UpdateTeamRequest
from tollkeeper.v1.users_pb2 import CreateUserRequest, UpdateUserRequest, User


class Worker:
    """An edge worker that asks."""

    def __init__(self, edge: ControlClient, customer_id: str) -> None:
        self._edge = edge
        self._customer_id = customer_id
        self.incarnation_id = str(uuid7())
        self.number = 0

    async def ask(self, **fields: Any) -> ShareAnswer:
        """One ask; with the number of the one before when `again`."""
        self.number += not fields.pop("again", False)
        fields = {"scope": "key", "kind": REQUESTS_PER_MINUTE, "number": self.number} | fields
        (answer,) = await self.asks([ShareAsk(**fields)])
        return answer

    async def asks(self, asks: list[ShareAsk]) -> list[ShareAnswer]:
        """All in one call."""
        request = AcquireSharesRequest(
            incarnation_id=self.incarnation_id, customer_id=self._customer_id, asks=asks
        )
        return list((await self._edge.edge.AcquireShares(request)).answers)


async def workers(control: RunningControl, count: int = 1, **limits: Any) -> tuple[list[Worker], str]:
    """So many workers, and the id of a key with these limits."""
    customer = await control.customer("acme")
    made = await make_key(await control.cli(), "acme", **limits)
    edge = await control.edge()
    return [Worker(edge, customer.customer_id) for _ in range(count)], made.key.key_id


@pytest.mark.parametrize("limit", [1, 3, 40])
async def test_workers_at_once_get_no_more_than_the_limit(control: RunningControl, limit: int) -> None:
    """Eight workers ask at the same moment, over and over: the limit is lent, to the last request, and then
    they hear when to come back."""
    eight, key_id = await workers(control, 8, requests_per_minute=limit)
    lent = 0
    for _ in range(3):
        answers = await asyncio.gather(
            *(worker.ask(scope_id=key_id, waiting=[1, 1], wanted=3) for worker in eight)
        )
        lent += sum(answer.granted for answer in answers)
        assert all(answer.limit == limit for answer in answers)
    # Nobody reports: what was lent counts as used.
    assert lent <= limit * 3
    totals = await asyncio.gather(*(worker.ask(scope_id=key_id, waiting=[limit]) for worker in eight))
    granted = [answer.granted for answer in totals if answer.granted]
    assert sum(granted) <= limit
    refused_s = [answer.retry_after.ToMilliseconds() for answer in totals if answer.HasField("retry_after")]
    assert all(0 < wait_ms <= 60_000 for wait_ms in refused_s)


async def test_the_limit_is_lent_once(control: RunningControl) -> None:
    """Workers that keep what they have share exactly the limit, and what is given back is lent again."""
    eight, key_id = await workers(control, 8, requests_per_minute=10)
    held = {}
    for worker in eight:
        answer = await worker.ask(scope_id=key_id, waiting=[1, 1])
        held[worker] = answer.granted
    assert sum(held.values()) == 10
    first, *_, last = eight
    assert (await last.ask(scope_id=key_id, waiting=[1])).granted == 0
    await first.ask(scope_id=key_id, kept=0)
    assert (await last.ask(scope_id=key_id, waiting=[1, 1])).granted == 2


async def test_the_same_number_again_gets_the_stored_answer(control: RunningControl) -> None:
    """A call whose answer was lost is repeated without counting twice."""
    (worker, other), key_id = await workers(control, 2, tokens_per_minute=100)
    asked: dict[str, Any] = {
        "scope_id": key_id,
        "kind": TOKENS_PER_MINUTE,
        "used": [ShareUse(age_ms=100, amount=30)],
        "waiting": [20],
    }
    first = await worker.ask(**asked)
    again = await worker.ask(**asked, again=True)
    assert first == again
    assert first.granted == 20
    assert (await other.ask(scope_id=key_id, kind=TOKENS_PER_MINUTE, waiting=[50])).granted == 50
    assert (await other.ask(scope_id=key_id, kind=TOKENS_PER_MINUTE, kept=50, waiting=[1])).granted == 0


async def test_places_come_back_with_the_report(control: RunningControl) -> None:
    """Of concurrent requests: lent while requests run, free again when they have ended."""
    (worker, other), key_id = await workers(control, 2, max_concurrent_requests=2)
    fields: dict[str, Any] = {"scope_id": key_id, "kind": CONCURRENT_REQUESTS}
    assert (await worker.ask(**fields, waiting=[1, 1])).granted == 2
    assert (await other.ask(**fields, waiting=[1])).granted == 0
    await worker.ask(**fields, in_flight=1)
    assert (await other.ask(**fields, waiting=[1])).granted == 1


async def test_every_scope_and_model_has_its_own(control: RunningControl) -> None:
    """Key, model, user, team and customer: each answers by its own limit; one without a limit says so."""
    cli, edge = await control.cli(), await control.edge()
    customer_id = (await control.customer("acme")).customer_id
    await cli.customers.UpdateCustomer(
        UpdateCustomerRequest(customer=Customer(customer_id="acme", requests_per_minute=5))
    )
    team = await cli.teams.CreateTeam(
        CreateTeamRequest(team=Team(customer_id="acme", name="red", requests_per_minute=4))
    )
    user = await cli.users.CreateUser(
        CreateUserRequest(user=User(customer_id="acme", email="a@example.com", requests_per_minute=3))
    )
    made = await make_key(
        cli,
        "acme",
        requests_per_minute=2,
        model_limits=[ModelLimit(model="o3*", requests_per_minute=1)],
        team_id=team.team_id,
        user_id=user.user_id,
    )
    grant = await authorize(edge, made.raw_key)
    found = {(each.scope, each.model): each.requests_per_minute for each in grant.rate_limits}
    expected = {("key", ""): 2, ("user", ""): 3, ("team", ""): 4, ("customer", ""): 5, ("key", "o3*"): 1}
    assert found == expected
    asks = [
        ShareAsk(
            scope=each.scope,
            scope_id=each.scope_id,
            model=each.model,
            kind=REQUESTS_PER_MINUTE,
            number=number + 1,
            waiting=[1] * 9,
        )
        for number, each in enumerate(grant.rate_limits)
    ]
    unlimited = ShareAsk(scope="key", scope_id=made.key.key_id, kind=TOKENS_PER_MINUTE, number=9, waiting=[9])
    answers = await Worker(edge, customer_id).asks([*asks, unlimited])
    assert [answer.granted for answer in answers] == [
        expected[each.scope, each.model] for each in grant.rate_limits
    ] + [0]
    assert answers[-1].limit == 0


async def test_limits_of_users_and_teams_are_kept_and_taken_away(control: RunningControl) -> None:
    """By the fields' names; values out of range are refused by name."""
    cli = await control.cli()
    await control.customer("acme")
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="red")))
    user = await cli.users.CreateUser(CreateUserRequest(user=User(customer_id="acme", email="a@example.com")))
    for field in RATES:
        limited_team = await cli.teams.UpdateTeam(
            UpdateTeamRequest(team=Team(customer_id="acme", team_id=team.team_id, **{field: 7}))
        )
        limited_user = await cli.users.UpdateUser(
            UpdateUserRequest(user=User(customer_id="acme", user_id=user.user_id, **{field: 8}))
        )
        assert (getattr(limited_team, field), getattr(limited_user, field)) == (7, 8)
        with refused(Reason.INVALID_ARGUMENT) as refusal:
            await cli.users.UpdateUser(
                UpdateUserRequest(user=User(customer_id="acme", user_id=user.user_id, **{field: -1}))
            )
        assert refusal.metadata["field"] == field
    mask = FieldMask(paths=list(RATES))
    bare = await cli.teams.UpdateTeam(
        UpdateTeamRequest(team=Team(customer_id="acme", team_id=team.team_id), update_mask=mask)
    )
    assert [getattr(bare, field) for field in RATES] == [0, 0, 0]


async def test_a_lowered_limit_holds_at_the_next_ask(control: RunningControl) -> None:
    """What is lent above it comes back by itself; nothing more is lent until it fits."""
    (worker, other), key_id = await workers(control, 2, requests_per_minute=10)
    assert (await worker.ask(scope_id=key_id, waiting=[1] * 8)).granted == 8
    await (await control.cli()).keys.UpdateKey(
        UpdateKeyRequest(key=Key(key_id=key_id, requests_per_minute=5))
    )
    answer = await other.ask(scope_id=key_id, waiting=[1])
    assert (answer.limit, answer.granted, answer.remaining) == (5, 0, 0)


UNUSABLE: list[dict[str, Any]] = [
    {"scope": "planet"},
    {"scope_id": "x"},
    {"kind": 0},
    {"number": 0},
    {"kept": -1},
    {"in_flight": -1},
    {"wanted": 2**60},
    {"waiting": [-1]},
    {"used": [ShareUse(age_ms=-1, amount=1)]},
    {"used": [ShareUse(amount=2**60)]},
    {"model": "x" * 1000},
]


async def test_what_no_worker_would_ask_is_refused(control: RunningControl) -> None:
    """Bad asks change nothing."""
    (worker,), key_id = await workers(control, requests_per_minute=1)
    for fields in UNUSABLE:
        with refused(Reason.INVALID_ARGUMENT):
            await worker.ask(**{"scope_id": key_id, "waiting": [1], **fields})
    with refused(Reason.INVALID_ARGUMENT):
        await worker.asks([ShareAsk(scope="key", scope_id=key_id, kind=1, number=n) for n in (1, 2)])


async def test_idle_meters_are_removed(control: RunningControl) -> None:
    """A day after the last ask; those in use stay, and one that was removed is made again."""
    (worker,), key_id = await workers(control, 1, requests_per_minute=60, max_concurrent_requests=5)
    for kind in (REQUESTS_PER_MINUTE, CONCURRENT_REQUESTS):
        answer = await worker.ask(scope_id=key_id, kind=kind, waiting=[1], used=[ShareUse(amount=1)])
        assert answer.granted == 1
    retention = Retention(control.database, "rate_meters", rates.remove_idle)
    now = datetime.now(UTC)
    assert await retention.look(now + timedelta(hours=23)) == 0
    assert await retention.look(now + timedelta(hours=25)) == 2
    assert (await worker.ask(scope_id=key_id, waiting=[1])).granted == 1
