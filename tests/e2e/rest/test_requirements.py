"""What both former systems kept (A1 to A8, B3), over HTTP, by the routes of the contract, with httpx."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.rest.conftest import UNKNOWN, Person
from tests.e2e.stack import Stack, found
from tests.e2e.wire import ask, chat, until


def objects(person: Person, path: str, name: str) -> list[dict[str, Any]]:
    """The first page of a list of the caller's customer."""
    return list(person.json("GET", f"/v1/customers/{person.customer_id}/{path}")[name])


def made(person: Person, path: str, **fields: Any) -> dict[str, Any]:
    """A new object in the caller's customer."""
    return dict(person.json("POST", f"/v1/customers/{person.customer_id}/{path}", fields))


def routed(person: Person, **rule: Any) -> dict[str, Any]:
    """A new router with one rule."""
    return made(person, "routers", name=uuid4().hex, rules=[rule])


def openai(person: Person) -> dict[str, Any]:
    """The provider that the customer began with."""
    [provider] = objects(person, "providers", "providers")
    return provider


def test_a1_customers_begin_with_a_dollar_and_people_sign_in(stack: Stack, operator: Person) -> None:
    """Plan `free` and a hard budget of $1.00 unless said; an email is one customer's; a password signs in."""
    email = f"{uuid4().hex}@example.com"
    customer = operator.json("POST", "/v1/customers", {"name": "Acme", "email": email})
    assert customer["plan"] == "free"
    path = f"/v1/customers/{customer['customer_id']}"
    [budget] = operator.json("GET", f"{path}/budgets")["budgets"]
    assert (budget["limit_nanousd"], budget["scope"]) == ("1000000000", "SCOPE_CUSTOMER")
    assert budget["soft"] is False
    assert operator.refusal("POST", "/v1/customers", {"name": "Other", "email": email})[0] == 409

    user = operator.json("POST", f"{path}/users", {"user": {"email": email, "role": "ROLE_OWNER"}})
    changed = operator.json("POST", f"{path}/users/{user['user_id']}:resetPassword", {})
    for password, status in ((changed["password"], 200), ("wrong", 401)):
        sign_in = {"email": email, "password": password}
        assert httpx.post(f"{stack.edge}/v1/sessions", json=sign_in).status_code == status


def test_a2_providers_keep_their_credential(owner: Person) -> None:
    """Name, type, base URL where it is needed, and a switch; the vendor key is never shown."""
    answer = owner.http.post(
        f"/v1/customers/{owner.customer_id}/providers",
        json={"name": "mine", "provider_type": "anthropic", "credential": "sk-hidden"},
    )
    assert answer.status_code == 200
    assert "sk-hidden" not in answer.text
    provider = answer.json()
    assert (provider["has_credential"], provider["disabled"]) == (True, False)
    path = f"/v1/customers/{owner.customer_id}/providers"
    assert "sk-hidden" not in owner.http.get(path).text
    assert owner.json("PATCH", f"{path}/{provider['provider_id']}", {"disabled": True})["disabled"] is True
    status, _ = owner.refusal("POST", path, {"name": "own", "provider_type": "custom"})
    assert status == 400


def test_a3_routers_have_ordered_rules(owner: Person) -> None:
    """Priority, condition, provider and models; a rule about an unknown provider is refused as a whole."""
    provider_id = openai(owner)["provider_id"]
    second = {"provider_id": provider_id, "priority": 2}
    first = {"provider_id": provider_id, "priority": 1, "allowed_models": ["gpt-*"]}
    router = made(owner, "routers", name="two", rules=[second, first])
    said = [(rule["priority"], rule["condition"], rule["allowed_models"]) for rule in router["rules"]]
    assert said == [(1, "primary", ["gpt-*"]), (2, "primary", [])]
    bad = {"name": "bad", "rules": [first, {"provider_id": UNKNOWN}]}
    assert owner.refusal("POST", f"/v1/customers/{owner.customer_id}/routers", bad)[0] in {400, 404}
    assert "bad" not in {each["name"] for each in objects(owner, "routers", "routers")}


