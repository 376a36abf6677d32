"""Lost updates are refused, and masks mean one thing: generated over every Update method with an etag."""

from typing import Any

from google.protobuf.message import Message

from clients.control import ControlClient
from tests.control.contract.methods import METHODS, request_of, resource_field, short
from tests.control.contract.world import World, call, make_world
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError

UPDATES = sorted(name for name in METHODS if short(name).startswith("Update"))
# What has no etag, and why.
WITHOUT_ETAG: dict[str, str] = {}


def test_every_update_knows_versions() -> None:
    """The resource of each Update has an etag and the request a mask."""
    without = {}
    for method in UPDATES:
        request = METHODS[method].input_type
        resource = resource_field(request)
        assert resource is not None, f"{method}: name the resource as its method does"
        if "etag" not in resource.message_type.fields_by_name:
            without[short(method)] = "etag"
        assert "update_mask" in request.fields_by_name, method
    assert without.keys() == WITHOUT_ETAG.keys()


async def test_an_update_of_what_changed_meanwhile_is_refused(control: RunningControl) -> None:
    """Two who read the same version: the second to write is told so, and `*` writes as a list of all."""
    world, cli, problems = await make_world(control, "acme"), await control.cli(), []
    for method in UPDATES:
        current = await _read(cli, method, world)
        if current is None:
            problems.append(f"{short(method)}: nothing to update")
            continue
        read = await _read(cli, method, world)
        changed = await _told(cli, method, current)
        if isinstance(changed, str):
            problems.append(f"{short(method)} of all that was read: {changed}")
            continue
        # Only what is really stored anew has a new version.
        if getattr(changed, "etag", None) == getattr(current, "etag", None):
            problems.append(f"{short(method)} keeps the etag")
        if (lost := await _told(cli, method, read)) != Reason.Name(Reason.ETAG_MISMATCH):
            problems.append(f"{short(method)} with an old etag: {lost}")
    assert not problems, "\n".join(problems)


async def test_masks_that_name_nothing(control: RunningControl) -> None:
    """Unknown fields, paths into fields, and masks of what is output only are INVALID_ARGUMENT."""
    world, cli, problems = await make_world(control, "acme"), await control.cli(), []
    for method in UPDATES:
        current = await _read(cli, method, world)
        assert current is not None
        for mask in (["nonsense"], ["name.first"], ["etag"], [""], ["create_time"]):
            told = await _told(cli, method, current, mask)
            if told != Reason.Name(Reason.INVALID_ARGUMENT):
                problems.append(f"{short(method)} {mask}: {told}")
    assert not problems, "\n".join(problems)


async def _read(client: ControlClient, method: str, world: World) -> Message | None:
    """The resource as its Get method tells."""
    getter = method.replace("/Update", "/Get")
    if getter not in METHODS:
        return None
    return await call(client, getter, world.request(getter))


async def _told(
    client: ControlClient, method: str, resource: Message, mask: list[str] | None = None
) -> Message | str:
    """The updated resource, or the reason of the refusal."""
    request: Any = request_of(method)
    field = resource_field(request.DESCRIPTOR)
    assert field is not None
    getattr(request, field.name).CopyFrom(resource)
    request.update_mask.paths[:] = ["*"] if mask is None else mask
    try:
        return await call(client, method, request)
    except TollkeeperError as error:
        return error.reason_name if mask is not None or error.reason == Reason.ETAG_MISMATCH else repr(error)
