"""Admitted requests and the records they leave: what the journal keeps and Settle sends."""

import random
import time
from typing import TYPE_CHECKING, NamedTuple

from edge.grants import GrantView, RuleView
from edge.leases import Lease
from edge.prices import PriceView
from edge.rates.ticket import Ticket
from tollkeeper.cost import UsageCounts
from tollkeeper.ids import is_object_id
from tollkeeper.v1 import edge_pb2

if TYPE_CHECKING:
    from edge.admission import Ledger

UsageState = edge_pb2.UsageState
_REPORTED = UsageState.USAGE_STATE_REPORTED
_ESTIMATED = UsageState.USAGE_STATE_ESTIMATED
_VOIDED = UsageState.USAGE_STATE_VOIDED
IN_DOUBT = "in_doubt"
# As many as the contract takes.
MAX_KEPT_OBJECTS = 100
# Counts that most requests don't have.
_FIRST_RARE = UsageCounts._fields.index("cache_write_1h_tokens")
_NONE_RARE = UsageCounts()[_FIRST_RARE:]


class AttemptPlan(NamedTuple):
    """One try at one provider: the rule, the model asked of the vendor, the price pinned for it, its worst
    case, and the output of each choice that this covers."""

    rule: RuleView
    model: str
    price: PriceView
    hold_nanousd: int
    output_limit: int = 0


class UsageIds:
    """UUIDv7 texts, like `tollkeeper.ids.uuid7`, but made in a fifth of its time: one per request."""

    __slots__ = ("_random",)

    def __init__(self) -> None:
        # Seeded by the system, in this process: two workers never share a sequence.
        self._random = random.Random()

    def make(self) -> str:
        """A new id."""
        milliseconds = time.time_ns() // 1_000_000
        bits = self._random.getrandbits(74)
        return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - a third faster than any other way
            milliseconds >> 16,
            milliseconds & 0xFFFF,
            bits & 0xFFF,
            0x8000 | bits >> 60,
            bits >> 12 & 0xFFFF_FFFF_FFFF,
        )


