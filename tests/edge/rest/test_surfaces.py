"""The routes of systems A and B hide what is another customer's, generated over all of them."""

import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import httpx

from control.domain.identity import Role
from edge.rest import system_a, system_b
from edge.rest.endpoint import Endpoint
from edge.rest.paths import Template
from tests.control.contract.build import unique
from tests.control.contract.world import World, make_world, snapshot
from tests.control.harness import RunningControl
from tests.edge.rest.conftest import signed_in
from tollkeeper.ids import uuid7

ENDPOINTS = [*system_a.endpoints(MagicMock()), *system_b.endpoints(MagicMock())]
# What a route's {id} is.
KINDS = {
    "/api/providers": "provider",
    "/api/routers": "router",
    "/api/keys": "key",
    "/api/user-models": "price",
}
NAMES = {
    "hash": "key",
    "user_id": "user",
    "team_id": "team",
    "provider_id": "provider",
    "router_id": "router",
}
VALUES: dict[str, Any] = {
    "provider_type": "openai",
    "api_key": "sk-x",
    "is_enabled": True,
    "is_active": True,
    "disabled": False,
    "budget_usd": "1.00",
    "input_cost_per_mil_tokens": 1,
    "output_cost_per_mil_tokens": 1,
}
# For people who aren't signed in, or (the models) another thing then.
OPEN = {"/api/auth/login", "/v1/customers/register", "/v1/traces", "/v1/ai/models"}


def kind_of(endpoint: Endpoint, name: str) -> str:
    """The kind of resource that a variable or field names. Fails for one that nobody told about."""
    if name == "id":
        return next(kind for path, kind in KINDS.items() if endpoint.path.startswith(path))
    return "rule" if name == "rule" else NAMES[name]


def ids_in(endpoint: Endpoint) -> list[str]:
    """Variables of the path and fields of the body that name resources."""
    fields = [name for name in endpoint.fields if name in NAMES]
    return [*Template.parse(endpoint.path).variables, *fields]


def cases() -> Iterator[tuple[Endpoint, str]]:
    """Each route with each of its ids."""
    for endpoint in ENDPOINTS:
        if endpoint.path not in OPEN:
            for name in ids_in(endpoint):
                yield endpoint, name


def request(endpoint: Endpoint, ids: dict[str, str], other: dict[str, str]) -> tuple[str, Any]:
    """Path and body about these ids, but for those in `other`, by name."""
    named = {name: other.get(name, ids[kind_of(endpoint, name)]) for name in ids_in(endpoint)}
    path = endpoint.path
    for name in Template.parse(path).variables:
        path = path.replace(f"{{{name}}}", named[name])
    body = None
    if endpoint.fields:
        sent = {
            name: named.get(name) or VALUES.get(name) or unique("name")
            for name, field in endpoint.fields.items()
            if field.required or name in named
        }
        body = sent or {"name": unique("name")}
    return path, body


def scrubbed(answer: httpx.Response, value: str) -> tuple[int, str]:
    """Status and body, without the id and what is new in each answer."""
    return answer.status_code, re.sub(
        r"[0-9a-f-]{36}|aig_[\w-]+|name-\d+", "?", answer.text.replace(value, "?")
    )


async def test_every_route_hides_what_is_another_customers(control: RunningControl, edge_url: str) -> None:
    """Another customer's id answers as one that nobody has: status and body, but for the id."""
    mine, theirs = await make_world(control, "mine"), await make_world(control, "theirs")
    owner = await control.person(mine.ids["customer"], Role.OWNER)
    before = await snapshot(await control.cli(), theirs)
    problems, compared = [], 0
    async with signed_in(edge_url, owner.secret) as http:
        mine.ids["rule"], theirs.ids["rule"] = _rule(mine), _rule(theirs)
        for endpoint, name in cases():
            kind = kind_of(endpoint, name)
            told = []
            for value in (theirs.ids[kind], str(uuid7())):
                path, body = request(endpoint, mine.ids, {name: value})
                answer = await http.request(endpoint.method, path, json=body)
                told.append(scrubbed(answer, value))
            compared += 1
            if told[0] != told[1] or told[0][0] != 404:
                problems.append(f"{endpoint.method} {endpoint.path} {name}: {told[0]}, unknown {told[1]}")
    assert not problems, "\n".join(problems)
    assert compared > 20
    assert await snapshot(await control.cli(), theirs) == before


def _rule(world: World) -> str:
    router: Any = world.made["/tollkeeper.v1.RoutersService/CreateRouter"]
    return str(router.rules[0].rule_id)


async def test_every_route_needs_a_credential(edge_url: str) -> None:
    """401 for all but signing in and what is open by setting."""
    async with signed_in(edge_url, None) as http:
        for endpoint in ENDPOINTS:
            ids = dict.fromkeys([*NAMES.values(), *KINDS.values(), "rule"], str(uuid7()))
            path, body = request(endpoint, ids, {})
            answer = await http.request(endpoint.method, path, json=body)
            if endpoint.path not in OPEN:
                assert (answer.status_code, answer.json()["reason"]) == (401, "UNAUTHENTICATED"), path
