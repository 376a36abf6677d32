"""Circuit breakers by themselves: when they open, how they are probed, how many are kept."""

from hypothesis import given
from hypothesis import strategies as st

from edge.upstream import breakers
from edge.upstream.breakers import Breaker, BreakerKey, Breakers, BreakerSettings, State
from tollkeeper.conditions import Ending, Failure

KEY = BreakerKey("customer", "provider", "model")
CUT = Ending(0, Failure.OTHER)
SILENT = Ending(504, Failure.TIMEOUT)


class Turned:
    """A clock, and breakers by it: three failures within ten seconds open one for five."""

    def __init__(self, failures: int = 3) -> None:
        self.now_s = 100.0
        self.changes: list[State] = []
        self.breakers = Breakers(BreakerSettings(failures, 10, 5), lambda: self.now_s, self.changes.append)

    def fail(self, times: int = 1, ending: Ending = CUT) -> None:
        for _ in range(times):
            self.breakers.failed(KEY, ending)

    def open(self) -> "Turned":
        self.fail(3)
        return self

    def after(self, seconds: float) -> Ending | None:
        """What a request is told then."""
        self.now_s += seconds
        return self.breakers.resting(KEY)


def test_opens_at_so_many_failures() -> None:
    """Not before; then requests are told how the last one ended."""
    turned = Turned()
    turned.fail(2)
    assert turned.after(0) is None
    turned.fail(ending=SILENT)
    assert turned.after(0) == SILENT
    assert 4 <= turned.breakers.wait_s(KEY) <= 5
    assert turned.breakers.counts() == {"open": 1, "half_open": 0}
    assert turned.changes == [State.OPEN]


def test_old_failures_dont_count() -> None:
    """Only those of the window."""
    turned = Turned()
    turned.fail(2)
    turned.now_s += 11
    turned.fail(2)
    assert turned.after(0) is None


def test_most_must_fail() -> None:
    """A provider that answers more often than not is asked."""
    turned = Turned()
    turned.fail()
    for _ in range(5):
        turned.breakers.succeeded(KEY)
    turned.fail(3)
    assert turned.after(0) is None
    turned.fail()
    assert turned.after(0) == CUT


def test_one_probe_at_a_time() -> None:
    """The first request after the rest; others wait for its outcome."""
    turned = Turned().open()
    assert turned.after(5) is None
    assert turned.after(0) == CUT
    assert turned.breakers.counts() == {"open": 0, "half_open": 1}
    turned.breakers.succeeded(KEY)
    assert turned.after(0) is None
    assert not turned.breakers.watched
    assert turned.changes == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_failed_probes_double_the_rest() -> None:
    """Up to a minute."""
    turned = Turned().open()
    turned.now_s += 5
    rests = []
    for _ in range(6):
        assert turned.after(0) is None
        turned.fail()
        rests.append(turned.breakers.wait_s(KEY))
        turned.now_s += 60
    for rest_s, expected_s in zip(rests, [10, 20, 40, 60, 60, 60], strict=True):
        assert 0.8 * expected_s <= rest_s <= expected_s


def test_late_ends_of_old_attempts_change_nothing() -> None:
    """What was sent before the breaker opened neither closes it nor makes its rest longer."""
    turned = Turned().open()
    wait_s = turned.breakers.wait_s(KEY)
    turned.fail(5)
    turned.breakers.succeeded(KEY)
    assert turned.breakers.wait_s(KEY) == wait_s
    assert turned.after(0) == CUT


def test_a_probe_that_was_not_sent_goes_to_the_next_request() -> None:
    """At once when that is told, after a while when nobody says anything."""
    turned = Turned().open()
    assert turned.after(5) is None
    turned.breakers.release(KEY)
    assert turned.after(0) is None
    assert turned.after(breakers.PROBE_S - 1) == CUT
    assert turned.after(1) is None


def test_switched_off() -> None:
    """With 0 failures nothing is counted."""
    turned = Turned(failures=0)
    turned.fail(50)
    assert turned.after(0) is None
    assert not turned.breakers.watched


def test_closed_ones_are_forgotten() -> None:
    """Successes, and time, leave nothing behind."""
    turned = Turned()
    turned.fail()
    turned.now_s += 11
    turned.breakers.succeeded(KEY)
    assert not turned.breakers.watched
    turned.fail()
    turned.now_s += 11
    turned.breakers.tidy()
    assert not turned.breakers.watched
    turned.open()
    turned.now_s += 1000
    turned.breakers.tidy()
    assert turned.breakers.watched


def test_only_so_many_are_kept() -> None:
    """Those that failed last."""
    turned = Turned(failures=1)
    for number in range(breakers.MAX_BREAKERS + 10):
        turned.breakers.failed(BreakerKey("c", "p", str(number)), CUT)
    assert len(turned.breakers.tripped) == breakers.MAX_BREAKERS
    assert turned.breakers.resting(BreakerKey("c", "p", "0")) is None
    assert turned.breakers.resting(BreakerKey("c", "p", "10")) == CUT


def test_rows_for_people() -> None:
    """Who rests, why and for how long; nobody who doesn't."""
    turned = Turned()
    turned.fail(2)
    assert turned.breakers.rows() == []
    turned.fail(ending=SILENT)
    [row] = turned.breakers.rows()
    wait_s = row.pop("next_probe_in_s")
    assert isinstance(wait_s, float)
    assert 4 <= wait_s <= 5
    assert row == {
        "customer_id": "customer",
        "provider_id": "provider",
        "model": "model",
        "state": "open",
        "last_status": 504,
        "last_failure": "timeout",
    }


_EVENT = st.sampled_from(["fail", "succeed", "ask", "release", "tidy"]) | st.floats(0, 40)


@given(st.lists(_EVENT, max_size=60))
def test_whatever_happens(events: list[str | float]) -> None:
    """Memory stays bounded, tripped ones are known, and within two minutes everybody may be asked again."""
    turned = Turned()
    for event in events:
        if isinstance(event, float):
            turned.now_s += event
        elif event == "fail":
            turned.fail()
        elif event == "succeed":
            turned.breakers.succeeded(KEY)
        elif event == "ask":
            turned.breakers.resting(KEY)
        elif event == "release":
            turned.breakers.release(KEY)
        else:
            turned.breakers.tidy()
        known: dict[BreakerKey, Breaker] = turned.breakers._breakers
        tripped = {key for key, breaker in known.items() if breaker.state is not State.CLOSED}
        assert turned.breakers.tripped == tripped
        assert all(len(each.outcomes) <= breakers.MAX_OUTCOMES for each in known.values())
        turned.breakers.counts()
    assert turned.after(120) is None
