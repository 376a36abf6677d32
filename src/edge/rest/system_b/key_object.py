"""The key object of system B."""

from typing import Any

from edge.rest.endpoint import BOOLEAN, STRING, TIME, USD_TEXT, list_of, object_of, or_null
from tollkeeper.money import format_usd
from tollkeeper.v1.budgets_pb2 import Period
from tollkeeper.v1.keys_pb2 import Key

RESETS = {
    "daily": Period.PERIOD_DAILY,
    "weekly": Period.PERIOD_WEEKLY,
    "monthly": Period.PERIOD_MONTHLY,
}
_NAMES = {period: name for name, period in RESETS.items()}

KEY = object_of(
    id=STRING,
    key_hash=STRING,
    name=STRING,
    user_id=or_null(STRING),
    team_id=or_null(STRING),
    user_email=or_null(STRING),
    user_name=or_null(STRING),
    team_name=or_null(STRING),
    budget_usd=or_null(USD_TEXT.schema),
    budget_reset=or_null(STRING),
    spend_usd=STRING,
    allowed_models=or_null(list_of(STRING)),
    disabled=BOOLEAN,
    created_at=TIME,
)
KEY_DETAILS = object_of(**KEY["properties"], spend_reset_at=or_null(TIME))


def key_object(key: Key) -> dict[str, Any]:
    """Null for what isn't set: without a budget unlimited, without models all."""
    budget = key.budgets[0] if key.budgets else None
    return {
        "id": key.key_id,
        "key_hash": key.key_hash,
        "name": key.name,
        "user_id": key.user_id or None,
        "team_id": key.team_id or None,
        "user_email": key.user_email or None,
        "user_name": key.user_name or None,
        "team_name": key.team_name or None,
        "budget_usd": format_usd(budget.limit_nanousd) if budget else None,
        "budget_reset": _NAMES.get(budget.period) if budget else None,
        "spend_usd": format_usd(key.spend_nanousd),
        "allowed_models": list(key.allowed_models) or None,
        "disabled": key.disabled,
        "created_at": key.create_time.ToJsonString(),
    }


def key_details(key: Key) -> dict[str, Any]:
    """With the end of the budget's window; null when it never resets."""
    window = key.budgets[0].window if key.budgets else None
    ends = window is not None and window.HasField("end_time")
    return {
        **key_object(key),
        "spend_reset_at": window.end_time.ToJsonString() if window is not None and ends else None,
    }
