"""Edge buckets and the control plane's meter together, under any schedule: calls lost, late and repeated,
workers that die."""

from dataclasses import dataclass, field
from math import inf

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given, settings
from hypothesis import strategies as st

from control.domain import rates
from edge.rates.bucket import Ask, Bucket
from edge.rates.limits import CONCURRENT, REQUESTS, TOKENS, Limit, MeterKey
from tollkeeper.v1 import edge_pb2

MINUTE_S = 60.0


@dataclass
class Draw:
    """What one request takes, from when on."""

    at_s: float
    amount: int
    step: int
    report_count: int
    ended: bool = False


@dataclass
class Worker:
    """A bucket, the ask on its way and what requests drew."""

    name: str
    bucket: Bucket
    # The ask as it was sent last, if the control plane has it or will have it.
    draws: list[Draw] = field(default_factory=list)
    dead: bool = False


class World:
    """One limit, its meter, and workers that share it. The control plane's clock is ahead of the edges'."""

    CONTROL_AHEAD_S = 1_700_000_000.0

    def __init__(self, kind: int, limit: int, workers: int) -> None:
        self.kind, self.limit = kind, limit
        self.now_s = 1000.0
        self.meter = rates.Meter(kind)
        key = MeterKey("customer", "key", "id", "", kind)
        self.workers = [
            Worker(str(number), Bucket(Limit(key, limit), self.now_s)) for number in range(workers)
        ]
        self.number = 0
        self.drawn: list[Draw] = []
        self.draw_for_ms = 20_000

    def request(self, worker: Worker, amount: int) -> bool:
        """Draws from what is in hand."""
        if worker.dead or not worker.bucket.covers(amount, self.now_s):
            return False
        step = worker.bucket.draw(amount, self.now_s)
        draw = Draw(self.now_s, amount, step, worker.bucket.report_count)
        worker.draws.append(draw)
        self.drawn.append(draw)
        return True

    def end(self, worker: Worker, used: int) -> None:
        """The oldest request that runs ends, and used so much of what it was counted for."""
        draw = next((draw for draw in worker.draws if not draw.ended), None)
        if draw is None or worker.dead:
            return
        draw.ended = True
        if self.kind == CONCURRENT:
            worker.bucket.end()
        elif used < draw.amount:
            worker.bucket.take_back(draw.amount - used, draw.step, draw.report_count, self.now_s)
            draw.amount = used

    def compose(self, worker: Worker, waiting: list[int]) -> Ask | None:
        """The ask under way, or a new one."""
        if worker.dead:
            return None
        if worker.bucket.pending is None:
            self.number += 1
            worker.bucket.ask(self.number, waiting, self.now_s)
        return worker.bucket.pending

    def arrive(self, worker: Worker, message: edge_pb2.ShareAsk) -> edge_pb2.ShareAnswer:
        """What the control plane does with it."""
        answer = rates.lend(
            self.meter,
            self.limit,
            rates.Ask(
                worker.name,
                message.number,
                [(use.age_ms, use.amount) for use in message.used],
                message.in_flight,
                message.kept,
                list(message.waiting),
                message.wanted,
            ),
            int((self.now_s + self.CONTROL_AHEAD_S) * 1000),
            self.draw_for_ms,
        )
        draw_for = Duration()
        draw_for.FromMilliseconds(answer.draw_for_ms)
        return edge_pb2.ShareAnswer(
            limit=self.limit,
            granted=answer.granted,
            exact=answer.exact,
            draw_for=draw_for,
            remaining=answer.remaining,
        )

    def call(self, worker: Worker, waiting: list[int], fate: str, delay_s: float) -> None:
        """One call, as it goes."""
        ask = self.compose(worker, waiting)
        if ask is None:
            return
        message = ask.message(self.now_s)
        self.now_s += delay_s
        if fate == "lost":
            return
        answer = self.arrive(worker, message)
        if fate == "repeated":
            answer = self.arrive(worker, message)
        self.now_s += delay_s
        if fate != "answer lost":
            worker.bucket.answered(ask, answer, self.now_s)

    def check(self) -> None:
        """No more is used in the last minute, or at once, than the limit."""
        if self.kind == CONCURRENT:
            used = sum(1 for draw in self.drawn if not draw.ended)
        else:
            used = sum(draw.amount for draw in self.drawn if draw.at_s > self.now_s - MINUTE_S)
        assert used <= self.limit


