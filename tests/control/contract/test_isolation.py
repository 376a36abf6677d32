"""Another customer's ids answer exactly as ids that don't exist: generated over every method."""

from collections.abc import Iterator

from google.api import field_behavior_pb2
from google.protobuf.message import Message

from clients.control import ControlClient
from control.domain.identity import Role
from control.domain.roles import REQUIREMENTS, Access
from tests.control.contract.build import id_paths, is_id, kind_of, with_id
from tests.control.contract.methods import METHODS, behaves, short
from tests.control.contract.world import World, call, make_world, scrubbed, snapshot
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7

Path = tuple[str, ...]
# The answer to a pair of requests that differ in ids alone: reason and text, or the content.
Told = tuple[str, str]
_UNKNOWN_SLUG = "no-such-customer"
# Only operators may set these, which is said before any id is looked at.
_SET_BY_OPERATORS = frozenset({"customer.price_plan_id"})


async def test_every_method_hides_what_is_another_customers(control: RunningControl) -> None:
    """The owner of one customer names each id of another in each field of each method: reason, text and
    metadata are those of an id that nobody has, and the other customer's lists don't change."""
    mine, theirs = await make_world(control, "mine"), await make_world(control, "theirs")
    owner = await control.person(mine.ids["customer"], Role.OWNER)
    cli = await control.cli()
    before = await snapshot(cli, theirs)
    problems, compared = [], 0
    for method in sorted(METHODS):
        if REQUIREMENTS[method].access is not Access.ROLE or _for_operators(method):
            continue
        for path, label, foreign, unknown, names in _pairs(method, mine, theirs):
            told = await _told(owner.client, method, foreign, names)
            expected = await _told(owner.client, method, unknown, names)
            compared += 1
            if told == expected and told[0] == Reason.Name(Reason.INVALID_ARGUMENT):
                # Filters that exclude each other, perhaps: this one alone, then.
                for each in (foreign, unknown):
                    _leave_alone(each, path)
                told = await _told(owner.client, method, foreign, names)
                expected = await _told(owner.client, method, unknown, names)
            if told != expected:
                problems.append(f"{short(method)} {label}: {told} but for an unknown id {expected}")
            elif told[0] not in ("OK", Reason.Name(Reason.NOT_FOUND)):
                problems.append(f"{short(method)} {label} says nothing about ids: {told}")
    assert not problems, "\n".join(problems)
    assert compared > len(METHODS)
    assert await snapshot(cli, theirs) == before


def _for_operators(method: str) -> bool:
    """Nobody else may call it at all (test_roles)."""
    return REQUIREMENTS[method].role > Role.OWNER


def _pairs(
    method: str, mine: World, theirs: World
) -> Iterator[tuple[Path, str, Message, Message, dict[str, str]]]:
    """Two requests that differ in ids alone, where they do, and the names their ids go by when compared."""
    paths = list(id_paths(mine.request(method)))
    customer = next((path for path in paths if path[-1] == "customer_id"), None)
    for path in paths:
        label = ".".join(path)
        if label in _SET_BY_OPERATORS:
            continue
        if path[-1] == "customer_id":
            for foreign, unknown in ((theirs.ids["customer"], str(uuid7())), (theirs.slug, _UNKNOWN_SLUG)):
                yield path, label, *_pair(method, mine, {path: (foreign, unknown)})
            continue
        kind = kind_of(path[-1], theirs.ids)
        for other in [kind] if kind is not None else sorted(theirs.ids):
            named = {path: (theirs.ids[other], str(uuid7()))}
            yield path, f"{label}={other}", *_pair(method, mine, named)
            if customer is not None:
                named = {**named, customer: (theirs.ids["customer"], str(uuid7()))}
                yield path, f"{label}={other} of its customer", *_pair(method, mine, named)


def _pair(
    method: str, mine: World, named: dict[Path, tuple[str, str]]
) -> tuple[Message, Message, dict[str, str]]:
    # Two bases, lest what must be unique is taken by the first.
    foreign, unknown = mine.request(method), mine.request(method)
    names = {}
    for path, (foreign_id, unknown_id) in named.items():
        foreign, unknown = with_id(foreign, path, foreign_id), with_id(unknown, path, unknown_id)
        names |= {foreign_id: path[-1], unknown_id: path[-1]}
    return foreign, unknown, names


def _leave_alone(request: Message, path: Path) -> None:
    """Clears the optional ids that stand beside this one."""
    for field in request.DESCRIPTOR.fields:
        needed = field.name == "customer_id" or behaves(field, field_behavior_pb2.REQUIRED)
        if is_id(field) and not needed and field.name != path[0]:
            request.ClearField(field.name)


async def _told(client: ControlClient, method: str, request: Message, names: dict[str, str]) -> Told:
    try:
        return "OK", scrubbed(await call(client, method, request))
    except TollkeeperError as error:
        text = f"{error.message} {sorted(error.metadata.items())} {error.retry_after_s}"
        for value, name in names.items():
            text = text.replace(value, name)
        return error.reason_name, text
