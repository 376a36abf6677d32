"""What requests leave unfinished is looked at when the control plane says so, until its end is told (L15)."""

import asyncio
from math import inf
from typing import Any

import pytest

from edge import follower
from edge.admission import UsageState
from edge.follower import Follower
from edge.kept_objects import NO_KEY, KeptObject, Pending
from edge.upstream.failures import ConnectFailed
from tests.edge.conftest import StartWorker, until
from tests.edge.fake_control import FakeControl, new_secret
from tests.edge.fake_ledger import grant, rule
from tests.edge.test_kept_objects import make
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

ESTIMATED = UsageState.USAGE_STATE_ESTIMATED
DAY_S = 86_400.0


class Place:
    kind = "response"


def pending(object_id: str, age_s: float = 2.0, *, provider: bool = True) -> Pending:
    """As the control plane hands it out."""
    kept = KeptObject(object_id, "response", "p", "u", True)
    return Pending(kept, grant(*([rule("p")] if provider else [])), age_s)


def opened(state: UsageState = ESTIMATED, kind: str = "response", pending: bool = True) -> Any:
    """As much of a finished request as is looked at."""
    record = edge_pb2.UsageRecord(state=state)
    record.kept_objects.add(object_id="resp_1", kind=kind, pending=pending)
    return type("Opened", (), {"record": record})


class Ledger:
    """Hands out what it is given, a call each, and then nothing."""

    def __init__(self, *answers: list[Pending] | Exception, next_in_s: float = 0.0) -> None:
        self.kept_objects = self
        self.answers = list(answers)
        self.next_in_s = next_in_s
        self.asked: list[int] = []
        self.left: list[tuple[str, str]] = []
        self.refusals: list[TollkeeperError] = []

    async def claim(self, kinds: tuple[str, ...], count: int) -> tuple[list[Pending], float]:
        assert kinds == ("response",)
        self.asked.append(count)
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer[:count], self.next_in_s

    async def leave(self, customer_id: str, object_id: str, why: str) -> None:
        if self.refusals:
            raise self.refusals.pop()
        self.left.append((object_id, why))


class Proxy:
    """Answers as told."""

    def __init__(self, *answers: str | Exception | None) -> None:
        self.answers = list(answers)
        self.looked: list[str] = []

    async def look(self, grant: object, place: object, kept: KeptObject) -> str | None:
        self.looked.append(kept.object_id)
        answer = self.answers.pop(0) if self.answers else "reported"
        if isinstance(answer, Exception):
            raise answer
        if answer == "never":
            await asyncio.sleep(60)
        return answer


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "SHORTEST_PAUSE_S", 0.001)


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(follower.metrics, "followed", told.append)
    return told


@pytest.fixture
async def follow() -> Any:
    """Starts a follower; all are closed in the end."""
    started: list[Follower] = []

    def start(ledger: Any, proxy: Any, interval_s: float = 60.0) -> Follower:
        one = Follower(ledger, proxy, [Place()], interval_s)  # type: ignore[list-item]
        started.append(one)
        one.start()
        return one

    yield start
    for one in started:
        await one.close()


@pytest.mark.parametrize(
    ("told", "age_s", "outcome"),
    [
        ("reported", 2.0, "reported"),
        (None, 2.0, "unfinished"),
        (ConnectFailed("away"), 2.0, "unfinished"),
        (ValueError("odd"), 2.0, "unfinished"),
        (TollkeeperError(Reason.UNAVAILABLE, "control is away"), 2 * DAY_S, "unfinished"),
        ("reported", 2 * DAY_S, "reported"),
        ("usage_missing", 2.0, "usage_missing"),
        (None, 2 * DAY_S, "end_unseen"),
        (ConnectFailed("away"), 2 * DAY_S, "end_unseen"),
        (ValueError("odd"), 2 * DAY_S, "end_unseen"),
        (TollkeeperError(Reason.NOT_FOUND, "no results"), 2 * DAY_S, "end_unseen"),
    ],
)
async def test_one_look(
    follow: Any, outcomes: list[str], told: str | Exception | None, age_s: float, outcome: str
) -> None:
    """What it tells is reported, and so is that there will be nothing to tell: it ended without, or hasn't
    for a day. Whatever else happens, somebody looks again."""
    ledger = Ledger([pending("resp_1", age_s)])
    follow(ledger, Proxy(told))
    await until(lambda: outcomes)
    assert outcomes == [outcome]
    assert ledger.left == ([("resp_1", outcome)] if outcome not in ("reported", "unfinished") else [])


