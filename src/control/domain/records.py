"""Usage records as the edge sends them: what is accepted, what it costs, and what must not differ when it
comes again."""

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from control.domain.kept_objects import problem_of
from control.domain.price_plans import MAX_MARKUP_PPM, MIN_MARKUP_PPM
from tollkeeper.cost import PriceRates, UsageCounts, cost_nanousd
from tollkeeper.ids import is_uuid
from tollkeeper.money import MAX_NANOUSD
from tollkeeper.v1 import edge_pb2

# Looked up once: an attribute of the enum costs a microsecond each time.
REPORTED = edge_pb2.USAGE_STATE_REPORTED
ESTIMATED = edge_pb2.USAGE_STATE_ESTIMATED
VOIDED = edge_pb2.USAGE_STATE_VOIDED
REFUSED = edge_pb2.USAGE_STATE_REFUSED
STATES = frozenset({REPORTED, ESTIMATED, VOIDED})
MAX_ATTEMPTS = 20
# Of the years 1 and 9999, where the calendar begins and ends.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
MAX_COUNT = 10**12
MAX_TEXT_CHARS = 300
# What apps may say about their own users and purposes; the edge cuts it to the same.
MAX_END_USER_CHARS = 256
MAX_TAGS = 8
MAX_TAG_CHARS = 64


class RejectedRecord(Exception):
    """The record can't be posted, whoever sends it again."""


@dataclass(frozen=True, slots=True)
class PreparedRecord:
    """A checked record with the control plane's own cost (L16)."""

    message: edge_pb2.UsageRecord
    state: int
    cost_nanousd: int
    edge_cost_nanousd: int
    digest: bytes
    # Of usage_records, and of request_log.
    row: Mapping[str, Any]
    log_row: Mapping[str, Any]

    @property
    def usage_id(self) -> str:
        return self.message.usage_id


def check(record: edge_pb2.UsageRecord) -> None:
    """Shape only. Raises RejectedRecord."""
    for name in ("usage_id", "incarnation_id", "customer_id", "key_id", "lease_id"):
        _check_id(name, getattr(record, name))
    for name in ("team_id", "user_id", "router_id"):
        if getattr(record, name):
            _check_id(name, getattr(record, name))
    if record.state not in STATES:
        raise RejectedRecord("state is missing")
    if not 1 <= len(record.attempts) <= MAX_ATTEMPTS:
        raise RejectedRecord(f"a record has 1 to {MAX_ATTEMPTS} attempts")
    if record.sequence < 1:
        raise RejectedRecord("sequence starts at 1")
    for attempt in record.attempts:
        _check_attempt(attempt)
    for window in record.windows:
        _check_id("budget_id of a window", window.budget_id)
        _check_time("start_time of a window", window.start_time)
        _check_time("end_time of a window", window.end_time)
    if len({window.budget_id for window in record.windows}) < len(record.windows):
        raise RejectedRecord("two windows of one budget")
    if record.kept_objects and (problem := problem_of(record.kept_objects)):
        raise RejectedRecord(problem)


def _check_id(name: str, value: str) -> None:
    # Rows are found again by this very text, and PostgreSQL gives ids back in lower case.
    if not is_uuid(value) or value != value.lower():
        raise RejectedRecord(f"{name} is not a UUID")


def _check_time(name: str, value: Timestamp) -> None:
    if not (_FIRST_SECOND <= value.seconds <= _LAST_SECOND and 0 <= value.nanos < 10**9):
        raise RejectedRecord(f"{name} is out of range")


def _check_attempt(attempt: edge_pb2.Attempt) -> None:
    if attempt.state not in STATES:
        raise RejectedRecord("the state of an attempt is missing")
    if not 0 <= attempt.cost_nanousd <= MAX_NANOUSD or not 0 <= attempt.hold_nanousd <= MAX_NANOUSD:
        raise RejectedRecord("an amount is out of range")
    for _, count in attempt.usage.ListFields():
        if type(count) is int and not 0 <= count <= MAX_COUNT:
            raise RejectedRecord("a usage count is out of range")
    if not MIN_MARKUP_PPM <= attempt.markup_ppm <= MAX_MARKUP_PPM:
        raise RejectedRecord("a markup is out of range")
    if attempt.state == REPORTED and not is_uuid(attempt.price_id):
        raise RejectedRecord("a reported attempt names its price")
    if attempt.provider_id and not is_uuid(attempt.provider_id):
        raise RejectedRecord("provider_id is not a UUID")


