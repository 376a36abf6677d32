"""What requests leave unfinished is looked at until its end is reported (L15)."""

import asyncio
from typing import Any

import pytest

from edge import follower
from edge.admission import UsageState
from edge.follower import Follower
from edge.kept_objects import KeptObject
from tests.edge.conftest import until
from tollkeeper.v1 import edge_pb2

ESTIMATED = UsageState.USAGE_STATE_ESTIMATED


class Place:
    kind = "response"


class Opened:
    """As much of a finished request as is looked at."""

    def __init__(
        self, *ids: str, state: UsageState = ESTIMATED, kind: str = "response", pending: bool = True
    ) -> None:
        self.grant = object()
        self.record = edge_pb2.UsageRecord(usage_id="u", state=state)
        for object_id in ids:
            self.record.kept_objects.add(object_id=object_id, kind=kind, provider_id="p", pending=pending)


class Proxy:
    """Answers as told, then that there is nothing more to learn."""

    def __init__(self, *answers: str | Exception | None) -> None:
        self.answers = list(answers)
        self.looked: list[KeptObject] = []

    async def look(self, grant: object, place: object, kept: KeptObject) -> str | None:
        self.looked.append(kept)
        answer = self.answers.pop(0) if self.answers else "reported"
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(follower, "LONGEST_PAUSE_S", 0.002)


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(follower.metrics, "followed", told.append)
    return told


def following(proxy: Any) -> Follower:
    return Follower(proxy, [Place()])  # type: ignore[list-item]


async def test_it_is_looked_at_until_its_end(outcomes: list[str]) -> None:
    """A failure is a look that told nothing."""
    proxy = Proxy(None, ValueError("odd"), None, "reported")
    following(proxy).follow(Opened("resp_1"))  # type: ignore[arg-type]
    await until(lambda: outcomes == ["reported"])
    assert proxy.looked == [KeptObject("resp_1", "response", "p", "u", True)] * 4


@pytest.mark.parametrize(
    "opened",
    [
        Opened("resp_1", state=UsageState.USAGE_STATE_REPORTED),
        Opened("resp_1", pending=False),
        Opened("file-1", kind="file"),
        Opened(),
    ],
)
async def test_what_is_finished_is_left_alone(opened: Any, outcomes: list[str]) -> None:
    """So is what nobody knows how to look at."""
    proxy = Proxy()
    following(proxy).follow(opened)
    await asyncio.sleep(0.02)
    assert (proxy.looked, outcomes) == ([], [])


async def test_it_is_given_up_at_last(outcomes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Vendors give it up too."""
    monkeypatch.setattr(follower, "FOLLOW_FOR_S", 0.02)
    following(Proxy(*[None] * 1000)).follow(Opened("resp_1"))  # type: ignore[arg-type]
    await until(lambda: outcomes == ["given_up"])


async def test_how_many_are_followed_is_bounded(outcomes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes when it is full is left to the app; closing ends all of it."""
    monkeypatch.setattr(follower, "MAX_FOLLOWED", 2)
    monkeypatch.setattr(follower, "FIRST_PAUSE_S", 60.0)
    followed = following(Proxy())
    followed.follow(Opened("resp_1", "resp_2", "resp_3"))  # type: ignore[arg-type]
    assert outcomes == ["refused"]
    await followed.close()
    assert outcomes == ["refused"]
