"""System A's surface (A9 to A15) with plain httpx: paths, bodies, names and statuses as its clients know
them."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.e2e.admin import Tenant
from tests.e2e.rest.conftest import PASSWORD, UNKNOWN, Join, Person
from tests.e2e.stack import Stack, found
from tests.e2e.wire import ask, chat, until
from tollkeeper.v1.users_pb2 import Role

ORIGIN = "http://localhost:3000"


def post(stack: Stack, path: str, **options: Any) -> httpx.Response:
    """A call of somebody who isn't signed in."""
    return httpx.post(f"{stack.edge}{path}", **options)


# ---- A9


def test_a9_health(stack: Stack) -> None:
    """GET / says message, version and status to anybody."""
    answer = httpx.get(f"{stack.edge}/")
    assert answer.status_code == 200
    assert set(answer.json()) == {"message", "version", "status"}
    assert answer.json()["status"] == "healthy"


@pytest.mark.parametrize("path", ["/", "/api/keys", "/v1/customers", "/openapi.json"])
def test_a9_cors_for_a_known_origin(stack: Stack, path: str) -> None:
    """The default origin may call with credentials, and its preflights are answered."""
    answer = httpx.get(f"{stack.edge}{path}", headers={"origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == "Origin"
    preflight = httpx.options(
        f"{stack.edge}{path}", headers={"origin": ORIGIN, "access-control-request-method": "GET"}
    )
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert "GET" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-origin"] == ORIGIN


def test_a9_cors_on_errors(stack: Stack) -> None:
    """Pages must be able to read why they were refused."""
    answer = httpx.get(f"{stack.edge}/api/nothing", headers={"origin": ORIGIN})
    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:3000.evil.example", "null"])
def test_a9_other_origins_get_nothing(stack: Stack, origin: str) -> None:
    """No header that would let their pages read an answer."""
    for method in ("GET", "OPTIONS"):
        answer = httpx.request(method, f"{stack.edge}/api/keys", headers={"origin": origin})
        assert [name for name in answer.headers if name.startswith("access-control")] == []


async def test_a9_inference_has_no_cors(stack: Stack, tenant: Tenant) -> None:
    """Keys don't belong into web pages."""
    reply = await ask(stack.edge, tenant.key().secret, chat(), headers={"origin": ORIGIN})
    assert reply.status == 200
    assert [name for name in reply.headers if name.startswith("access-control")] == []


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/nothing", "/api/keys/a/b", "/v1/nothing", "/v1"])
def test_an_unknown_path(resident: Person, path: str) -> None:
    """404 with a fixed body."""
    answer = resident.http.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Not found"})


# ---- A10


@pytest.mark.parametrize("name", ["username", "email"])
def test_a10_login(stack: Stack, resident: Person, name: str) -> None:
    """The email under either name; the token works, and the user is the customer."""
    answer = post(stack, "/api/auth/login", json={name: resident.email, "password": PASSWORD})
    assert answer.status_code == 200
    said = answer.json()
    assert said["user"] == {"id": resident.customer_id, "email": resident.email, "plan": "free"}
    headers = {"authorization": f"Bearer {said['token']}"}
    assert httpx.get(f"{stack.edge}/api/keys", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"{", b'{"username": "a@example.com"}', b'{"password": "x"}', b"username=a",
     b'{"username": "", "password": "x"}', b'{"username": 5, "password": "x"}'],
)  # fmt: skip
def test_a10_a_field_missing_or_not_json(stack: Stack, body: bytes) -> None:
    """400."""
    answer = post(stack, "/api/auth/login", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_ARGUMENT")


def test_a10_a_form_is_not_json(stack: Stack) -> None:
    """400."""
    assert post(stack, "/api/auth/login", data={"username": "a", "password": "b"}).status_code == 400


def test_a10_wrong_credentials(stack: Stack, resident: Person) -> None:
    """401, the same for a wrong password and an unknown user."""
    answers = [
        post(stack, "/api/auth/login", json={"username": name, "password": "wrong password"})
        for name in (resident.email, "nobody@example.com")
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    assert answers[0].json()["reason"] == "INVALID_CREDENTIALS"


@pytest.mark.parametrize("path", ["providers", "routers", "keys", "user-models", "logs", "logs/summary"])
@pytest.mark.parametrize("credential", [None, "Bearer nonsense", "Basic eDp5", "Bearer aig_" + "C" * 43])
def test_a_credential_is_needed(stack: Stack, path: str, credential: str | None) -> None:
    """401 without one, with an unknown one, and with a virtual key."""
    headers = {"authorization": credential} if credential else {}
    answer = httpx.get(f"{stack.edge}/api/{path}", headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"


# ---- A11


def test_a11_providers(owner: Person) -> None:
    """Made, shown without its key, changed, switched off, deleted."""
    body = {"name": "mine", "provider_type": "openai", "api_key": "sk-mine"}
    made = owner.json("POST", "/api/providers", body, 201)
    assert set(made) == {"id", "message"}
    path = f"/api/providers/{made['id']}"
    shown = owner.json("GET", path)["provider"]
    assert shown == {
        "id": made["id"], "user_id": owner.customer_id, "name": "mine", "provider_type": "openai",
        "base_url": None, "is_enabled": True,
    }  # fmt: skip
    assert shown in owner.json("GET", "/api/providers")["providers"]
    assert set(owner.json("PUT", path, {"name": "other", "is_enabled": False})) == {"message"}
    changed = owner.json("GET", path)["provider"]
    assert (changed["name"], changed["is_enabled"]) == ("other", False)
    owner.json("PUT", path, {"is_enabled": True, "api_key": "sk-new"})
    assert owner.json("GET", path)["provider"]["is_enabled"] is True
    assert "sk-" not in owner.http.get(path).text
    assert set(owner.json("DELETE", path)) == {"message"}
    assert owner.refusal("GET", path) == (404, "NOT_FOUND")
    assert owner.refusal("DELETE", path) == (404, "NOT_FOUND")
    assert owner.refusal("PUT", path, {"name": "x"}) == (404, "NOT_FOUND")


def test_a11_types(owner: Person) -> None:
    """`gemini` is google; `custom` has a base URL."""
    body = {"name": "g", "provider_type": "gemini", "api_key": "x"}
    made = owner.json("POST", "/api/providers", body, 201)
    assert owner.json("GET", f"/api/providers/{made['id']}")["provider"]["provider_type"] == "google"
    body = {"name": "c", "provider_type": "custom", "api_key": "x", "base_url": "https://llm.example.com/v1"}
    made = owner.json("POST", "/api/providers", body, 201)
    shown = owner.json("GET", f"/api/providers/{made['id']}")["provider"]
    assert shown["base_url"] == "https://llm.example.com/v1"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x", "provider_type": "openai"},
        {"name": "x", "api_key": "sk"},
        {"provider_type": "openai", "api_key": "sk"},
        {"name": "x", "provider_type": "openai", "api_key": ""},
        {"name": "x", "provider_type": "nonsense", "api_key": "sk"},
        {"name": "x", "provider_type": "custom", "api_key": "sk"},
        {"name": 5, "provider_type": "openai", "api_key": "sk"},
        {"name": "x", "provider_type": "openai", "api_key": "sk", "isEnabled": True},
    ],
)
def test_a11_bad_providers(resident: Person, body: object) -> None:
    """400 for a missing field, an unknown type, custom without base URL, an unknown field."""
    assert resident.refusal("POST", "/api/providers", body) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("body", [{}, {"name": None}, {"is_enabled": "yes"}, {"provider_type": "openai"}])
def test_a11_nothing_to_update(resident: Person, body: object) -> None:
    """400."""
    [provider] = resident.json("GET", "/api/providers")["providers"]
    assert resident.refusal("PUT", f"/api/providers/{provider['id']}", body) == (400, "INVALID_ARGUMENT")


def test_a11_deleting_takes_rules_with_it(owner: Person, tenant: Tenant) -> None:
    """A provider in use goes with the rules that name it."""
    [provider] = owner.json("GET", "/api/providers")["providers"]
    assert owner.json("GET", f"/api/routers/{tenant.router_id}")["rules"]
    owner.json("POST", "/api/user-models", model(provider["id"]), 201)
    said = owner.json("DELETE", f"/api/providers/{provider['id']}")
    assert said == {"message": "Provider deleted, with 1 routing rules and 1 own prices"}
    assert owner.json("GET", f"/api/routers/{tenant.router_id}")["rules"] == []
    assert owner.json("GET", "/api/user-models")["models"] == []


# ---- A12


def test_a12_routers_and_rules(owner: Person) -> None:
    """Rules come by priority, with their defaults, and go one by one."""
    [provider] = owner.json("GET", "/api/providers")["providers"]
    made = owner.json("POST", "/api/routers", {"name": "mine"}, 201)
    assert set(made) == {"id", "message"}
    path = f"/api/routers/{made['id']}"
    router = {"id": made["id"], "user_id": owner.customer_id, "name": "mine"}
    assert owner.json("GET", path) == {"router": router, "rules": []}
    assert router in owner.json("GET", "/api/routers")["routers"]
    last = {
        "provider_id": provider["id"],
        "priority": 9,
        "condition": "fallback",
        "allowed_models": ["gpt-*"],
    }
    second = owner.json("POST", f"{path}/rules", last, 201)["id"]
    first = owner.json("POST", f"{path}/rules", {"provider_id": provider["id"]}, 201)["id"]
    assert owner.json("GET", path)["rules"] == [
        {"id": first, "router_id": made["id"], "priority": 1, "condition": "primary",
         "provider_id": provider["id"], "allowed_models": None},
        {"id": second, "router_id": made["id"], "priority": 9, "condition": "fallback",
         "provider_id": provider["id"], "allowed_models": ["gpt-*"]},
    ]  # fmt: skip
    owner.json("DELETE", f"{path}/rules/{first}")
    assert [rule["id"] for rule in owner.json("GET", path)["rules"]] == [second]
    assert owner.refusal("DELETE", f"{path}/rules/{first}") == (404, "NOT_FOUND")
    assert set(owner.json("DELETE", path)) == {"message"}
    assert owner.refusal("GET", path) == (404, "NOT_FOUND")
    assert owner.refusal("DELETE", path) == (404, "NOT_FOUND")
    rule = {"provider_id": provider["id"]}
    assert owner.refusal("POST", f"{path}/rules", rule) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"provider_id": UNKNOWN}, 404),
        ({"provider_id": "nonsense"}, 404),
        ({"priority": 1}, 400),
        ({"provider_id": "OWN", "priority": "1"}, 400),
        ({"provider_id": "OWN", "priority": -1}, 400),
        ({"provider_id": "OWN", "priority": 2**40}, 400),
        ({"provider_id": "OWN", "allowed_models": "gpt-4o"}, 400),
        ({"provider_id": "OWN", "allowed_models": [""]}, 400),
    ],
)
def test_a12_bad_rules(resident: Person, body: dict[str, Any], status: int) -> None:
    """400 for what isn't a rule, 404 for a provider that isn't one's own."""
    [provider] = resident.json("GET", "/api/providers")["providers"]
    [router] = resident.json("GET", "/api/routers")["routers"]
    sent = {name: provider["id"] if value == "OWN" else value for name, value in body.items()}
    assert resident.refusal("POST", f"/api/routers/{router['id']}/rules", sent)[0] == status


