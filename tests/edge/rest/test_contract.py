"""Every admin RPC over REST, generated over the whole contract: there, documented, and hiding what is another
customer's."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from clients.control import ControlClient
from control.domain.identity import Role
from control.domain.roles import REQUIREMENTS, Access
from edge.errors import SHAPES
from edge.rest.contract import Binding, bindings
from tests.control.contract.build import id_paths, kind_of, with_id
from tests.control.contract.methods import METHODS, short
from tests.control.contract.world import World, call, make_world, snapshot
from tests.control.harness import RunningControl
from tests.edge.rest.calls import as_call, bindings_of
from tests.edge.rest.conftest import signed_in
from tollkeeper.errors import TollkeeperError
from tollkeeper.ids import uuid7

ADMIN = sorted(name for name, needs in REQUIREMENTS.items() if needs.access is not Access.EDGE)
# Content that differs from one call to the next.
_VOLATILE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{64}"
    r"|\b(?:aig|tk[a-z])_[\w-]+|\d{4}-\d\d-\d\dT[\d:.]+Z|(?<=thing-)\d+|(?<=model-)\d+|\\\"\d+\\\""
)


def test_every_admin_method_has_a_path() -> None:
    """And no method of edges has one."""
    bound = {binding.rpc_path for binding in bindings()}
    assert bound == set(ADMIN)


async def test_every_binding_is_documented(control: RunningControl, edge_url: str) -> None:
    """/openapi.json names each path and method, with what it takes and gives."""
    async with signed_in(edge_url, None) as http:
        document = (await http.get("/openapi.json")).json()
    documented = {
        (operation["operationId"], method)
        for methods in document["paths"].values()
        for method, operation in methods.items()
    }
    for binding in bindings():
        number = f"_{binding.number}" if binding.number else ""
        name = f"{binding.rpc.containing_service.name}_{binding.rpc.name}{number}"
        assert (name, binding.method.lower()) in documented


async def test_reads_answer_as_grpc_does(control: RunningControl, edge_url: str) -> None:
    """Every Get and List, by each of its bindings: the same content, or refusal, as over gRPC."""
    world, cli = await make_world(control, "acme"), await control.cli()
    compared, problems = 0, []
    async with signed_in(edge_url, control.cli_secret) as http:
        for method in ADMIN:
            if not short(method).startswith(("Get", "List")) or METHODS[method].server_streaming:
                continue
            request = world.request(method)
            status, expected = await _over_grpc(cli, method, request)
            for _, answer in await _each_binding(http, method, request):
                compared += 1
                if answer.status_code != status or _without_empty(answer.json()) != expected:
                    problems.append(f"{short(method)}: {answer.status_code} {answer.text[:300]}")
    assert not problems, "\n".join(problems)
    assert compared > 20


async def test_every_method_is_reached(control: RunningControl, edge_url: str) -> None:
    """All others are done, or refused with a reason of the control plane's own: none fails on the way."""
    world = await make_world(control, "acme")
    problems, done = [], 0
    # What ends things comes last.
    order = sorted(ADMIN, key=lambda name: (short(name).startswith(("Delete", "Revoke", "Remove")), name))
    async with signed_in(edge_url, control.cli_secret) as http:
        for method in order:
            if short(method).startswith(("Get", "List")):
                continue
            answers = await _each_binding(http, method, world.request(method))
            if not answers:
                problems.append(f"{short(method)}: no binding fits")
            for _, answer in answers:
                done += answer.status_code == 200
                ours = answer.status_code >= 500 and answer.status_code not in (502, 503)
                if ours or (answer.status_code != 200 and "reason" not in answer.json()):
                    problems.append(f"{short(method)}: {answer.status_code} {answer.text[:300]}")
    assert not problems, "\n".join(problems)
    assert done > len(ADMIN) / 3


async def test_every_route_hides_what_is_another_customers(control: RunningControl, edge_url: str) -> None:
    """An owner names each id of another customer in path, query and body of each route: status and body are
    those of an id that nobody has, but for the id itself."""
    mine, theirs = await make_world(control, "mine"), await make_world(control, "theirs")
    owner = await control.person(mine.ids["customer"], Role.OWNER)
    before = await snapshot(await control.cli(), theirs)
    problems, compared = [], 0
    async with signed_in(edge_url, owner.secret) as http:
        for method in ADMIN:
            needs = REQUIREMENTS[method]
            if needs.access is not Access.ROLE or needs.role > Role.OWNER:
                continue
            for label, foreign, unknown, names in _pairs(method, mine, theirs):
                for binding in bindings_of(method):
                    told = await _told(http, binding, foreign, names)
                    expected = await _told(http, binding, unknown, names)
                    compared += told is not None
                    if told != expected:
                        problems.append(f"{short(method)} {label}: {told} but unknown {expected}")
    assert not problems, "\n".join(problems)
    assert compared > len(ADMIN)
    assert await snapshot(await control.cli(), theirs) == before


def _pairs(method: str, mine: World, theirs: World) -> Iterator[tuple[str, Message, Message, dict[str, str]]]:
    """Two requests that differ in one id alone: another customer's, and nobody's."""
    for path in id_paths(mine.request(method)):
        kind = "customer" if path[-1] == "customer_id" else kind_of(path[-1], theirs.ids)
        for other in [kind] if kind is not None else sorted(theirs.ids):
            known, unknown = theirs.ids[other], str(uuid7())
            # Two bases, lest what must be unique is taken by the first.
            yield (
                f"{'.'.join(path)}={other}",
                with_id(mine.request(method), path, known),
                with_id(mine.request(method), path, unknown),
                {known: path[-1], unknown: path[-1]},
            )


async def _told(
    http: httpx.AsyncClient, binding: Binding, request: Message, names: dict[str, str]
) -> tuple[int, str] | None:
    made = as_call(binding, request)
    if made is None:
        return None
    answer = await made.send(http)
    text = answer.text
    for value, name in names.items():
        text = text.replace(value, name)
    return answer.status_code, _VOLATILE.sub("?", text)


async def _each_binding(
    http: httpx.AsyncClient, method: str, request: Message
) -> list[tuple[Binding, httpx.Response]]:
    made = [(binding, as_call(binding, request)) for binding in bindings_of(method)]
    return [(binding, await each.send(http)) for binding, each in made if each is not None]


async def _over_grpc(client: ControlClient, method: str, request: Message) -> tuple[int, Any]:
    """What REST is to answer: its status, and its body without what is empty."""
    try:
        message = await call(client, method, request)
    except TollkeeperError as error:
        status = SHAPES[error.reason].management_status
        return status, {"error": error.message, "reason": error.reason_name}
    return 200, _without_empty(MessageToDict(message, preserving_proto_field_name=True))


def _without_empty(plain: Any) -> Any:
    """REST also tells what is empty; times of use move on."""
    if isinstance(plain, dict):
        kept = {name: _without_empty(value) for name, value in plain.items() if name != "last_use_time"}
        return {name: value for name, value in kept.items() if not _is_empty(value)}
    if isinstance(plain, list):
        return [_without_empty(each) for each in plain]
    return plain


def _is_empty(value: Any) -> bool:
    if isinstance(value, str) and value.endswith("_UNSPECIFIED"):
        return True
    return json.dumps(value) in ('""', '"0"', "0", "0.0", "false", "[]", "{}")