async def test_a_deleted_provider_is_not_asked(follow: Any, outcomes: list[str]) -> None:
    """There is no credential to ask it with."""
    ledger, proxy = Ledger([pending("resp_1", provider=False)]), Proxy()
    follow(ledger, proxy)
    await until(lambda: ledger.left)
    assert (ledger.left, proxy.looked) == ([("resp_1", "provider_deleted")], [])


async def test_what_the_ledger_did_not_hear_comes_again(follow: Any, outcomes: list[str]) -> None:
    """Nothing is remembered here."""
    ledger = Ledger([pending("resp_1")], [pending("resp_1")])
    ledger.refusals.append(TollkeeperError(Reason.UNAVAILABLE, "away"))
    follow(ledger, Proxy("usage_missing", "usage_missing"))
    await until(lambda: ledger.left)
    assert outcomes == ["unfinished", "usage_missing"]


async def test_calls_come_when_something_is_due(follow: Any) -> None:
    """Soon while something is, else once in a while; an error is no reason to stop."""
    ledger = Ledger(TollkeeperError(Reason.UNAVAILABLE, "away"), ValueError("odd"), next_in_s=0.01)
    follow(ledger, Proxy(), interval_s=0.02)
    await until(lambda: len(ledger.asked) >= 5)
    quiet = Ledger(next_in_s=inf)
    follow(quiet, Proxy())
    await asyncio.sleep(0.05)
    assert len(quiet.asked) == 1


@pytest.mark.parametrize(
    ("made", "asks"),
    [
        (opened(), 2),
        (opened(state=UsageState.USAGE_STATE_REPORTED), 1),
        (opened(pending=False), 1),
        (opened(kind="file"), 1),
    ],
)
async def test_what_is_left_unfinished_is_asked_for_soon(follow: Any, made: Any, asks: int) -> None:
    """Not at the next of the rare calls. What is finished, or what nobody knows how to look at, changes
    nothing."""
    ledger = Ledger(next_in_s=inf)
    following = follow(ledger, Proxy())
    await until(lambda: ledger.asked)
    following.follow(made)
    await asyncio.sleep(0.05)
    assert len(ledger.asked) == asks


async def test_looks_at_a_time_are_bounded(
    follow: Any, outcomes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is asked for than may be looked at, none is looked at twice at a time, and one that never
    answers is given up."""
    monkeypatch.setattr(follower, "MAX_LOOKS", 3)
    monkeypatch.setattr(follower, "LOOK_TIMEOUT_S", 0.2)
    ledger = Ledger([pending("resp_1"), pending("resp_2")], [pending("resp_1")], [pending("resp_3")])
    proxy = Proxy(*["never"] * 3)
    follow(ledger, proxy)
    await until(lambda: len(proxy.looked) == 3)
    assert (ledger.asked, proxy.looked) == ([3, 1, 1], ["resp_1", "resp_2", "resp_3"])
    await until(lambda: len(outcomes) == 3)
    assert set(outcomes) == {"unfinished"}
    await until(lambda: ledger.asked[-1] == 3)


async def test_over_the_wire(control: FakeControl, start_worker: StartWorker) -> None:
    """Any worker gets what another left, with the way to its provider and for no key at all."""
    secret = new_secret()
    granted = control.add_key(secret)
    maker, other = await start_worker(), await start_worker()
    await make(maker, secret, "resp_1", pending=True)
    await maker.ledger.settler.flush(5)
    claimed, next_in_s = await other.ledger.kept_objects.claim(("response",), 5)
    assert [(each.kept.object_id, each.kept.pending) for each in claimed] == [("resp_1", True)]
    assert (claimed[0].grant.key_hash, next_in_s) == (NO_KEY, inf)
    assert claimed[0].grant.rules[0].provider_id == granted.rules[0].provider_id
    await other.ledger.kept_objects.leave(granted.customer_id, "resp_1", "end_unseen")
    assert control.reported["resp_1"].why_unknown == "end_unseen"