workers = st.integers(0, 2)
amounts = st.integers(1, 6)
delays = st.sampled_from([0.0, 0.003, 0.2, 0.9])
fates = st.sampled_from(["ok", "ok", "ok", "lost", "answer lost", "repeated"])
# Around the ends of shares, slots and minutes.
pauses = st.sampled_from([0.05, 0.3, 0.45, 2.0, 9.0, 19.0, 29.0, 39.5, 59.3, 59.6, 60.1])
serve = st.tuples(st.just("serve"), workers, st.lists(amounts, min_size=1, max_size=4), fates, delays)
steps = st.one_of(
    serve,
    serve,
    serve,
    st.tuples(st.just("draw"), workers, amounts),
    st.tuples(st.just("report"), workers, st.just([]), fates, delays),
    st.tuples(st.just("end"), workers, st.integers(0, 6)),
    st.tuples(st.just("pass"), pauses),
    st.tuples(st.just("pass"), pauses),
    st.tuples(st.just("die"), st.just(2)),
)
scripts = st.lists(steps, min_size=8, max_size=50)


@pytest.mark.parametrize("kind", [REQUESTS, TOKENS])
@given(limit=st.integers(1, 12), script=scripts)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_no_minute_holds_more_than_the_limit(kind: int, limit: int, script: list[tuple]) -> None:
    """Whatever happens to calls and workers, any 60 s hold at most the limit (L4)."""
    play(World(kind, limit, 3), script)


@given(limit=st.integers(1, 6), script=scripts)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_more_requests_at_once_than_the_limit(limit: int, script: list[tuple]) -> None:
    """The same for concurrency, as long as workers reach the control plane in time."""
    alive = [
        step
        for step in script
        if step[0] not in ("die", "pass") and (step[0] not in ("serve", "report") or step[3] == "ok")
    ]
    play(World(CONCURRENT, limit, 3), alive)


def play(world: World, script: list[tuple]) -> None:
    """Runs a script, checking after every step."""
    for step in script:
        if step[0] == "pass":
            world.now_s += step[1]
            continue
        worker = world.workers[step[1]]
        if step[0] == "draw":
            while world.request(worker, step[2] if world.kind == TOKENS else 1):
                world.check()
        elif step[0] in ("serve", "report"):
            waiting = step[2] if world.kind == TOKENS else [1] * len(step[2])
            world.call(worker, waiting, step[3], step[4])
            for amount in waiting:
                world.request(worker, amount)
                world.check()
        elif step[0] == "end":
            world.end(worker, step[2])
        else:
            worker.dead = True
        world.check()


def test_a_full_minute_is_used_up_by_many_workers() -> None:
    """600 a minute over eight workers that all want more: 600 in the first minute, none too many, and 600
    in each minute after (within 1 %)."""
    world = World(REQUESTS, 600, 8)
    for tick in range(3 * 60 * 20):
        worker = world.workers[tick % 8]
        if not world.request(worker, 1):
            world.call(worker, [1], "ok", 0.0)
            world.request(worker, 1)
        world.now_s = 1000.0 + (tick + 1) / 20
        world.check()
    admitted = len(world.drawn)
    assert 1800 * 0.99 <= admitted <= 1800


@pytest.mark.parametrize("limit", [1, 3])
def test_low_limits_are_usable_and_exact(limit: int) -> None:
    """1 and 3 requests a minute over eight workers: each is served wherever it comes, none too many."""
    world = World(REQUESTS, limit, 8)
    served = 0
    for second in range(300):
        world.now_s = 1000.0 + second
        worker = world.workers[second % 8]
        world.call(worker, [1], "ok", 0.0)
        served += world.request(worker, 1)
        for each in world.workers:
            if each.bucket.due(world.now_s):
                world.call(each, [], "ok", 0.0)
        world.check()
    assert 5 * limit - limit <= served <= 5 * limit