async def test_a4_keys_show_their_secret_once(stack: Stack, owner: Person) -> None:
    """Bound to a router, with a name and a switch; the secret is in the first answer and in no other."""
    router = routed(owner, provider_id=openai(owner)["provider_id"])
    answer = made(owner, "keys", name="app", router_id=router["router_id"])
    secret, key = answer["raw_key"], answer["key"]
    assert (key["name"], key["router_id"], key["disabled"]) == ("app", router["router_id"], False)
    path = f"/v1/customers/{owner.customer_id}/keys/{key['key_id']}"
    assert secret not in owner.http.get(path).text
    assert (await ask(stack.edge, secret, chat())).status == 200
    owner.json("PATCH", path, {"disabled": True})
    await until(stack.edge, secret, chat(), 401)
    owner.json("PATCH", path, {"disabled": False})
    await until(stack.edge, secret, chat(), 200)


async def test_a5_a_request_has_its_row(stack: Stack, owner: Person) -> None:
    """Key, provider, model, status, latency, model tokens, cost, marks and time."""
    router = routed(owner, provider_id=openai(owner)["provider_id"])
    answer = made(owner, "keys", name="logged", router_id=router["router_id"])
    assert (await ask(stack.edge, answer["raw_key"], chat())).status == 200
    rows = f"/v1/customers/{owner.customer_id}/usage?key_id={answer['key']['key_id']}"
    [row] = found(lambda: owner.json("GET", rows)["usage"] or None)
    assert (row["provider_name"], row["requested_model"], row["status"]) == ("openai", "gpt-4o-mini", 200)
    assert (row["cached"], row["failover"]) == (False, False)
    assert int(row["usage"]["input_tokens"]) > 0
    assert int(row["usage"]["output_tokens"]) > 0
    assert int(row["cost_nanousd"]) > 0
    assert int(row["latency_ms"]) >= 0
    assert row["begin_time"]


def test_a6_global_prices_are_the_operator_s(resident: Person, operator: Person) -> None:
    """The first catalogue is there for everybody; only operators change it."""
    path = "/v1/prices?model=gpt-4o-mini"
    [price] = [each for each in resident.json("GET", path)["prices"] if each["provider_type"] == "openai"]
    assert price == next(
        each for each in operator.json("GET", path)["prices"] if each["price_id"] == price["price_id"]
    )
    own = {key: price[key] for key in price if key in {"provider_type", "rates"}} | {"model": "gpt-own"}
    assert resident.refusal("POST", "/v1/prices", own) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("model", "rates", "status"),
    [
        ("own-model", {"input": "0", "output": "0"}, 201),
        ("own-model", {"input": "1.5"}, 400),
        ("gpt-4o-mini", {"input": "1", "output": "1"}, 400),
    ],
)
def test_a7_own_prices(owner: Person, model: str, rates: dict[str, str], status: int) -> None:
    """An explicit 0 is free, a rate left out is refused, and so is a model with a global price."""
    costs = {f"{name}_cost_per_mil_tokens": float(rate) for name, rate in rates.items()}
    fields = {"provider_id": openai(owner)["provider_id"], "model_name": model, **costs}
    owner.json("POST", "/api/user-models", fields, status)


async def test_a8_missing_models_over_http(stack: Stack, owner: Person) -> None:
    """Name, count and last time of what was asked for without a price."""
    router = routed(owner, provider_id=openai(owner)["provider_id"])
    secret = made(owner, "keys", name="asks", router_id=router["router_id"])["raw_key"]
    for _ in range(2):
        assert (await ask(stack.edge, secret, chat(model="gpt-none"))).status == 400
    path = f"/v1/missingModels?customer_id={owner.customer_id}"
    found(lambda: [each["request_count"] for each in owner.json("GET", path)["models"]] == ["2"])
    [model] = owner.json("GET", path)["models"]
    assert model["model"] == "gpt-none"
    assert any(name.endswith("_time") and value for name, value in model.items())


def test_b3_virtual_keys_over_http(owner: Person) -> None:
    """`aig_` and random, found by its hash; owner, budget with reset, spend, models, switch, who made it."""
    fields = {"budget_usd": "2", "budget_reset": "monthly", "allowed_models": ["gpt-*"]}
    answer = owner.json("POST", "/v1/ai/keys/user", {"name": "virtual", **fields}, 201)
    assert answer["raw_key"].startswith("aig_")
    key = answer["key"]
    assert (key["user_id"], key["budget_usd"], key["spend_usd"]) == (owner.user_id, "2.00", "0.00")
    details = owner.json("GET", f"/v1/ai/keys/{key['key_hash']}/details")["key"]
    assert details["allowed_models"] == ["gpt-*"]
    assert details["spend_reset_at"]
    stored = owner.json("GET", f"/v1/customers/{owner.customer_id}/keys/{key['id']}")
    assert stored["created_by"]
    assert answer["raw_key"] not in str(stored)
