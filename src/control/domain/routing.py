"""What a router's rules and settings may say, checked as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any

from control.domain.models import check_allowed_models, check_model
from tollkeeper.conditions import CONDITIONS, FOLLOWING, ON_STATUS, PRIMARY
from tollkeeper.errors import invalid, not_found
from tollkeeper.expressions import ExpressionError, compile_expression
from tollkeeper.ids import is_uuid
from tollkeeper.v1.routers_pb2 import Deadlines, Retries, RoutingRule

MAX_RULES = 100
MAX_PRIORITY = 1_000_000
MAX_WEIGHT = 1_000_000
DEFAULT_PRIORITY = 1
MAX_STATUSES = 32
MAX_RETRIES = 5
MAX_BACKOFF_MS = 30_000
MAX_DEADLINE_MS = 3_600_000
# A minute to a month, as Cloudflare has it.
MIN_CACHE_TTL_S = 60
MAX_CACHE_TTL_S = 30 * 86_400
_RETRY_LIMITS = {"count": MAX_RETRIES, "backoff_ms": MAX_BACKOFF_MS, "max_backoff_ms": MAX_BACKOFF_MS}
_DEADLINE_LIMITS = dict.fromkeys(("connect_ms", "first_byte_ms", "idle_ms", "total_ms"), MAX_DEADLINE_MS)


def rule_rows(rules: Sequence[RoutingRule]) -> list[dict[str, Any]]:
    """Rules as they are stored. Raises INVALID_ARGUMENT; NOT_FOUND for what can't be a provider's id."""
    if len(rules) > MAX_RULES:
        raise invalid(f"A router has at most {MAX_RULES} rules.", field="rules")
    rows = [_rule_row(rule) for rule in rules]
    _check_order(rows)
    return rows


def retries_row(sent: Retries) -> dict[str, int]:
    """As it is stored: what isn't zero. Raises INVALID_ARGUMENT."""
    row = _numbers(sent, "retries", _RETRY_LIMITS)
    if row.get("max_backoff_ms") and row.get("backoff_ms", 0) > row["max_backoff_ms"]:
        raise invalid("The first wait is longer than the longest one.", field="retries.backoff_ms")
    return row


def deadlines_row(sent: Deadlines) -> dict[str, int]:
    """As it is stored: what isn't zero. Raises INVALID_ARGUMENT."""
    row = _numbers(sent, "deadlines", _DEADLINE_LIMITS)
    total_ms = row.get("total_ms", MAX_DEADLINE_MS)
    for name, value in row.items():
        if value > total_ms:
            raise invalid(f"{name} is longer than the whole request may take.", field=f"deadlines.{name}")
    return row


def checked_cache_ttl_s(sent: int) -> int:
    """Raises INVALID_ARGUMENT for what Cloudflare doesn't take."""
    if sent and not MIN_CACHE_TTL_S <= sent <= MAX_CACHE_TTL_S:
        message = f"cache_ttl_s is 0, or from {MIN_CACHE_TTL_S} to {MAX_CACHE_TTL_S}."
        raise invalid(message, field="cache_ttl_s")
    return sent


def _numbers(sent: Retries | Deadlines, field: str, limits: Mapping[str, int]) -> dict[str, int]:
    row = {name: int(getattr(sent, name)) for name in limits}
    for name, value in row.items():
        if not 0 <= value <= limits[name]:
            raise invalid(f"{name} is from 0 to {limits[name]}.", field=f"{field}.{name}")
    return {name: value for name, value in row.items() if value}


def _rule_row(rule: RoutingRule) -> dict[str, Any]:
    if not is_uuid(rule.provider_id):
        raise not_found("provider", rule.provider_id)
    if not 0 <= rule.priority <= MAX_PRIORITY:
        raise invalid(f"A priority is from 1 to {MAX_PRIORITY}.", field="rules.priority")
    if not 0 <= rule.weight <= MAX_WEIGHT:
        raise invalid(f"A weight is from 0 to {MAX_WEIGHT}.", field="rules.weight")
    if rule.condition not in ("", *CONDITIONS):
        raise invalid(f"A condition is one of {', '.join(CONDITIONS)}.", field="rules.condition")
    return {
        "rule_id": rule.rule_id.lower(),
        "priority": rule.priority or DEFAULT_PRIORITY,
        "condition": rule.condition or PRIMARY,
        "statuses": _statuses(rule),
        "when": _when(rule.when),
        "provider_id": rule.provider_id.lower(),
        "allowed_models": check_allowed_models(rule.allowed_models),
        "model_rewrite": check_model(rule.model_rewrite) if rule.model_rewrite else "",
        "weight": rule.weight,
    }


def _statuses(rule: RoutingRule) -> list[int]:
    """In ascending order, each once."""
    if (rule.condition == ON_STATUS) != bool(rule.statuses):
        raise invalid(
            f"statuses belong to the condition {ON_STATUS}, and to it only.", field="rules.statuses"
        )
    statuses = sorted(set(rule.statuses))
    if len(statuses) > MAX_STATUSES or not all(400 <= status <= 599 for status in statuses):
        raise invalid(f"A rule has up to {MAX_STATUSES} statuses of 400 to 599.", field="rules.statuses")
    return statuses


def _when(text: str) -> str:
    text = text.strip()
    if text:
        try:
            compile_expression(text)
        except ExpressionError as error:
            raise invalid(f"The expression {text!r} can't be used: {error}.", field="rules.when") from None
    return text


def _check_order(rows: Sequence[Mapping[str, Any]]) -> None:
    """A rule that waits for a failure needs one before it that may fail."""
    ordered = sorted(rows, key=lambda row: (row["priority"], CONDITIONS.index(row["condition"])))
    if ordered and ordered[0]["condition"] in FOLLOWING:
        message = f"Nothing is tried before the rule with the condition {ordered[0]['condition']}."
        raise invalid(message, field="rules.condition")