def test_what_a_dead_worker_held_comes_back() -> None:
    """Its share counts as used when it ended, and leaves the minute after that."""
    world = World(REQUESTS, 10, 2)
    dead, alive = world.workers
    world.call(dead, [1] * 10, "ok", 0.0)
    dead.dead = True
    world.call(alive, [1], "ok", 0.0)
    assert not world.request(alive, 1)
    world.now_s += 20 + 61
    world.call(alive, [1] * 10, "ok", 0.0)
    assert all(world.request(alive, 1) for _ in range(10))


def test_tokens_counted_too_high_are_free_at_once() -> None:
    """What a request didn't use serves the next one, before and after it was reported."""
    world = World(TOKENS, 100, 1)
    (worker,) = world.workers
    world.call(worker, [100], "ok", 0.0)
    assert world.request(worker, 100)
    world.end(worker, 10)
    assert world.request(worker, 90)
    world.call(worker, [5], "ok", 0.0)
    assert not world.request(worker, 5)
    world.end(worker, 20)
    world.call(worker, [70], "ok", 0.0)
    world.call(worker, [70], "ok", 0.0)
    assert world.request(worker, 70)


def test_tokens_counted_too_low_are_made_up_for() -> None:
    """A request that used more than it was counted for leaves less to the next ones."""
    world = World(TOKENS, 100, 1)
    (worker,) = world.workers
    world.call(worker, [10], "ok", 0.0)
    assert world.request(worker, 10)
    worker.bucket.add(80, world.now_s)
    assert worker.bucket.due(world.now_s)
    world.call(worker, [20], "ok", 0.0)
    assert not world.request(worker, 20)
    world.call(worker, [10], "ok", 0.0)
    assert world.request(worker, 10)
    assert worker.bucket.renew_at_s < inf


@pytest.mark.parametrize("tenth", range(10))
def test_nothing_comes_free_before_its_minute_is_over(tenth: int) -> None:
    """Wherever in a slot it was used; and soon after, it does."""
    world = World(REQUESTS, 1, 2)
    worker, other = world.workers
    began_s = world.now_s = 1000.0 + tenth / 10
    world.call(worker, [1], "ok", 0.0)
    assert world.request(worker, 1)
    world.call(worker, [], "ok", 0.0)
    world.now_s = began_s + 59.99
    world.call(other, [1], "ok", 0.0)
    assert not world.request(other, 1)
    world.now_s = began_s + 60.61
    world.call(other, [1], "ok", 0.0)
    assert world.request(other, 1)


def test_a_repeated_ask_counts_once() -> None:
    """The same number again: the same answer, and nothing is booked a second time."""
    world = World(TOKENS, 100, 1)
    (worker,) = world.workers
    world.call(worker, [30], "ok", 0.0)
    world.request(worker, 30)
    for fate in ("answer lost", "answer lost", "repeated"):
        world.call(worker, [20], fate, 0.1)
    assert (world.meter.used, world.meter.lent) == (30, worker.bucket.left)
    assert world.request(worker, 20)


def test_tokens_that_were_reported_come_back_by_the_control_plane_only() -> None:
    """They leave the minute with their use: what is drawn for them later would count for nothing."""
    world = World(TOKENS, 100, 2)
    world.draw_for_ms = 30_000
    worker, other = world.workers
    world.call(worker, [60], "ok", 0.0)
    assert world.request(worker, 60)
    world.now_s += 29
    world.call(worker, [20], "ok", 0.0)
    world.now_s += 1
    world.end(worker, 0)
    while world.request(worker, 20):
        pass
    world.now_s = 1060.7
    world.call(other, [70], "ok", 0.0)
    assert world.request(other, 70)
    world.check()