class Open:
    """One admitted request, from its journal begin to its finish. Made by `Ledger.begin` only.

    The routes set what they learn, at any time before `finish`: `status` (what the client got; 499: it hung
    up), `response_model`, `finish_reason`, `first_byte_ms`, `cf_log_id`, `cached`. Latency and failover are
    filled in.
    """

    __slots__ = (
        "_attempt",
        "_ledger",
        "_price",
        "began_s",
        "cached",
        "cf_log_id",
        "finish_reason",
        "finished",
        "first_byte_ms",
        "grant",
        "held_nanousd",
        "keeps",
        "lease",
        "record",
        "response_model",
        "status",
        "ticket",
        "usage_id",
    )

    def __init__(
        self, ledger: "Ledger", grant: GrantView, lease: Lease, held_nanousd: int, began_s: float
    ) -> None:
        # Until the begin is journaled there is nothing to finish.
        self.finished = True
        self.usage_id = ""
        self.grant = grant
        self.lease = lease
        self.held_nanousd = held_nanousd
        self.began_s = began_s
        self.record = edge_pb2.UsageRecord()
        self.status = 0
        self.response_model = ""
        self.finish_reason = ""
        self.first_byte_ms = 0
        self.cf_log_id = ""
        self.cached = False
        self.keeps = False
        # What it takes of rates and concurrency limits, where it is held to any.
        self.ticket: Ticket | None = None
        self._ledger = ledger

    # ---- what the routes read and say

    @property
    def attempt_number(self) -> int:
        """1 for the first."""
        return self._attempt.number

    @property
    def event_id(self) -> str:
        """`<usage id>-<n>` of the attempt under way, sent upstream as its event id (L13)."""
        return f"{self.usage_id}-{self._attempt.number}"

    @property
    def remaining_nanousd(self) -> int | None:
        """What is left of the tightest hard window, as far as this worker knows; None when nothing limits
        the key."""
        return self.lease.remaining_nanousd

    def end_attempt(
        self,
        state: "edge_pb2.UsageState",
        *,
        status: int = 0,
        usage: UsageCounts | None = None,
        why: str = "",
    ) -> int:
        """Says how the attempt under way ended and returns its cost in nano-dollars.

        REPORTED needs `usage`. ESTIMATED takes a guess in `usage`, or the full hold without one, and is
        never more than the hold (L14). VOIDED costs nothing. `why` names the reason of an estimate or a
        void (edge.proto, Attempt.why). The last call before `next_attempt` or `finish` counts; without one
        the attempt is an estimate, `in_doubt`.
        """
        attempt = self._attempt
        if state == _VOIDED:
            cost = 0
        elif usage is None:
            state, cost = _ESTIMATED, attempt.hold_nanousd
        else:
            cost = self._price.cost_nanousd(usage)
            if state == _ESTIMATED:
                cost = min(cost, attempt.hold_nanousd)
            set_usage(attempt.usage, usage)
        attempt.state = state
        attempt.cost_nanousd = cost
        if status:
            attempt.status = status
        if why:
            attempt.why = why
        return cost

    def keep(
        self,
        object_id: str,
        kind: str,
        *,
        pending: bool = False,
        batch_input: edge_pb2.BatchInput | None = None,
    ) -> None:
        """Says that the vendor of the attempt under way keeps something under this id (DESIGN §7); an id that
        can't be one is left out. `pending`: what it cost is told by its end only, so the attempt ends as an
        estimate. `batch_input` is of a file of requests.
        """
        if is_object_id(object_id) and len(self.record.kept_objects) < MAX_KEPT_OBJECTS:
            provider_id = self._attempt.provider_id
            self.record.kept_objects.add(
                object_id=object_id,
                kind=kind,
                provider_id=provider_id,
                pending=pending,
                batch_input=batch_input,
            )
            self.keeps = True

    # ---- what the ledger does with it

    def add_attempt(self, plan: AttemptPlan) -> None:
        """Starts the next attempt in the record. The one before must have ended."""
        rule, record = plan.rule, self.record
        attempt = record.attempts.add()
        attempt.number = len(record.attempts)
        attempt.provider_id = rule.provider_id
        attempt.provider_name = rule.provider_name
        attempt.provider_type = rule.provider_type
        attempt.model = plan.model
        attempt.price_id = plan.price.price_id
        attempt.hold_nanousd = plan.hold_nanousd
        if plan.price.markup_ppm:
            attempt.markup_ppm = plan.price.markup_ppm
        record.hold_nanousd += plan.hold_nanousd
        self._attempt = attempt
        self._price = plan.price

    def close_attempt(self) -> None:
        """The attempt under way is over, in doubt unless its end was told."""
        if not self._attempt.state:
            self.end_attempt(_ESTIMATED, why=IN_DOUBT)

    def drop_attempt(self) -> None:
        """Takes the attempt under way out again: it was never sent."""
        record = self.record
        record.hold_nanousd -= self._attempt.hold_nanousd
        del record.attempts[-1]
        self._attempt = record.attempts[-1]

    def lacking_nanousd(self, hold_nanousd: int) -> int:
        """What a further attempt needs on top of what is held, after what was possibly billed (L13)."""
        billed_nanousd = sum(attempt.cost_nanousd for attempt in self.record.attempts)
        return max(0, billed_nanousd + hold_nanousd - self.held_nanousd)

    def payload(self) -> bytes:
        """The record as it stands, serialized. Protobuf merges what is serialized one after the other."""
        return self.lease.record_prefix + self.record.SerializeToString()

    def seal(self, now_s: float) -> int:
        """Fills in the end of the record; returns the cost of the request."""
        record = self.record
        self.close_attempt()
        if len(record.attempts) == 1:
            record.state, cost = self._attempt.state, self._attempt.cost_nanousd
        else:
            first = record.attempts[0]
            tried = first.provider_id, first.model
            record.failover = any((each.provider_id, each.model) != tried for each in record.attempts)
            record.state = _state_of([attempt.state for attempt in record.attempts])
            cost = sum(attempt.cost_nanousd for attempt in record.attempts)
        record.cost_nanousd = cost
        record.status = self.status
        record.latency_ms = int((now_s - self.began_s) * 1000)
        record.response_model = self.response_model
        record.finish = self.finish_reason
        record.first_byte_ms = self.first_byte_ms
        if self.cf_log_id:
            record.cf_log_id = self.cf_log_id
        if self.cached:
            record.cached = True
        return cost

    def __del__(self) -> None:
        if not self.finished:
            self._ledger.abandoned(self)

    def __repr__(self) -> str:
        return f"Open({self.usage_id}, key {self.grant.key_id}{', finished' if self.finished else ''})"


def set_usage(message: edge_pb2.Usage, usage: UsageCounts) -> None:
    """Writes counts into the contract's message."""
    message.input_tokens = usage.input_tokens
    message.output_tokens = usage.output_tokens
    message.cached_input_tokens = usage.cached_input_tokens
    message.cache_write_tokens = usage.cache_write_tokens
    message.audio_input_tokens = usage.audio_input_tokens
    message.reasoning_tokens = usage.reasoning_tokens
    message.audio_output_tokens = usage.audio_output_tokens
    message.requests = usage.requests
    message.web_searches = usage.web_searches
    if usage[_FIRST_RARE:] != _NONE_RARE:
        message.cache_write_1h_tokens = usage.cache_write_1h_tokens
        message.image_input_tokens = usage.image_input_tokens
        message.image_output_tokens = usage.image_output_tokens
        message.images = usage.images
        message.seconds = usage.seconds
        message.characters = usage.characters
        message.service_tier = usage.service_tier


def _state_of(states: "list[edge_pb2.UsageState]") -> "edge_pb2.UsageState":
    """An estimate anywhere makes the record one; it is void only when all of it is."""
    if _ESTIMATED in states:
        return _ESTIMATED
    return _REPORTED if _REPORTED in states else _VOIDED


def estimate_in_doubt(record: edge_pb2.UsageRecord) -> None:
    """Ends a record whose end nobody wrote: what isn't known to be over is an estimate, its full hold (L22).

    The same record gives the same estimate, whoever makes it and however often."""
    for attempt in record.attempts:
        if not attempt.state:
            attempt.state = _ESTIMATED
            attempt.cost_nanousd = attempt.hold_nanousd
            attempt.why = IN_DOUBT
    record.state = _state_of([attempt.state for attempt in record.attempts])
    record.cost_nanousd = sum(attempt.cost_nanousd for attempt in record.attempts)
