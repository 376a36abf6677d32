"""One customer with one of everything that the contract can create, made through gRPC."""

import json
import re
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from clients.control import ControlClient
from control.domain.identity import CallerKind
from control.store import credentials
from tests.control.contract.build import build, is_id
from tests.control.contract.methods import METHODS, answer_class, short, snake
from tests.control.contract.recipes import RECIPES
from tests.control.harness import RunningControl
from tollkeeper.errors import TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.key_format import SESSION_PREFIX, mint, secret_hash
from tollkeeper.v1 import edge_pb2

# What isn't a customer's: made by others means, or belongs to a caller.
_NOT_MADE = {"CreateSession", "CreateCustomer"}
CREATES = sorted(
    name for name in METHODS if short(name).startswith("Create") and short(name) not in _NOT_MADE
)
LISTS = sorted(name for name in METHODS if short(name).startswith("List"))
_VOLATILE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{64}"
    r"|\b(?:aig|tk[a-z])_[\w-]+|\d{4}-\d\d-\d\dT[\d:.]+Z|(?<=thing-)\d+|(?<=model-)\d+"
)


class World:
    """Ids by kind of one customer's resources."""

    def __init__(self, customer_id: str, slug: str) -> None:
        self.slug = slug
        self.ids: dict[str, str] = {"customer": customer_id}
        # Made by edges, not by a Create method.
        self.ids |= {"incarnation": str(uuid7()), "lease": str(uuid7()), "usage": str(uuid7())}
        self.made: dict[str, Message] = {}

    def request(self, method: str) -> Message:
        """A request of the method about this world."""
        return build(method, self.ids, RECIPES)


async def make_world(control: RunningControl, slug: str) -> World:
    """Calls every Create method, in an order that works. Fails naming those that don't, to be given a
    recipe."""
    customer = await control.customer(slug)
    world = World(customer.customer_id, slug)
    cli = await control.cli()
    waiting, problems = list(CREATES), {}
    while waiting:
        problems = {}
        for method in waiting:
            try:
                answer = await call(cli, method, world.request(method))
            except (KeyError, TollkeeperError) as error:
                problems[method] = repr(error)
                continue
            kind = snake(short(method).removeprefix("Create"))
            world.ids[kind] = _id_in(answer, kind)
            world.made[method] = answer
        if len(problems) == len(waiting):
            break
        waiting = list(problems)
    assert not problems, f"give these a recipe (tests/control/contract/recipes.py): {problems}"
    await _sign_in(control, world)
    await _use_key(control, world)
    await _learn(cli, world)
    return world


async def call(client: ControlClient, method: str, request: Message, timeout_s: float = 15) -> Message:
    """The answer; of a stream its first message, or an empty one. Raises TollkeeperError."""
    parse = answer_class(method).FromString
    if METHODS[method].server_streaming:
        stream: Any = client.channel.unary_stream(method, response_deserializer=parse)
        messages = stream(request.SerializeToString(), timeout=timeout_s)
        first: Message = await anext(aiter(messages), answer_class(method)())
        return first
    unary: Any = client.channel.unary_unary(method, response_deserializer=parse)
    answer: Message = await unary(request.SerializeToString(), timeout=timeout_s)
    return answer


def scrubbed(message: Message) -> str:
    """The content without what differs from one call to the next: ids, secrets, times, versions."""
    text = json.dumps(MessageToDict(message, preserving_proto_field_name=True), sort_keys=True)
    return re.sub(r'"etag": "[^,}]*', '"etag": "?"', _VOLATILE.sub("?", text))


async def snapshot(client: ControlClient, world: World) -> dict[str, str]:
    """Everything the lists of its customer tell about the world."""
    told = {}
    for method in LISTS:
        if "customer_id" not in METHODS[method].input_type.fields_by_name:
            continue
        answer = await call(client, method, world.request(method))
        told[method] = json.dumps(MessageToDict(answer), sort_keys=True)
    return told


async def _learn(client: ControlClient, world: World) -> None:
    """Ids of what is made along with something else, such as usage and audit entries."""
    for method in LISTS:
        _harvest(await call(client, method, world.request(method)), world.ids)


def _harvest(message: Message, ids: dict[str, str]) -> None:
    for field, value in message.ListFields():
        if is_id(field) and not field.is_repeated:
            ids.setdefault(field.name.removesuffix("_id"), value)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for item in value if field.is_repeated else [value]:
                _harvest(item, ids)


def _id_in(answer: Message, kind: str) -> str:
    field = f"{kind}_id"
    if field in answer.DESCRIPTOR.fields_by_name:
        return str(getattr(answer, field))
    for inner, value in answer.ListFields():
        if inner.message_type is not None and field in inner.message_type.fields_by_name:
            return str(getattr(value, field))
    raise AssertionError(f"{answer.DESCRIPTOR.full_name} has no {field}")


async def _sign_in(control: RunningControl, world: World) -> None:
    """A session of the world's user, who has no password."""
    world.ids["session"] = str(uuid7())
    async with control.database.write() as connection:
        await credentials.add(
            connection,
            world.ids["customer"],
            CallerKind.SESSION,
            secret_hash(mint(SESSION_PREFIX)),
            user_id=world.ids["user"],
            credential_id=world.ids["session"],
        )


async def _use_key(control: RunningControl, world: World) -> None:
    """One settled request of the world's key, so that there is usage."""
    edge = await control.edge()
    record = edge_pb2.UsageRecord(
        usage_id=world.ids["usage"],
        incarnation_id=world.ids["incarnation"],
        sequence=1,
        customer_id=world.ids["customer"],
        key_id=world.ids["key"],
        user_id=world.ids["user"],
        team_id=world.ids["team"],
        lease_id=world.ids["lease"],
        state=edge_pb2.USAGE_STATE_REPORTED,
        cost_nanousd=1,
        requested_model="m",
    )
    record.attempts.add(
        number=1,
        provider_id=world.ids["provider"],
        price_id=world.ids["price"],
        status=200,
        model="m",
        state=edge_pb2.USAGE_STATE_REPORTED,
        usage=edge_pb2.Usage(input_tokens=1),
        cost_nanousd=1,
    )
    request = edge_pb2.SettleRequest(incarnation_id=record.incarnation_id, records=[record])
    answer = await edge.edge.Settle(request)
    assert list(answer.outcomes) == [edge_pb2.POSTED]
