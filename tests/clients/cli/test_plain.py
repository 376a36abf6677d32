"""Messages as plain values, and the key object of the REST surface."""

from google.protobuf.timestamp_pb2 import Timestamp

from clients.cli.keys import key_object
from clients.cli.plain import plain
from clients.cli.prices import price_object
from tollkeeper.v1.budgets_pb2 import Budget, Period, Scope, Window
from tollkeeper.v1.keys_pb2 import Key, ModelLimit
from tollkeeper.v1.prices_pb2 import Price, Rates, RateStep

NOON = Timestamp(seconds=1_796_126_400)


def test_a_budget_as_plain_values() -> None:
    """Money is decimal text, enums are the words the command line takes, and absent things are null."""
    budget = Budget(
        budget_id="b1",
        customer_id="c1",
        scope=Scope.SCOPE_KEY,
        scope_id="k1",
        limit_nanousd=10_000_000,
        period=Period.PERIOD_MONTHLY,
        thresholds=[50, 90],
        window=Window(start_time=NOON, spent_nanousd=1, limit_nanousd=10_000_000),
        create_time=NOON,
    )
    assert plain(budget) == {
        "budget_id": "b1",
        "customer_id": "c1",
        "scope": "key",
        "scope_id": "k1",
        "limit_usd": "0.01",
        "period": "monthly",
        "soft": False,
        "thresholds": [50, 90],
        "window": {
            "start_time": "2026-12-01T12:00:00Z",
            "end_time": None,
            "spent_usd": "0.000000001",
            "held_usd": "0.00",
            "limit_usd": "0.01",
        },
        "top_up_usd": "0.00",
        "etag": "",
        "create_time": "2026-12-01T12:00:00Z",
        "delete_time": None,
    }


def test_the_key_object() -> None:
    """The fields of the REST surface, then what else there is to know; the budget is the key's first."""
    key = Key(
        key_id="k1",
        customer_id="c1",
        name="tiny",
        key_hash="ab",
        user_id="u1",
        user_email="ada@example.com",
        allowed_models=["gpt-*"],
        budgets=[Budget(limit_nanousd=10_000_000, period=Period.PERIOD_DAILY)],
        spend_nanousd=1_500,
        create_time=NOON,
        created_by="u1",
        spend_reset_time=NOON,
        requests_per_minute=60,
        model_limits=[ModelLimit(model="o3", max_cost_nanousd=50_000_000)],
        allowed_ips=["10.0.0.0/8"],
    )
    assert key_object(key) == {
        "id": "k1",
        "key_hash": "ab",
        "name": "tiny",
        "user_id": "u1",
        "team_id": None,
        "user_email": "ada@example.com",
        "user_name": None,
        "team_name": None,
        "budget_usd": "0.01",
        "budget_reset": "daily",
        "spend_usd": "0.0000015",
        "allowed_models": ["gpt-*"],
        "disabled": False,
        "created_at": "2026-12-01T12:00:00Z",
        "created_by": "u1",
        "spend_reset_at": "2026-12-01T12:00:00Z",
        "router_id": None,
        "expires_at": None,
        "requests_per_minute": 60,
        "tokens_per_minute": None,
        "max_concurrent_requests": None,
        "model_limits": [
            {
                "model": "o3",
                "requests_per_minute": 0,
                "tokens_per_minute": 0,
                "max_cost_usd": "0.05",
            }
        ],
        "max_cost_usd": None,
        "allowed_ips": ["10.0.0.0/8"],
        "previous_key_hash": None,
        "previous_expires_at": None,
        "rotated_at": None,
    }


def test_an_unlimited_key_object() -> None:
    """Without budget and list both are null; a budget that never resets has no reset."""
    assert key_object(Key())["budget_usd"] is None
    assert key_object(Key())["allowed_models"] is None
    key = Key(budgets=[Budget(limit_nanousd=1, period=Period.PERIOD_NONE)])
    assert (key_object(key)["budget_usd"], key_object(key)["budget_reset"]) == ("0.000000001", None)


def test_a_price_object() -> None:
    """Rates are US dollars per million; an absent one is null, which isn't free."""
    rates = Rates(
        input=2_500_000_000,
        output=0,
        steps=[RateStep(above_input_tokens=200_000, rates=Rates(input=5_000_000_000))],
    )
    values = price_object(Price(price_id="p1", provider_type="openai", model="m", rates=rates))
    assert values["rates"]["input"] == "2.50"
    assert values["rates"]["output"] == "0.00"
    assert values["rates"]["reasoning"] is None
    [step] = values["rates"]["steps"]
    assert (step["above_input_tokens"], step["rates"]["input"]) == (200_000, "5.00")
    assert "starts_in" not in values
