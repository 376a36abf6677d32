"""Price plans: what customers pay on top of global prices, from the plan to the booked entry."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from clients.control import ControlClient
from control.domain.identity import Role
from control.domain.price_plans import MAX_MARKUP_PPM, MAX_MODEL_MARKUPS, MIN_MARKUP_PPM
from control.verify import verify
from tests.control.gateway import authorize, changes, make_key, refused
from tests.control.harness import RunningControl
from tests.control.spending import Spender, unit_price
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.customers_pb2 import CreateCustomerRequest, Customer, UpdateCustomerRequest
from tollkeeper.v1.price_plans_pb2 import (
    CreatePricePlanRequest,
    DeletePricePlanRequest,
    GetPricePlanRequest,
    ListPricePlansRequest,
    ModelMarkup,
    PricePlan,
    UpdatePricePlanRequest,
)
from tollkeeper.v1.usage_pb2 import GetUsageRequest


async def make_plan(cli: ControlClient, name: str = "resale", **fields: Any) -> PricePlan:
    plan = PricePlan(name=name, **{"markup_ppm": 200_000, **fields})
    return await cli.price_plans.CreatePricePlan(CreatePricePlanRequest(price_plan=plan))


async def choose(cli: ControlClient, customer: str, price_plan_id: str) -> Customer:
    changed = Customer(customer_id=customer, price_plan_id=price_plan_id)
    mask = FieldMask(paths=["price_plan_id"])
    return await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=changed, update_mask=mask))


async def change(cli: ControlClient, plan: PricePlan, *paths: str, **fields: Any) -> PricePlan:
    changed = PricePlan(price_plan_id=plan.price_plan_id, **fields)
    mask = FieldMask(paths=[*paths, *fields])
    return await cli.price_plans.UpdatePricePlan(UpdatePricePlanRequest(price_plan=changed, update_mask=mask))


async def delete(cli: ControlClient, plan: PricePlan, force: bool = False) -> PricePlan:
    request = DeletePricePlanRequest(price_plan_id=plan.price_plan_id, force=force)
    return await cli.price_plans.DeletePricePlan(request)


async def test_a_customer_has_the_plan_it_chose_else_the_one_granted_to_all(control: RunningControl) -> None:
    """Every change reaches the grants of those it concerns, and of nobody else."""
    cli, edge = await control.cli(), await control.edge()
    acme, other = [(await control.customer(slug)).customer_id for slug in ("acme", "other")]
    keys = {name: (await make_key(cli, name)).raw_key for name in (acme, other)}

    async def markups() -> list[int]:
        return [(await authorize(edge, raw_key)).markup_ppm for raw_key in keys.values()]

    assert await markups() == [0, 0]
    async with changes(control, acme) as of_acme, changes(control, other) as of_other:
        default = await make_plan(cli, "default", markup_ppm=100_000, granted_to_all=True)
    assert (of_acme["changed"], of_other["changed"]) == (True, True)
    assert await markups() == [100_000, 100_000]
    async with changes(control, other) as of_other:
        chosen = await make_plan(cli, "chosen", markup_ppm=-50_000)
        await choose(cli, acme, chosen.price_plan_id)
    assert not of_other["changed"]
    assert await markups() == [-50_000, 100_000]
    async with changes(control, acme) as of_acme, changes(control, other) as of_other:
        await change(cli, chosen, markup_ppm=1)
    assert (of_acme["changed"], of_other["changed"]) == (True, False)
    assert await markups() == [1, 100_000]
    async with changes(control, acme) as of_acme, changes(control, other) as of_other:
        await change(cli, default, granted_to_all=False)
    assert (of_acme["changed"], of_other["changed"]) == (False, True)
    assert await markups() == [1, 0]
    with refused(Reason.IN_USE) as refusal:
        await delete(cli, chosen)
    assert refusal.metadata["customers"] == "1"
    async with changes(control, acme) as of_acme:
        assert (await delete(cli, chosen, force=True)).HasField("delete_time")
    assert of_acme["changed"]
    assert await markups() == [0, 0]
    assert (await choose(cli, acme, default.price_plan_id)).price_plan_id == default.price_plan_id
    assert (await choose(cli, acme, "")).price_plan_id == ""


async def test_a_record_costs_its_price_and_markup(control: RunningControl) -> None:
    """L16: control recomputes with the markup pinned at begin, whatever the plan says when it is settled."""
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    await make_plan(cli, granted_to_all=True, model_markups=[ModelMarkup(pattern="unit-*", markup_ppm=1)])
    spender = Spender(edge, (await make_key(cli, "acme", limit_nanousd=10_000)).raw_key)
    grant = await authorize(edge, spender._raw_key)
    assert [(each.pattern, each.markup_ppm) for each in grant.model_markups] == [("unit-*", 1)]
    price = await unit_price(cli)
    await spender.acquire(5000)
    marked_up = await spender.record(
        price, usage=edge_pb2.Usage(input_tokens=1001), cost_nanousd=1202, markup_ppm=200_000
    )
    plain = await spender.record(price, 1001)
    # The edge's own figure is wrong: ours is booked, and the difference is counted.
    wrong = await spender.record(
        price, usage=edge_pb2.Usage(input_tokens=1000), cost_nanousd=1000, markup_ppm=200_000
    )
    assert await spender.settle(marked_up, plain, wrong) == [edge_pb2.POSTED] * 3
    costs = []
    for record in (marked_up, plain, wrong):
        named = GetUsageRequest(customer_id="acme", usage_id=record.usage_id)
        costs.append((await cli.usage.GetUsage(named)).cost_nanousd)
    # ceil(1001 × 1.2), once.
    assert costs == [1202, 1001, 1200]
    mismatches = [
        replica.metrics.registry.get_sample_value("tollkeeper_control_cost_mismatch_total")
        for replica in control.replicas
    ]
    assert sum(value or 0 for value in mismatches) == 1
    assert (await verify(control.database)).violations == []


@pytest.mark.parametrize("markup_ppm", [MIN_MARKUP_PPM - 1, MAX_MARKUP_PPM + 1, 2**63 - 1, -(2**63)])
async def test_a_record_with_a_markup_out_of_range_is_rejected(
    control: RunningControl, markup_ppm: int
) -> None:
    """L17: it is kept for a person, and books nothing."""
    cli = await control.cli()
    await control.customer("acme")
    spender = Spender(await control.edge(), (await make_key(cli, "acme")).raw_key)
    record = await spender.record(await unit_price(cli), 5, markup_ppm=markup_ppm)
    assert await spender.settle(record) == [edge_pb2.REJECTED]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"markup_ppm": MIN_MARKUP_PPM - 1},
        {"markup_ppm": MAX_MARKUP_PPM + 1},
        {"markup_ppm": 2**63 - 1},
        {"model_markups": [ModelMarkup(markup_ppm=1)]},
        {"model_markups": [ModelMarkup(pattern=" gpt")]},
        {"model_markups": [ModelMarkup(pattern="x" * 201)]},
        {"model_markups": [ModelMarkup(pattern="gpt-*", markup_ppm=MAX_MARKUP_PPM + 1)]},
        {"model_markups": [ModelMarkup(pattern="gpt-*")] * 2},
        {"model_markups": [ModelMarkup(pattern=f"m{n}") for n in range(MAX_MODEL_MARKUPS + 1)]},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_unusable_plans_are_refused(control: RunningControl, fields: dict[str, Any]) -> None:
    """Field by field, when made and when changed."""
    cli = await control.cli()
    plan = await make_plan(cli)
    with refused(Reason.INVALID_ARGUMENT):
        await make_plan(cli, **{"name": "other", **fields})
    with refused(Reason.INVALID_ARGUMENT):
        await change(cli, plan, **fields)
    assert list((await cli.price_plans.ListPricePlans(ListPricePlansRequest())).price_plans) == [plan]


async def test_names_and_grants_to_all_are_unique(control: RunningControl) -> None:
    """Two plans of one name can't be told apart, and nobody can have two; an ended plan's name is free."""
    cli = await control.cli()
    first = await make_plan(cli, granted_to_all=True)
    second = await make_plan(cli, "second")
    with refused(Reason.ALREADY_EXISTS):
        await make_plan(cli)
    with refused(Reason.ALREADY_EXISTS):
        await make_plan(cli, "third", granted_to_all=True)
    with refused(Reason.ALREADY_EXISTS):
        await change(cli, second, name="resale")
    with refused(Reason.ALREADY_EXISTS):
        await change(cli, second, granted_to_all=True)
    with refused(Reason.ETAG_MISMATCH):
        await cli.price_plans.DeletePricePlan(
            DeletePricePlanRequest(price_plan_id=first.price_plan_id, etag='"9"')
        )
    await delete(cli, first)
    with refused(Reason.NOT_FOUND):
        await delete(cli, first)
    await change(cli, second, name="resale", granted_to_all=True)


async def test_customers_see_their_own_plan_only(control: RunningControl) -> None:
    """Operators own plans and choose them; others read theirs, and no other is there for them."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    owner = (await control.person(acme, Role.OWNER)).client
    default = await make_plan(cli, "default", granted_to_all=True)
    other = await make_plan(cli, "other")
    assert list((await owner.price_plans.ListPricePlans(ListPricePlansRequest())).price_plans) == [default]
    named = GetPricePlanRequest(price_plan_id=default.price_plan_id)
    assert await owner.price_plans.GetPricePlan(named) == default
    for price_plan_id in (other.price_plan_id, str(uuid7()), "nonsense"):
        with refused(Reason.NOT_FOUND):
            await owner.price_plans.GetPricePlan(GetPricePlanRequest(price_plan_id=price_plan_id))
    for call in (make_plan(owner, "mine"), change(owner, other, markup_ppm=0), delete(owner, other)):
        with refused(Reason.PERMISSION_DENIED):
            await call
    with refused(Reason.PERMISSION_DENIED):
        await choose(owner, acme, other.price_plan_id)
    for price_plan_id in (str(uuid7()), "nonsense"):
        with refused(Reason.NOT_FOUND):
            await choose(cli, acme, price_plan_id)
    made = CreateCustomerRequest(customer=Customer(name="New", price_plan_id=other.price_plan_id))
    assert (await cli.customers.CreateCustomer(made)).price_plan_id == other.price_plan_id