def test_a12_names_are_needed(resident: Person) -> None:
    """400."""
    for body in ({}, {"name": ""}, {"name": "  "}, {"name": None}):
        assert resident.refusal("POST", "/api/routers", body) == (400, "INVALID_ARGUMENT")


async def test_a12_rules_added_at_once_all_stay(owner: Person) -> None:
    """Nobody's rule is overwritten by another's."""
    [provider] = owner.json("GET", "/api/providers")["providers"]
    router = owner.json("POST", "/api/routers", {"name": "busy"}, 201)["id"]
    path = f"/api/routers/{router}"
    async with httpx.AsyncClient(
        base_url=str(owner.http.base_url), headers=owner.http.headers, timeout=30
    ) as http:
        answers = await asyncio.gather(
            *(http.post(f"{path}/rules", json={"provider_id": provider["id"]}) for _ in range(4))
        )
    assert {answer.status_code for answer in answers} == {201}
    rules = owner.json("GET", path)["rules"]
    assert {rule["id"] for rule in rules} == {answer.json()["id"] for answer in answers}
    assert len(rules) == 4


def test_a12_deleting_a_router_takes_its_keys_with_it(owner: Person, tenant: Tenant) -> None:
    """And says how many."""
    owner.json("POST", "/api/keys", {"name": "k", "router_id": tenant.router_id}, 201)
    said = owner.json("DELETE", f"/api/routers/{tenant.router_id}")
    assert said == {"message": "Router deleted, with 1 rules and 1 keys"}
    assert owner.json("GET", "/api/keys")["keys"] == []


