"""A create that is sent again makes one thing: generated over every method that takes a request id."""

import asyncio
from typing import Any

from tests.control.contract.methods import METHODS, short
from tests.control.contract.world import call, make_world, scrubbed
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7

# Signing in makes a new secret each time: a lost answer is asked for again.
WITHOUT = {"CreateSession"}
CREATES = sorted(name for name in METHODS if short(name).startswith("Create") and short(name) not in WITHOUT)
WITH = sorted(name for name, method in METHODS.items() if "request_id" in method.input_type.fields_by_name)


def test_every_create_takes_a_request_id() -> None:
    """Without one a client could never try again."""
    assert [name for name in CREATES if name not in WITH] == []


async def test_a_create_sent_again_makes_one(control: RunningControl) -> None:
    """The same request twice, also at once, gives one answer; other content with its id is refused."""
    world, cli, problems = await make_world(control, "acme"), await control.cli(), []
    for method in WITH:
        request: Any = world.request(method)
        request.request_id = str(uuid7())
        try:
            both = await asyncio.gather(call(cli, method, request), call(cli, method, request))
            again = await call(cli, method, request)
        except TollkeeperError as error:
            problems.append(f"{short(method)}: {error!r}")
            continue
        ids = {_first_id(answer) for answer in (*both, again)}
        if len(ids) != 1:
            problems.append(f"{short(method)} made {ids}")
        other: Any = world.request(method)
        other.request_id = request.request_id
        if other == request:
            continue
        try:
            problems.append(f"{short(method)} with other content: {scrubbed(await call(cli, method, other))}")
        except TollkeeperError as error:
            if error.reason != Reason.REQUEST_ID_REUSED:
                problems.append(f"{short(method)} with other content: {error!r}")
    assert not problems, "\n".join(problems)


def _first_id(answer: Any) -> str:
    """Of the resource that was made: an answer begins with it, or with its id."""
    first = answer.DESCRIPTOR.fields[0]
    value = getattr(answer, first.name)
    return _first_id(value) if first.message_type is not None and not first.is_repeated else str(value)
