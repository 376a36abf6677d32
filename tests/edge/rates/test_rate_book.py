"""A worker's rates over real gRPC: who is admitted, who waits, what a request takes and gives back."""

import asyncio
from collections.abc import AsyncIterator, Callable

import orjson
import pytest

from edge.control_link import ControlLink, open_channel
from edge.errors import render
from edge.rates.book import RateBook
from edge.rates.estimate import Likely
from edge.rates.headers import with_rates
from edge.rates.limits import CONCURRENT, REQUESTS, TOKENS, GrantLimits
from edge.rates.ticket import Ticket
from tests.edge.conftest import TurnedClock
from tests.edge.fake_control import FakeControl, Fault, error, new_id
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

KEY, CUSTOMER = "key-1", "customer-1"
FIELDS = {
    REQUESTS: "requests_per_minute",
    TOKENS: "tokens_per_minute",
    CONCURRENT: "max_concurrent_requests",
}


class Office:
    """A control plane, its clock, and workers that share its limits."""

    def __init__(self, control: FakeControl) -> None:
        self.control = control
        self.clock = TurnedClock()
        self.books: list[RateBook] = []
        self.link: ControlLink
        self._channel = open_channel([control.address])

    def worker(self) -> RateBook:
        """One more."""
        self.link = ControlLink(self._channel, "edge-secret")
        book = RateBook(self.link, new_id(), self.clock.now_s, lambda: None)
        self.books.append(book)
        return book

    def limits(self, *rows: tuple[str, str, int, int]) -> GrantLimits:
        """Scope, model pattern, kind and limit of each."""
        for scope, model, kind, limit in rows:
            self.control.rate_limits[f"{scope}-1", model, kind] = limit
        return GrantLimits(
            CUSTOMER,
            [
                edge_pb2.RateLimit(scope=scope, scope_id=f"{scope}-1", model=model, **{FIELDS[kind]: limit})
                for scope, model, kind, limit in rows
            ],
        )

    def key(self, kind: int, limit: int) -> GrantLimits:
        """One limit of a key."""
        return self.limits(("key", "", kind, limit))

    def turn(self, seconds: float) -> None:
        """Later, here and at the control plane."""
        self.clock.added_s += seconds
        self.control.clock_ahead_s += seconds

    def calls(self) -> int:
        """Asks so far."""
        return self.control.count("AcquireShares")

    async def close(self) -> None:
        for book in self.books:
            await book.close()
        await self._channel.close()


@pytest.fixture
async def office(control: FakeControl) -> AsyncIterator[Office]:
    """A control plane and nobody yet."""
    office = Office(control)
    yield office
    await office.close()


async def outcome(book: RateBook, limits: GrantLimits, tokens: int = 1) -> Ticket | TollkeeperError:
    """What a request gets."""
    try:
        return await book.admit(limits, "gpt-4o", Likely(tokens))
    except TollkeeperError as refusal:
        return refusal


def refused(got: Ticket | TollkeeperError, reason: Reason = Reason.RATE_LIMIT_EXCEEDED) -> TollkeeperError:
    """The refusal it has to be."""
    assert isinstance(got, TollkeeperError), got
    assert got.reason == reason
    return got


def admitted(results: list[Ticket | TollkeeperError]) -> int:
    """How many were; the others were refused for the rate, for a minute at most."""
    for got in results:
        if isinstance(got, TollkeeperError):
            wait_s = refused(got).retry_after_s
            assert wait_s is not None
            assert 0 < wait_s <= 60
    return sum(isinstance(got, Ticket) for got in results)


async def test_requests_within_the_limit_need_no_call_each(office: Office) -> None:
    """A worker that serves steadily asks ahead, off the request path."""
    book, limits = office.worker(), office.key(REQUESTS, 10_000)
    for _ in range(300):
        await book.admit(limits, "gpt-4o", Likely(1))
        office.turn(0.01)
        await asyncio.sleep(0)
    before = office.calls()
    assert before < 40
    ticket = book.admit(limits, "gpt-4o", Likely(1))
    with pytest.raises(StopIteration):
        # Doesn't suspend.
        ticket.send(None)


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_workers_admit_the_limit_and_not_one_more(office: Office, limit: int) -> None:
    """Eight workers at once, twenty requests each: as many as the limit, in every minute."""
    books, limits = [office.worker() for _ in range(8)], office.key(REQUESTS, limit)
    for _ in range(3):
        attempts = [outcome(book, limits) for book in books for _ in range(20)]
        assert admitted(list(await asyncio.gather(*attempts))) == limit
        office.turn(1.5)
        assert admitted([await outcome(book, limits) for book in books]) == 0
        for _ in range(2):
            office.turn(31)
            for book in books:
                book.tick()
            await asyncio.sleep(0.1)