# ---- A13


async def test_a13_keys(stack: Stack, owner: Person, tenant: Tenant) -> None:
    """Made with a secret that works, listed without it, switched off and on, deleted."""
    made = owner.json("POST", "/api/keys", {"name": "app", "router_id": tenant.router_id}, 201)
    assert set(made) == {"id", "key", "message"}
    assert (await ask(stack.edge, made["key"], chat())).status == 200
    path = f"/api/keys/{made['id']}"
    shown = {
        "id": made["id"], "user_id": owner.customer_id, "router_id": tenant.router_id, "name": "app",
        "is_active": True,
    }  # fmt: skip
    assert owner.json("GET", "/api/keys")["keys"] == [shown]
    assert set(owner.json("PUT", path, {"is_active": False})) == {"message"}
    assert owner.json("GET", "/api/keys")["keys"] == [{**shown, "is_active": False}]
    await until(stack.edge, made["key"], chat(), 401)
    owner.json("PUT", path, {"is_active": True})
    await until(stack.edge, made["key"], chat(), 200)
    assert set(owner.json("DELETE", path)) == {"message"}
    await until(stack.edge, made["key"], chat(), 401)
    assert owner.json("GET", "/api/keys")["keys"] == []
    assert owner.refusal("DELETE", path) == (404, "NOT_FOUND")
    assert owner.refusal("PUT", path, {"is_active": True}) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"name": "k"}, 400),
        ({"router_id": UNKNOWN}, 400),
        ({"name": "k", "router_id": UNKNOWN}, 404),
        ({"name": "k", "router_id": "nonsense"}, 404),
    ],
)
def test_a13_bad_keys(resident: Person, body: object, status: int) -> None:
    """400 for a missing field, 404 for a router that isn't one's own."""
    assert resident.refusal("POST", "/api/keys", body)[0] == status


