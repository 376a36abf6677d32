"""Page tokens survive inserts and deletes: generated over every List method."""

from typing import Any

from google.protobuf.message import Message

from clients.control import ControlClient
from control.services.paging import page_of
from tests.control.contract.methods import METHODS, request_of, short
from tests.control.contract.world import CREATES, LISTS, World, call, make_world
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1.teams_pb2 import ListTeamsRequest

# Of each kind, beyond the one of the world, and while pages are read: a scope has at most 8 budgets.
MADE = 4
MADE_MEANWHILE = 2


def test_every_list_has_pages() -> None:
    """From the first version on: they can't be added later."""
    for method in LISTS:
        assert {"page_size", "page_token"} <= set(METHODS[method].input_type.fields_by_name), method
        assert "next_page_token" in METHODS[method].output_type.fields_by_name, method


async def test_pages_survive_inserts_and_deletes(control: RunningControl) -> None:
    """While one reads page by page, others are made: whatever was there all
    along comes exactly once."""
    world, cli, problems, paged = await make_world(control, "acme"), await control.cli(), [], 0
    for method in LISTS:
        create = _create_of(method)
        if create is None:
            continue
        for _ in range(MADE):
            await call(cli, create, world.request(create))
        request: Any = world.request(method)
        request.page_size = 1000
        there = _ids(await call(cli, method, request))
        request.page_size = 2
        seen: list[str] = []
        for number in range(3 * MADE):
            answer: Any = await call(cli, method, request)
            seen += _ids(answer)
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
            if number < MADE_MEANWHILE:
                await call(cli, create, world.request(create))
        paged += 1
        kept = [each for each in seen if each in there]
        if sorted(kept) != sorted(there):
            problems.append(f"{short(method)}: {len(set(kept))} of {len(there)} came, {len(kept)} in all")
        if len(set(seen)) != len(seen):
            problems.append(f"{short(method)}: some came twice")
    assert not problems, "\n".join(problems)
    assert paged > 5


async def test_a_page_whose_last_item_is_gone(control: RunningControl) -> None:
    """The token says where to go on, not what to go on from: deleting what it ended with loses nothing."""
    world, cli, problems = await make_world(control, "acme"), await control.cli(), []
    for method in LISTS:
        create, delete = _create_of(method), method.replace("/List", "/Delete").removesuffix("s")
        if create is None or delete not in METHODS:
            continue
        for _ in range(3):
            await call(cli, create, world.request(create))
        request: Any = world.request(method)
        there = _ids(await call(cli, method, request))
        request.page_size = 2
        first: Any = await call(cli, method, request)
        if (told := await _delete(cli, delete, world, first)) is not None:
            problems.append(f"{short(delete)}: {told}")
            continue
        request.page_size, request.page_token = 1000, first.next_page_token
        rest = _ids(await call(cli, method, request))
        if rest != [each for each in there if each not in _ids(first)]:
            problems.append(short(method))
    assert not problems, "\n".join(problems)


async def test_page_sizes_and_tokens_that_are_none(control: RunningControl) -> None:
    """Too large a page is the largest there is; less than none, and tokens of other lists, are refused."""
    cli = await control.cli()
    world, problems = await make_world(control, "acme"), []
    # Well made, and of a list with other arguments than any below.
    foreign = page_of(ListTeamsRequest(customer_id="somebody")).token(str(uuid7()))
    for method in LISTS:
        for size, token, expected in (
            (2**31 - 1, "", None),
            (-1, "", Reason.INVALID_ARGUMENT),
            (0, "nonsense", Reason.INVALID_ARGUMENT),
            (0, "AAAAAAAAAAAAAAAAAAAAAAAA", Reason.INVALID_ARGUMENT),
            (0, foreign, Reason.INVALID_ARGUMENT),
        ):
            request: Any = world.request(method)
            request.page_size, request.page_token = size, token
            try:
                await call(cli, method, request)
                told = None
            except TollkeeperError as error:
                told = error.reason
            if told != expected:
                problems.append(f"{short(method)} size {size} token {token!r}: {told}")
    assert not problems, "\n".join(problems)


def _create_of(method: str) -> str | None:
    """ListTeams → CreateTeam."""
    name = method.replace("/List", "/Create").removesuffix("s")
    return name if name in CREATES else None


def _items(answer: Message) -> list[Any]:
    field = next(field for field in answer.DESCRIPTOR.fields if field.is_repeated)
    return list(getattr(answer, field.name))


def _ids(answer: Message) -> list[str]:
    """The first field of each item, which is its id."""
    return [str(getattr(item, item.DESCRIPTOR.fields[0].name)) for item in _items(answer)]


async def _delete(client: ControlClient, method: str, world: World, page: Message) -> str | None:
    """Deletes the last item of a page; why it couldn't, otherwise."""
    item = _items(page)[-1]
    request: Any = request_of(method)
    for field in request.DESCRIPTOR.fields:
        if field.name == "force":
            request.force = True
        elif field.name in item.DESCRIPTOR.fields_by_name and field.name != "etag":
            setattr(request, field.name, getattr(item, field.name))
    try:
        await call(client, method, request)
    except TollkeeperError as error:
        return repr(error)
    return None