async def test_a_refusal_says_who_and_when_in_openai_s_words(office: Office) -> None:
    """Type, code, message, retry-after and x-ratelimit-* (facts §8, §9)."""
    book, limits = office.worker(), office.key(REQUESTS, 2)
    for _ in range(2):
        await book.admit(limits, "gpt-4o", Likely(1))
    office.turn(20)
    rendered = render(refused(await outcome(book, limits)))
    headers = {name.decode(): value.decode() for name, value in rendered.headers}
    body = orjson.loads(rendered.body)["error"]

    assert rendered.status == 429
    assert (body["type"], body["code"], body["param"]) == ("requests", "rate_limit_exceeded", None)
    assert body["message"].startswith(
        "Rate limit reached for gpt-4o in key key-1 on requests per min (RPM): Limit 2, Used 2, Requested 1. "
        "Please try again in 40."
    )
    assert 40 <= int(headers["retry-after"]) <= 42
    assert 40_000 <= int(headers["retry-after-ms"]) <= 41_500
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "0")
    assert headers["x-ratelimit-reset-requests"].startswith("40.")
    assert "x-should-retry" not in headers


async def test_answers_carry_what_is_left(office: Office) -> None:
    """Of the limit with least left, in place of the vendor's."""
    book = office.worker()
    limits = office.limits(("key", "", REQUESTS, 5), ("team", "", REQUESTS, 100), ("key", "", TOKENS, 900))
    await book.admit(limits, "gpt-4o", Likely(100))
    ticket = await book.admit(limits, "gpt-4o", Likely(100))
    lines = ticket.with_rates(b"x-request-id: a\r\nx-ratelimit-limit-requests: 9\r\n").decode().split("\r\n")
    assert lines[:-1] == [
        "x-request-id: a",
        "x-ratelimit-limit-requests: 5",
        "x-ratelimit-remaining-requests: 3",
        "x-ratelimit-reset-requests: 1m0s",
        "x-ratelimit-limit-tokens: 900",
        "x-ratelimit-remaining-tokens: 700",
        "x-ratelimit-reset-tokens: 1m0s",
    ]
    assert with_rates(b"x-ratelimit-limit-requests: 9\r\n", []) == b"x-ratelimit-limit-requests: 9\r\n"


async def test_a_request_takes_from_all_limits_or_none(office: Office) -> None:
    """The customer's refusal leaves the key's limit as it was."""
    book = office.worker()
    limits = office.limits(("key", "", REQUESTS, 3), ("customer", "", TOKENS, 100))
    await book.admit(limits, "gpt-4o", Likely(90))
    refusal = refused(await outcome(book, limits, tokens=20))
    assert (refusal.metadata["scope"], refusal.metadata["type"]) == ("customer", "tokens")
    assert [await outcome(book, limits, tokens=5) for _ in range(2)]
    assert refused(await outcome(book, limits)).metadata["scope"] == "key"


async def test_limits_by_model_hold_for_their_models(office: Office) -> None:
    """Those whose pattern matches what is asked for."""
    book = office.worker()
    limits = office.limits(("key", "gpt-4o*", REQUESTS, 1), ("key", "", REQUESTS, 10))
    await book.admit(limits, "gpt-4o-mini", Likely(1))
    assert "for models gpt-4o*" in refused(await outcome(book, limits)).message
    for _ in range(3):
        await book.admit(limits, "o3", Likely(1))


async def test_what_can_never_fit_is_refused_for_good(office: Office) -> None:
    """More tokens than the limit by itself: final, with both numbers, and nothing is taken."""
    book, limits = office.worker(), office.limits(("key", "", REQUESTS, 1), ("key", "", TOKENS, 100))
    rendered = render(refused(await outcome(book, limits, tokens=101), Reason.REQUEST_EXCEEDS_RATE_LIMIT))
    error = orjson.loads(rendered.body)["error"]
    assert (rendered.status, error["type"], error["code"]) == (429, "tokens", "rate_limit_exceeded")
    assert "Limit 100, Requested 101" in error["message"]
    assert dict(rendered.headers) == {b"x-should-retry": b"false"}
    await book.admit(limits, "gpt-4o", Likely(100))