def test_a13_what_to_switch(owner: Person, tenant: Tenant) -> None:
    """400 without `is_active`."""
    key = tenant.key()
    for body in ({}, {"is_active": None}, {"is_active": 1}):
        assert owner.refusal("PUT", f"/api/keys/{key.key_id}", body) == (400, "INVALID_ARGUMENT")


# ---- A14


def model(provider: str, **fields: Any) -> dict[str, Any]:
    """The body of an own price."""
    body = {
        "provider_id": provider,
        "model_name": "in-house",
        "input_cost_per_mil_tokens": 0.15,
        "output_cost_per_mil_tokens": 0,
    }
    return {name: value for name, value in {**body, **fields}.items() if value != "LEFT OUT"}


def test_a14_own_prices(owner: Person) -> None:
    """Exact amounts, an explicit 0 is free, one price a model; deleted ones are gone."""
    [provider] = owner.json("GET", "/api/providers")["providers"]
    made = owner.json("POST", "/api/user-models", model(provider["id"]), 201)
    assert set(made) == {"id", "message"}
    listed = owner.http.get("/api/user-models")
    assert listed.json()["models"] == [
        {"id": made["id"], "user_id": owner.customer_id, "provider_id": provider["id"],
         "model_name": "in-house", "input_cost_per_mil_tokens": 0.15, "output_cost_per_mil_tokens": 0}
    ]  # fmt: skip
    assert owner.refusal("POST", "/api/user-models", model(provider["id"])) == (400, "INVALID_ARGUMENT")
    path = f"/api/user-models/{made['id']}"
    assert set(owner.json("DELETE", path)) == {"message"}
    assert owner.json("GET", "/api/user-models")["models"] == []
    assert owner.refusal("DELETE", path) == (404, "NOT_FOUND")