def price_ids(record: edge_pb2.UsageRecord) -> set[str]:
    """Prices needed to recompute the record's cost."""
    return {attempt.price_id for attempt in record.attempts if attempt.state == REPORTED}


def prepare(
    record: edge_pb2.UsageRecord, prices: Mapping[str, PriceRates], post_time: datetime
) -> PreparedRecord:
    """Computes cost, digest and row of a checked record. Raises RejectedRecord for an unknown price."""
    cost = sum(_attempt_cost(attempt, prices) for attempt in record.attempts)
    if cost > MAX_NANOUSD:
        raise RejectedRecord("the cost is out of range")
    digest = _digest(record)
    state = _state_of({attempt.state for attempt in record.attempts})
    return PreparedRecord(
        message=record,
        state=state,
        cost_nanousd=cost,
        edge_cost_nanousd=record.cost_nanousd,
        digest=digest,
        row=(row := _row(record, state, cost, digest, post_time)),
        log_row=_log_row(record, state, row["why"], row["begin_time"]),
    )


def report(
    record: edge_pb2.UsageRecord, request: edge_pb2.ReportKeptObjectRequest, prices: Mapping[str, PriceRates]
) -> None:
    """Makes the report of an estimated record whose end is known now: its last attempt has this usage.
    Raises RejectedRecord for an unknown price."""
    attempt = record.attempts[-1]
    attempt.state = REPORTED
    attempt.usage.CopyFrom(request.usage)
    attempt.cost_nanousd = _attempt_cost(attempt, prices)
    attempt.ClearField("why")
    record.state = _state_of({each.state for each in record.attempts})
    record.cost_nanousd = sum(_attempt_cost(each, prices) for each in record.attempts)
    record.response_model = request.response_model or record.response_model
    record.finish = request.finish or record.finish
    record.kept_objects.extend(request.kept_objects)


def _state_of(states: Set[edge_pb2.UsageState]) -> edge_pb2.UsageState:
    """What the attempts make of a record: an estimate anywhere makes it one, and what may cost is not void
    (L13)."""
    for state in (ESTIMATED, REPORTED):
        if state in states:
            return state
    return VOIDED


def _attempt_cost(attempt: edge_pb2.Attempt, prices: Mapping[str, PriceRates]) -> int:
    if attempt.state == VOIDED:
        return 0
    if attempt.state == ESTIMATED:
        # An estimate never exceeds what was set aside (L14).
        return min(attempt.cost_nanousd, attempt.hold_nanousd)
    price = prices.get(attempt.price_id)
    if price is None:
        raise RejectedRecord(f"no price {attempt.price_id}")
    return cost_nanousd(price, usage_counts(attempt.usage), attempt.markup_ppm)


def usage_counts(usage: edge_pb2.Usage) -> UsageCounts:
    """The contract's usage as plain counts."""
    return UsageCounts(
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        audio_input_tokens=usage.audio_input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        audio_output_tokens=usage.audio_output_tokens,
        requests=usage.requests,
        web_searches=usage.web_searches,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        image_input_tokens=usage.image_input_tokens,
        image_output_tokens=usage.image_output_tokens,
        images=usage.images,
        seconds=usage.seconds,
        characters=usage.characters,
        service_tier=usage.service_tier,
    )


def _digest(record: edge_pb2.UsageRecord) -> bytes:
    """SHA-256 over what makes two records the same (L18): not times, latency or other things for people."""
    content = edge_pb2.UsageRecord(
        usage_id=record.usage_id,
        customer_id=record.customer_id,
        key_id=record.key_id,
        lease_id=record.lease_id,
        attempts=record.attempts,
        state=record.state,
        cost_nanousd=record.cost_nanousd,
    )
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()