async def test_a_guess_never_makes_a_request_too_large(office: Office) -> None:
    """Output that nobody limited takes a tenth of a small limit; what was said counts in full."""
    book, limits = office.worker(), office.key(TOKENS, 100)
    tickets = [await book.admit(limits, "gpt-4o", Likely(10, 1000)) for _ in range(5)]
    refused(await outcome(book, limits))
    tickets[0].finish(10)
    await book.admit(limits, "gpt-4o", Likely(10))


async def test_a_lowered_limit_holds_at_once(office: Office) -> None:
    """Of the worker that hears of it: what it was lent before isn't used."""
    book = office.worker()
    for _ in range(50):
        await book.admit(office.key(REQUESTS, 1000), "gpt-4o", Likely(1))
        office.turn(0.1)
    refused(await outcome(book, office.key(REQUESTS, 20)))


async def test_tokens_are_corrected_at_the_end(office: Office) -> None:
    """Too much comes back at once, too little is taken from what comes next; unknown stays as counted."""
    book, limits = office.worker(), office.key(TOKENS, 100)
    ticket = await book.admit(limits, "gpt-4o", Likely(80))
    refused(await outcome(book, limits, tokens=30))
    ticket.finish(10)
    ticket.finish(10)
    ticket.void()
    office.turn(1.1)
    second = await book.admit(limits, "gpt-4o", Likely(50))
    second.finish(85)
    refused(await outcome(book, limits, tokens=6))
    office.turn(1.1)
    third = await book.admit(limits, "gpt-4o", Likely(5))
    third.finish(None)
    refused(await outcome(book, limits, tokens=1))


async def test_what_was_not_sent_takes_nothing(office: Office) -> None:
    """Of requests, tokens and places."""
    book = office.worker()
    limits = office.limits(("key", "", REQUESTS, 1), ("key", "", TOKENS, 10), ("key", "", CONCURRENT, 1))
    for _ in range(5):
        (await book.admit(limits, "gpt-4o", Likely(10))).void()
    await book.admit(limits, "gpt-4o", Likely(10))
    refused(await outcome(book, limits, tokens=10))


async def test_a_place_goes_from_worker_to_worker(office: Office) -> None:
    """One request at a time over eight workers, one after the other: every one is served."""
    books, limits = [office.worker() for _ in range(8)], office.key(CONCURRENT, 1)
    for number in range(24):
        ticket = await books[number % 8].admit(limits, "gpt-4o", Likely(1))
        refused(await outcome(books[(number + 1) % 8], limits)) if number == 5 else None
        ticket.finish(None)


async def test_no_more_at_once_than_the_limit(office: Office) -> None:
    """Sixty requests over four workers, five at a time; nobody waits in vain."""
    books, limits = [office.worker() for _ in range(4)], office.key(CONCURRENT, 5)
    running = most = 0

    async def one(book: RateBook) -> None:
        nonlocal running, most
        while True:
            got = await outcome(book, limits)
            if isinstance(got, Ticket):
                break
            assert refused(got).message.count("requests at once") == 1
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        got.finish(None)

    async with asyncio.timeout(10):
        await asyncio.gather(*(one(books[number % 4]) for number in range(60)))
    assert most <= 5


async def test_who_waits_for_a_place_holds_nobody_up(office: Office) -> None:
    """Other keys of the customer are served from what is in hand, and asked for at once."""
    book = office.worker()
    shared = ("customer", "", REQUESTS, 1000)
    slow = office.limits(shared, ("key", "", CONCURRENT, 1))
    quick, new = office.limits(shared), office.limits(shared, ("team", "", REQUESTS, 10))
    for _ in range(20):
        await book.admit(quick, "gpt-4o", Likely(1))
    first = await book.admit(slow, "gpt-4o", Likely(1))
    waiting = asyncio.create_task(outcome(book, slow))
    await asyncio.sleep(0.05)
    at_once = book.admit(quick, "gpt-4o", Likely(1))
    with pytest.raises(StopIteration):
        at_once.send(None)
    await book.admit(new, "gpt-4o", Likely(1))
    assert not waiting.done()
    first.finish(None)
    assert isinstance(await waiting, Ticket)


async def test_a_place_is_kept_while_its_request_runs(office: Office) -> None:
    """A long stream renews its share; when it ends, the place is free."""
    book, other, limits = office.worker(), office.worker(), office.key(CONCURRENT, 1)
    ticket = await book.admit(limits, "gpt-4o", Likely(1))
    for _ in range(20):
        office.turn(5)
        book.tick()
        await asyncio.sleep(0.01)
    refused(await outcome(other, limits))
    ticket.finish(None)
    await other.admit(limits, "gpt-4o", Likely(1))