def test_a14_amounts_are_exact(owner: Person) -> None:
    """To the nano-dollar, on the way in and out: never a float's neighbour."""
    [provider] = owner.json("GET", "/api/providers")["providers"]
    body = model(provider["id"], input_cost_per_mil_tokens=999999.123456789)
    owner.json("POST", "/api/user-models", body, 201)
    assert '"input_cost_per_mil_tokens":999999.123456789,' in owner.http.get("/api/user-models").text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"input_cost_per_mil_tokens": "LEFT OUT"}, 400),
        ({"output_cost_per_mil_tokens": None}, 400),
        ({"model_name": "LEFT OUT"}, 400),
        ({"provider_id": "LEFT OUT"}, 400),
        ({"input_cost_per_mil_tokens": -1}, 400),
        ({"input_cost_per_mil_tokens": "a lot"}, 400),
        ({"input_cost_per_mil_tokens": True}, 400),
        ({"input_cost_per_mil_tokens": 1e300}, 400),
        ({"input_cost_per_mil_tokens": 1e-300}, 400),
        ({"model_name": "gpt-4o"}, 400),
        ({"provider_id": UNKNOWN}, 404),
    ],
)
def test_a14_refused_prices(resident: Person, fields: dict[str, Any], status: int) -> None:
    """A price left out, one that isn't one, a model with a global price; 404 for somebody else's provider."""
    [provider] = resident.json("GET", "/api/providers")["providers"]
    assert resident.refusal("POST", "/api/user-models", model(provider["id"], **fields))[0] == status


def test_a14_global_prices(owner: Person, operator: Person) -> None:
    """By provider and model, in US dollars; nobody ends one by this route, not even an operator."""
    models = owner.json("GET", "/api/user-models/global")["models"]
    names = [(each["provider"], each["model_name"]) for each in models]
    assert names == sorted(names)
    [known] = [
        each for each in models if each["model_name"] == "gpt-4o-mini" and each["provider"] == "openai"
    ]
    assert (known["input_cost_per_mil_tokens"], known["output_cost_per_mil_tokens"]) == (0.15, 0.6)
    assert set(known) == {
        "id", "model_name", "provider", "input_cost_per_mil_tokens", "output_cost_per_mil_tokens",
    }  # fmt: skip
    for person in (owner, operator):
        assert person.refusal("DELETE", f"/api/user-models/{known['id']}") == (404, "NOT_FOUND")
    assert known in owner.json("GET", "/api/user-models/global")["models"]


# ---- A15


