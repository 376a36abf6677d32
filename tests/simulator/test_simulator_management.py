"""The simulated management API: envelopes, checks in order, quota, rate limit, faults, and its file."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator import Settings, Simulator

ACCOUNT = "0123456789abcdef0123456789abcdef"
API = f"/client/v4/accounts/{ACCOUNT}"
GATEWAYS = f"{API}/ai-gateway/gateways"
HEADERS = {"authorization": "Bearer secret"}
BODY: dict[str, Any] = {
    "id": "team-a",
    "cache_ttl": 0,
    "cache_invalidate_on_update": True,
    "collect_logs": False,
    "rate_limiting_limit": 0,
    "rate_limiting_interval": 0,
}


@pytest.fixture
def api(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client that carries a credential."""
    client.headers.update(HEADERS)
    return client


async def test_a_gateway_from_creation_to_deletion(api: httpx.AsyncClient) -> None:
    """Create, read, replace, delete: v4 envelopes, and what was left out gets its default."""
    created = (await api.post(GATEWAYS, json=BODY | {"authentication": True, "zdr": True})).json()
    assert (created["success"], created["errors"], created["messages"]) == (True, [], [])
    gateway = created["result"]
    assert (gateway["id"], gateway["authentication"], gateway["collect_logs"]) == ("team-a", True, False)
    assert (await api.get(f"{GATEWAYS}/team-a")).json()["result"] == gateway
    changed = (await api.put(f"{GATEWAYS}/team-a", json=BODY | {"cache_ttl": None})).json()["result"]
    assert (changed["cache_ttl"], changed["authentication"], changed["zdr"]) == (0, False, False)
    assert changed["created_at"] == gateway["created_at"]
    assert (await api.delete(f"{GATEWAYS}/team-a")).json()["result"]["id"] == "team-a"
    gone = await api.get(f"{GATEWAYS}/team-a")
    assert (gone.status_code, gone.json()["errors"][0]["code"]) == (404, 7002)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "Upper"}, "id"),
        ({"id": "a--b"}, "id"),
        ({"id": "a" * 65}, "id"),
        ({"id": "a\n"}, "id"),
        ({"cache_ttl": -1}, "cache_ttl"),
        ({"cache_ttl": "0"}, "cache_ttl"),
        ({"collect_logs": 1}, "collect_logs"),
        ({"rate_limiting_limit": True}, "rate_limiting_limit"),
        ({"zdr": "yes"}, "zdr"),
    ],
)
async def test_bad_bodies(api: httpx.AsyncClient, change: dict[str, Any], field: str) -> None:
    """400 with code 7001 and the path of the field."""
    answer = await api.post(GATEWAYS, json=BODY | change)
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["path"]) == (400, 7001, ["body", field])


async def test_missing_fields_and_broken_json(api: httpx.AsyncClient) -> None:
    """All five settings are required, on PUT too."""
    await api.post(GATEWAYS, json=BODY)
    for name in BODY.keys() - {"id"}:
        less = {key: value for key, value in BODY.items() if key != name}
        for answer in (await api.post(GATEWAYS, json=less), await api.put(f"{GATEWAYS}/team-a", json=less)):
            assert answer.json()["errors"][0]["path"] == ["body", name]
    for content in (b"{", b"[]", b"\xff"):
        assert (await api.post(GATEWAYS, content=content)).status_code == 400


async def test_taken_ids_and_the_quota(api: httpx.AsyncClient) -> None:
    """409 for an id that exists; 400 once the account is full, until one goes or the quota grows."""
    await api.post("/_sim/management/quota?n=2")
    assert (await api.post(GATEWAYS, json=BODY)).status_code == 200
    assert (await api.post(GATEWAYS, json=BODY)).status_code == 409
    full = await api.post(GATEWAYS, json=BODY | {"id": "team-b"})
    assert (full.status_code, full.json()["errors"][0]["code"]) == (400, 7001)
    assert "Maximum number of gateways" in full.json()["errors"][0]["message"]
    await api.delete(f"{GATEWAYS}/team-a")
    assert (await api.post(GATEWAYS, json=BODY | {"id": "team-b"})).status_code == 200


async def test_default_gateway_is_always_there(api: httpx.AsyncClient) -> None:
    """It can be deleted, and comes back."""
    assert (await api.get(f"{GATEWAYS}/default")).json()["result"]["is_default"] is True
    assert (await api.delete(f"{GATEWAYS}/default")).status_code == 200
    assert (await api.get(f"{GATEWAYS}/default")).status_code == 200


async def test_pages(api: httpx.AsyncClient) -> None:
    """Pages of gateways and of models with their result_info; sizes beyond 100 are refused."""
    for number in range(4):
        await api.post(GATEWAYS, json=BODY | {"id": f"g-{number}"})
    second = (await api.get(GATEWAYS, params={"page": 2, "per_page": 3, "search": "g-"})).json()
    assert [row["id"] for row in second["result"]] == ["g-3"]
    assert second["result_info"] == {"page": 2, "per_page": 3, "count": 1, "total_count": 4}
    for query in ({"per_page": 101}, {"page": 0}, {"page": "x"}):
        assert (await api.get(GATEWAYS, params=query)).status_code == 400
    models = (await api.get(f"{API}/ai/models/search", params={"per_page": 5, "page": 3})).json()
    assert len(models["result"]) == 5
    total = models["result_info"]["total_count"]
    assert (await api.get(f"{API}/ai/models/search", params={"page": 9})).json()["result"] == []
    text = (await api.get(f"{API}/ai/models/search", params={"task": "Text Generation"})).json()
    assert 0 < text["result_info"]["total_count"] < total
    assert set(text["result"][0]) >= {"id", "name", "description", "task"}


