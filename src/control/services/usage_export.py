"""The request log as text: CSV for spreadsheets, JSON lines for programs."""

import csv
import io
from collections.abc import Callable, Iterable

import orjson
from google.protobuf.json_format import MessageToDict

from tollkeeper.money import format_usd
from tollkeeper.v1 import edge_pb2, usage_pb2

# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_STATE = "USAGE_STATE_"

Entry = usage_pb2.UsageEntry

_COLUMNS: dict[str, Callable[[Entry], str]] = {
    "usage_id": lambda entry: entry.usage_id,
    "begin_time": lambda entry: entry.begin_time.ToJsonString(),
    "customer_id": lambda entry: entry.customer_id,
    "key_id": lambda entry: entry.key_id,
    "user_id": lambda entry: entry.user_id,
    "team_id": lambda entry: entry.team_id,
    "router_id": lambda entry: entry.router_id,
    "end_user": lambda entry: entry.end_user,
    "tags": lambda entry: ",".join(entry.tags),
    "provider_id": lambda entry: entry.provider_id,
    "provider_name": lambda entry: entry.provider_name,
    "provider_type": lambda entry: entry.provider_type,
    "requested_model": lambda entry: entry.requested_model,
    "response_model": lambda entry: entry.response_model,
    "state": lambda entry: edge_pb2.UsageState.Name(entry.state).removeprefix(_STATE).lower(),
    "status": lambda entry: str(entry.status),
    "why": lambda entry: entry.why,
    "refused_scope": lambda entry: entry.refused_scope,
    "omitted_count": lambda entry: str(entry.omitted_count),
    "input_tokens": lambda entry: str(entry.usage.input_tokens),
    "cached_input_tokens": lambda entry: str(entry.usage.cached_input_tokens),
    "output_tokens": lambda entry: str(entry.usage.output_tokens),
    "reasoning_tokens": lambda entry: str(entry.usage.reasoning_tokens),
    "cost_usd": lambda entry: format_usd(entry.cost_nanousd),
    "stream": lambda entry: _yes(entry.stream),
    "failover": lambda entry: _yes(entry.failover),
    "cached": lambda entry: _yes(entry.cached),
    "latency_ms": lambda entry: str(entry.latency_ms),
    "first_byte_ms": lambda entry: str(entry.first_byte_ms),
    "finish": lambda entry: entry.finish,
    "cf_log_id": lambda entry: entry.cf_log_id,
    "attempt_count": lambda entry: str(len(entry.attempts)),
}


def csv_heading() -> str:
    """The first line."""
    return _csv([list(_COLUMNS)])


def csv_lines(entries: Iterable[Entry]) -> str:
    """A line for each entry."""
    return _csv([_harmless(read(entry)) for read in _COLUMNS.values()] for entry in entries)


def json_lines(entries: Iterable[Entry]) -> str:
    """A JSON object for each entry, field names as in the contract."""
    return "".join(
        orjson.dumps(MessageToDict(entry, preserving_proto_field_name=True)).decode() + "\n"
        for entry in entries
    )


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _csv(lines: Iterable[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue()


def _yes(value: bool) -> str:
    return "true" if value else "false"