def _row(
    record: edge_pb2.UsageRecord, state: int, cost: int, digest: bytes, post_time: datetime
) -> Mapping[str, Any]:
    """The usage_records row; counts are summed over the attempts."""
    usages = [attempt.usage for attempt in record.attempts]
    return {
        "customer_id": record.customer_id,
        "usage_id": record.usage_id,
        "incarnation_id": record.incarnation_id,
        "sequence": record.sequence,
        "lease_id": record.lease_id,
        "key_id": record.key_id,
        "user_id": record.user_id or None,
        "team_id": record.team_id or None,
        "state": state,
        "digest": digest,
        "cost_nanousd": cost,
        "input_tokens": sum(usage.input_tokens for usage in usages),
        "output_tokens": sum(usage.output_tokens for usage in usages),
        "why": ", ".join(dict.fromkeys(cut(attempt.why) for attempt in record.attempts if attempt.why))[
            :MAX_TEXT_CHARS
        ],
        "begin_time": _begin_time(record, post_time),
        "post_time": post_time,
    }


def _log_row(record: edge_pb2.UsageRecord, state: int, why: str, begin_time: datetime) -> Mapping[str, Any]:
    """The request_log row."""
    return {
        "customer_id": record.customer_id,
        "usage_id": record.usage_id,
        "key_id": record.key_id,
        "user_id": record.user_id or None,
        "team_id": record.team_id or None,
        "router_id": record.router_id or None,
        "end_user": end_user(record.end_user),
        "tags": tags(record.tags),
        "requested_model": cut(record.requested_model),
        "response_model": cut(record.response_model),
        "provider_id": record.attempts[-1].provider_id or None,
        "state": state,
        "status": record.status,
        "why": why,
        "refused_scope": "",
        "omitted_count": 0,
        "attempts": [_attempt(attempt) for attempt in record.attempts],
        "stream": record.stream,
        "failover": record.failover,
        "cached": record.cached,
        "finish": cut(record.finish),
        "cf_log_id": cut(record.cf_log_id),
        "latency_ms": milliseconds(record.latency_ms),
        "first_byte_ms": milliseconds(record.first_byte_ms),
        "begin_time": begin_time,
    }


def _attempt(attempt: edge_pb2.Attempt) -> dict[str, Any]:
    """An attempt by field name, without what is empty."""
    fields = {field.name: value for field, value in attempt.ListFields()}
    if attempt.HasField("usage"):
        fields["usage"] = _cut_texts({field.name: value for field, value in attempt.usage.ListFields()})
    return _cut_texts(fields)


def _cut_texts(fields: dict[str, Any]) -> dict[str, Any]:
    for name, value in fields.items():
        if type(value) is str:
            fields[name] = cut(value)
    return fields


def end_user(value: str) -> str | None:
    """The app's own user as it is stored; None for none."""
    return value[:MAX_END_USER_CHARS].replace("\0", "") or None


def tags(values: Iterable[str]) -> list[str]:
    """Tags as they are stored: each once, in order."""
    cleaned = (value[:MAX_TAG_CHARS].replace("\0", "") for value in values)
    return list(dict.fromkeys(tag for tag in cleaned if tag))[:MAX_TAGS]


def cut(value: str) -> str:
    """A text of bounded length that the database can hold."""
    # PostgreSQL's text holds no NUL.
    return value[:MAX_TEXT_CHARS].replace("\0", "")


def milliseconds(value: int) -> int:
    """A latency that fits the database."""
    return min(max(0, value), 2**31 - 1)


def _begin_time(record: edge_pb2.UsageRecord, post_time: datetime) -> datetime:
    if not record.HasField("begin_time"):
        return post_time
    try:
        return record.begin_time.ToDatetime(tzinfo=UTC)
    except ValueError:
        raise RejectedRecord("begin_time is out of range") from None