async def test_who_may_ask() -> None:
    """A wrong token is 401, another account 403, a malformed one and an unknown path 404."""
    settings = Settings(port=0, account_id=ACCOUNT, require_token="secret")
    async with Simulator(settings) as running, httpx.AsyncClient(base_url=running.url) as client:

        async def asked(path: str, token: str | None) -> tuple[int, int]:
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            answer = await client.get(path, headers=headers)
            return answer.status_code, answer.json()["errors"][0]["code"]

        assert await asked(GATEWAYS, None) == (401, 10000)
        assert await asked(GATEWAYS, "wrong") == (401, 10000)
        assert await asked(GATEWAYS.replace("0123", "ffff"), "secret") == (403, 10000)
        assert await asked("/client/v4/accounts/x/ai-gateway/gateways", "secret") == (404, 7003)
        assert await asked(f"{API}/nothing", "secret") == (404, 7003)


async def test_rate_limit() -> None:
    """Each answer tells what is left of the window; beyond it 429 with retry-after."""
    async with (
        Simulator(Settings(port=0, api_requests=2)) as running,
        httpx.AsyncClient(base_url=running.url, headers=HEADERS) as client,
    ):
        first = await client.get(GATEWAYS)
        assert first.headers["ratelimit"].startswith('"default";r=1;')
        assert first.headers["ratelimit-policy"] == '"default";q=2;w=300'
        await client.get(GATEWAYS)
        refused = await client.get(GATEWAYS)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (429, 971)
        assert 0 < int(refused.headers["retry-after"]) <= 300
        await client.post("/_sim/reset")
        assert (await client.get(GATEWAYS)).status_code == 200


async def test_faults_on_order(api: httpx.AsyncClient) -> None:
    """So many matching calls fail as ordered; a lost one was carried out; the rest go on as ever."""
    orders = [
        {"method": "POST", "times": 2, "status": 503, "code": 10001, "message": "No", "retry_after": "7"},
        {"method": "POST", "lost": True},
        {"method": "GET", "path": "/models", "garbage": True},
        {"method": "GET", "path": "/models", "delay_ms": 20},
    ]
    state = (await api.post("/_sim/management/faults", json=orders)).json()
    assert state["faults"] == 5
    for _ in range(2):
        failed = await api.post(GATEWAYS, json=BODY)
        assert (failed.status_code, failed.headers["retry-after"]) == (503, "7")
        assert failed.json()["errors"] == [{"code": 10001, "message": "No"}]
    with pytest.raises(httpx.RemoteProtocolError):
        await api.post(GATEWAYS, json=BODY)
    assert (await api.get(f"{GATEWAYS}/team-a")).status_code == 200
    assert (await api.get(f"{API}/ai/models/search")).status_code == 502
    assert (await api.get(f"{API}/ai/models/search")).status_code == 200
    state = (await api.get("/_sim/management")).json()
    assert (state["faults"], state["gateways"]) == (0, ["default", "team-a"])
    assert [call["status"] for call in state["calls"]] == [503, 503, 0, 200, 502, 200]


@pytest.mark.parametrize("order", [{"status": 200}, {"times": -1}, {"nothing": 1}, {"times": "1"}, 7])
async def test_orders_that_make_no_sense(api: httpx.AsyncClient, order: object) -> None:
    """A test with a typo must not pass by luck."""
    assert (await api.post("/_sim/management/faults", json=order)).status_code == 400


async def test_gateway_host_knows_what_was_made() -> None:
    """With gateways named at the start, others are served from their creation to their deletion."""
    chat = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    path = f"/v1/{ACCOUNT}/team-a/openai/chat/completions"
    async with (
        Simulator(Settings(port=0, gateways=frozenset({"default"}))) as running,
        httpx.AsyncClient(base_url=running.url, headers=HEADERS) as client,
    ):
        assert (await client.post(path, json=chat)).status_code == 400
        await client.post(GATEWAYS, json=BODY)
        assert (await client.post(path, json=chat)).status_code == 200
        await client.delete(f"{GATEWAYS}/team-a")
        assert (await client.post(path, json=chat)).status_code == 400


async def test_gateways_outlive_the_process(tmp_path: Path) -> None:
    """With a file, the next life knows what the one before made."""
    settings = Settings(port=0, gateways_file=tmp_path / "gateways.json")
    async with (
        Simulator(settings) as running,
        httpx.AsyncClient(base_url=running.url, headers=HEADERS) as client,
    ):
        await client.post(GATEWAYS, json=BODY)
    async with (
        Simulator(settings) as running,
        httpx.AsyncClient(base_url=running.url, headers=HEADERS) as client,
    ):
        assert (await client.get(f"{GATEWAYS}/team-a")).status_code == 200