@pytest.mark.parametrize("fault", [Fault(lose_answer=True), Fault(error=error(Reason.UNAVAILABLE))])
async def test_a_lost_call_counts_once(office: Office, fault: Fault) -> None:
    """It is repeated with the same number: the request is served, and the limit is whole."""
    book, other, limits = office.worker(), office.worker(), office.key(REQUESTS, 2)
    office.control.faults["AcquireShares"].append(fault)
    await book.admit(limits, "gpt-4o", Likely(1))
    await other.admit(limits, "gpt-4o", Likely(1))
    refused(await outcome(other, limits))


async def test_without_the_control_plane_the_share_in_hand_is_served(office: Office) -> None:
    """To its end; then 503, and on again when it is back."""
    book, limits = office.worker(), office.key(REQUESTS, 1000)
    for _ in range(40):
        await book.admit(limits, "gpt-4o", Likely(1))
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    await office.control.stop()
    await book.admit(limits, "gpt-4o", Likely(1))
    office.turn(21)
    unavailable = refused(await outcome(book, limits), Reason.UNAVAILABLE)
    assert unavailable.retry_after_s
    await office.control.start()

    async def served() -> bool:
        return isinstance(await outcome(book, limits), Ticket)

    async with asyncio.timeout(10):
        while not await served():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.05)


async def test_who_hangs_up_while_waiting_takes_nothing(office: Office) -> None:
    """The share that was fetched for it serves the next one."""
    book, limits = office.worker(), office.key(REQUESTS, 1)
    office.control.faults["AcquireShares"].append(Fault(delay_s=0.1))
    waiting = asyncio.create_task(book.admit(limits, "gpt-4o", Likely(1)))
    await asyncio.sleep(0.02)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await book.admit(limits, "gpt-4o", Likely(1))


async def test_idle_shares_go_back_and_are_forgotten(office: Office) -> None:
    """After some seconds without requests nothing is left here, and others may have all of it."""
    book, other, limits = office.worker(), office.worker(), office.key(REQUESTS, 100)
    for _ in range(10):
        await book.admit(limits, "gpt-4o", Likely(1))
    for _ in range(4):
        office.turn(20)
        book.tick()
        await asyncio.sleep(0.05)
    assert len(book) == 0
    assert admitted([await outcome(other, limits) for _ in range(101)]) == 100


async def test_a_drained_worker_gives_all_back(office: Office) -> None:
    """At its end, without waiting for its shares to end."""
    book, other, limits = office.worker(), office.worker(), office.key(REQUESTS, 100)
    for _ in range(10):
        await book.admit(limits, "gpt-4o", Likely(1))
        office.turn(0.5)
    await book.drain()
    assert admitted([await outcome(other, limits) for _ in range(100)]) == 90


async def test_a_limit_that_is_gone_refuses_nobody(office: Office) -> None:
    """A grant may be older than its key: the control plane's word counts."""
    book, limits = office.worker(), office.key(REQUESTS, 1)
    office.control.rate_limits = dict.fromkeys(office.control.rate_limits, 0)
    assert admitted([await outcome(book, limits) for _ in range(5)]) == 5


async def test_waiting_is_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bounds requests get 503, not memory."""
    monkeypatch.setattr("edge.rates.desk.MOST_WAITING", 3)
    monkeypatch.setattr("edge.rates.book.MOST_BUCKETS", 1)
    book, limits = office.worker(), office.key(REQUESTS, 100)
    office.control.faults["AcquireShares"].append(Fault(delay_s=0.1))
    results = await asyncio.gather(*(outcome(book, limits) for _ in range(5)))
    assert sum(isinstance(got, Ticket) for got in results) == 3
    refused(await outcome(book, office.limits(("team", "", REQUESTS, 1))), Reason.UNAVAILABLE)


async def test_thousands_of_draws_cost_microseconds(office: Office) -> None:
    """The path of a request whose share is in hand."""
    book = office.worker()
    limits = office.limits(("key", "", REQUESTS, 10**9), ("key", "", TOKENS, 10**12))
    ticket = await book.admit(limits, "gpt-4o", Likely(100))
    started: Callable[[], float] = asyncio.get_running_loop().time
    rounds = 2000
    began = started()
    for _ in range(rounds):
        ticket = await book.admit(limits, "gpt-4o", Likely(100))
        ticket.finish(50)
    spent_us = (started() - began) / rounds * 1e6
    assert spent_us < 500, spent_us


def test_a_grant_without_limits_is_false() -> None:
    """The request path asks no more than that."""
    assert not GrantLimits(CUSTOMER, [])
    assert not GrantLimits(CUSTOMER, [edge_pb2.RateLimit(scope="key", scope_id=KEY)])