async def test_a15_logs_and_summary(stack: Stack, owner: Person, tenant: Tenant) -> None:
    """Newest first, with every field; sums and budget agree with them."""
    key = tenant.key()
    costs = []
    for _ in range(3):
        reply = await ask(stack.edge, key.secret, chat(max_tokens=16))
        costs.append(float(reply.headers["x-tollkeeper-cost-usd"]))
    tenant.settled(3)
    logs = owner.json("GET", "/api/logs")["logs"]
    assert [log["total_cost"] for log in logs] == costs[::-1]
    assert [log["id"] for log in logs] == sorted((log["id"] for log in logs), reverse=True)
    assert set(logs[0]) == {
        "id", "user_id", "gateway_key_id", "provider_used", "model_used", "status_code", "latency_ms",
        "prompt_tokens", "completion_tokens", "total_cost", "is_cached", "is_failover", "created_at",
    }  # fmt: skip
    assert (logs[0]["user_id"], logs[0]["gateway_key_id"]) == (owner.customer_id, key.key_id)
    assert (logs[0]["provider_used"], logs[0]["status_code"]) == ("openai", 200)
    assert logs[0]["prompt_tokens"] > 0
    assert logs[0]["completion_tokens"] > 0
    assert logs[0]["is_cached"] is logs[0]["is_failover"] is False
    assert key.secret not in owner.http.get("/api/logs").text
    assert owner.json("GET", "/api/logs?limit=1&offset=1")["logs"] == logs[1:2]
    assert owner.json("GET", "/api/logs?offset=3")["logs"] == []
    assert owner.json("GET", "/api/logs?limit=0")["logs"] == []
    summary = owner.json("GET", "/api/logs/summary")
    assert summary == {
        "total_spend": pytest.approx(sum(costs), abs=1e-12), "budget": None, "budget_remaining": None,
        "budget_used_percentage": None, "total_requests": 3, "last_24h_requests": 3,
        "last_24h_cost": pytest.approx(sum(costs), abs=1e-12),
    }  # fmt: skip


async def test_a15_the_budget_of_the_customer(stack: Stack, join: Join) -> None:
    """Remaining and percentage, of the customer's own budget."""
    tenant = stack.admin.tenant(budget_nanousd=1_000_000_000)
    owner = join(tenant.customer_id)
    reply = await ask(stack.edge, tenant.key().secret, chat(max_tokens=16))
    cost = float(reply.headers["x-tollkeeper-cost-usd"])
    tenant.settled(1)
    summary = found(lambda: _spent(owner))
    assert summary["budget"] == 1
    assert summary["budget_remaining"] == pytest.approx(1 - cost, abs=1e-12)
    assert summary["budget_used_percentage"] == pytest.approx(100 * cost, abs=1e-4)


def _spent(owner: Person) -> Any:
    summary = owner.json("GET", "/api/logs/summary")
    return summary if summary["budget_remaining"] != 1 else None


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=x", "limit=1001", "offset=-1", "offset=10001", "limit=1.5", "page=2", "limit=٣"],
)
def test_a15_bad_pages(resident: Person, query: str) -> None:
    """400."""
    assert resident.refusal("GET", f"/api/logs?{query}") == (400, "INVALID_ARGUMENT")


# ---- Who


def test_members_of_the_customer_read_and_do_not_change(owner: Person, join: Join) -> None:
    """403 for what a member's role doesn't allow."""
    member = join(owner.customer_id, Role.ROLE_MEMBER)
    assert member.refusal("POST", "/api/routers", {"name": "x"}) == (403, "PERMISSION_DENIED")
    assert member.refusal("GET", "/api/providers") == (403, "PERMISSION_DENIED")
    assert member.json("GET", "/api/keys")["keys"] == []


def test_the_first_operator_acts_in_the_demo_customer(operator: Person) -> None:
    """So that the surface works right after the first start."""
    names = [key["name"] for key in operator.json("GET", "/api/keys")["keys"]]
    assert "demo" in names
    assert operator.json("GET", "/api/logs/summary")["budget"] is None


def test_a_signed_out_session_is_refused(owner: Person) -> None:
    """At once."""
    assert owner.http.delete("/v1/session").status_code == 200
    assert owner.http.get("/api/keys").status_code == 401
