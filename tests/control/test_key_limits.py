"""Limits of keys and customers: stored, checked by field, served with the grant; defaults of new keys."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from control.domain.identity import Role
from control.domain.key_limits import RATES
from tests.control.gateway import authorize, make_key, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.v1.budgets_pb2 import PERIOD_DAILY, InitialBudget
from tollkeeper.v1.customers_pb2 import (
    CreateCustomerRequest,
    Customer,
    GetCustomerRequest,
    UpdateCustomerRequest,
)
from tollkeeper.v1.keys_pb2 import (
    CreateKeyRequest,
    Key,
    KeyDefaults,
    ListKeysRequest,
    ModelLimit,
    UpdateKeyRequest,
)
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team
from tollkeeper.v1.users_pb2 import UpdateUserRequest, User

LIMITS: dict[str, Any] = {
    "requests_per_minute": 60,
    "tokens_per_minute": 100_000,
    "max_concurrent_requests": 4,
    "model_limits": [
        ModelLimit(model="gpt-4o*", requests_per_minute=5, tokens_per_minute=9, max_cost_nanousd=3),
        ModelLimit(model="o3", max_cost_nanousd=1),
    ],
    "max_cost_nanousd": 50_000_000,
    "allowed_ips": ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"],
}


async def test_limits_are_kept_shown_and_granted(control: RunningControl) -> None:
    """On creation and on update; a mask without values takes them away."""
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    made = await make_key(
        cli, "acme", **{**LIMITS, "allowed_ips": ["10.0.0.0/8", "192.0.2.7", "2001:DB8::/32"]}
    )
    expected = Key(**LIMITS)
    grant = await authorize(edge, made.raw_key)
    for field in LIMITS:
        assert getattr(made.key, field) == getattr(expected, field)
        if field not in RATES:
            assert getattr(grant, field) == getattr(expected, field)
    own, of_model = grant.rate_limits
    assert [getattr(own, field) for field in ("scope", *RATES)] == ["key", 60, 100_000, 4]
    assert [getattr(of_model, field) for field in ("model", *RATES)] == ["gpt-4o*", 5, 9, 0]
    assert own.scope_id == of_model.scope_id == made.key.key_id
    bare = Key(key_id=made.key.key_id)
    cleared = await cli.keys.UpdateKey(UpdateKeyRequest(key=bare, update_mask=FieldMask(paths=list(LIMITS))))
    for field in LIMITS:
        assert getattr(cleared, field) == getattr(Key(), field)
    again = await cli.keys.UpdateKey(UpdateKeyRequest(key=Key(key_id=made.key.key_id, **LIMITS)))
    assert again.model_limits == expected.model_limits


UNUSABLE: list[tuple[str, Any]] = [
    ("requests_per_minute", -1),
    ("requests_per_minute", 2**62),
    ("tokens_per_minute", -1),
    ("tokens_per_minute", 2**63 - 1),
    ("max_cost_nanousd", -1),
    ("max_cost_nanousd", 2**62),
    ("model_limits", [ModelLimit(requests_per_minute=1)]),
    ("model_limits", [ModelLimit(model="gpt-4o")]),
    ("model_limits", [ModelLimit(model="a", requests_per_minute=-1)]),
    ("model_limits", [ModelLimit(model="a", max_cost_nanousd=1)] * 2),
    ("model_limits", [ModelLimit(model=f"m{n}", max_cost_nanousd=1) for n in range(101)]),
    ("allowed_ips", ["localhost"]),
    ("allowed_ips", [""]),
    ("allowed_ips", ["10.0.0.1/8"]),
    ("allowed_ips", ["10.0.0.0/33"]),
    ("allowed_ips", ["::ffff:10.0.0.0/104"]),
    ("allowed_ips", ["x" * 1000]),
    ("allowed_ips", [f"10.0.0.{n}" for n in range(101)]),
]


async def test_unusable_limits_name_their_field(control: RunningControl) -> None:
    """Of keys, customers and defaults alike; nothing is made."""
    cli = await control.cli()
    await control.customer("acme")
    for field, value in UNUSABLE:
        with refused(Reason.INVALID_ARGUMENT) as refusal:
            await make_key(cli, "acme", **{field: value})
        assert refusal.metadata["field"].partition(".")[0] in (field, "model")
        if field == "allowed_ips":
            continue
        with refused(Reason.INVALID_ARGUMENT):
            defaults = KeyDefaults(**{field: value})
            customer = Customer(customer_id="acme", key_defaults=defaults)
            await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer))
    for field, value in (("requests_per_minute", -1), ("tokens_per_minute", 2**62), ("allowed_models", [""])):
        with refused(Reason.INVALID_ARGUMENT) as refusal:
            customer = Customer(customer_id="acme", **{field: value})
            await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer))
    assert not (await cli.keys.ListKeys(ListKeysRequest(customer_id="acme"))).keys


async def test_limits_of_a_customer_are_granted_to_all_its_keys(control: RunningControl) -> None:
    """They stand beside the key's own, and only operators set them."""
    cli, edge = await control.cli(), await control.edge()
    acme = (await control.customer("acme")).customer_id
    made = await make_key(cli, "acme", allowed_models=["o3"])
    limits = {
        "allowed_models": ["gpt-*"],
        "requests_per_minute": 7,
        "tokens_per_minute": 8,
        "max_concurrent_requests": 9,
    }
    customer = Customer(customer_id=acme, **limits)
    owner = await control.person(acme, Role.OWNER)
    for field in limits:
        mask = FieldMask(paths=[field])
        with refused(Reason.PERMISSION_DENIED):
            await owner.client.customers.UpdateCustomer(
                UpdateCustomerRequest(customer=customer, update_mask=mask)
            )
    updated = await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer))
    assert list(updated.allowed_models) == ["gpt-*"]
    grant = await authorize(edge, made.raw_key)
    assert (list(grant.allowed_models), list(grant.customer_allowed_models)) == (["o3"], ["gpt-*"])
    (limit,) = grant.rate_limits
    assert [getattr(limit, field) for field in ("scope", "scope_id", *RATES)] == ["customer", acme, 7, 8, 9]


async def test_new_keys_take_the_customer_s_defaults(control: RunningControl) -> None:
    """Where their maker says nothing; keys that are there don't change."""
    cli = await control.cli()
    before = (await control.customer("acme")).customer_id
    old = await make_key(cli, before)
    defaults = KeyDefaults(
        allowed_models=["gpt-*"],
        requests_per_minute=60,
        model_limits=[ModelLimit(model="gpt-4o", max_cost_nanousd=5)],
        max_cost_nanousd=9,
        clamp_output=True,
        budget=InitialBudget(limit_nanousd=11, period=PERIOD_DAILY),
    )
    owner = await control.person(before, Role.OWNER)
    request = UpdateCustomerRequest(customer=Customer(key_defaults=defaults))
    assert (await owner.client.customers.UpdateCustomer(request)).key_defaults == defaults

    plain = (await cli.keys.CreateKey(CreateKeyRequest(key=Key(customer_id="acme", name="plain")))).key
    assert (list(plain.allowed_models), plain.requests_per_minute, plain.max_cost_nanousd) == (
        ["gpt-*"],
        60,
        9,
    )
    assert (plain.clamp_output, plain.model_limits) == (True, defaults.model_limits)
    assert [(each.limit_nanousd, each.period) for each in plain.budgets] == [(11, PERIOD_DAILY)]
    assert plain.spend_reset_time == plain.budgets[0].window.end_time
    own = Key(customer_id="acme", name="own", allowed_models=["o3"], requests_per_minute=1)
    asked = (await cli.keys.CreateKey(CreateKeyRequest(key=own, budget=InitialBudget()))).key
    assert (list(asked.allowed_models), asked.requests_per_minute, len(asked.budgets)) == (["o3"], 1, 0)
    assert asked.max_cost_nanousd == 9
    shown = (await cli.keys.ListKeys(ListKeysRequest(customer_id="acme"))).keys[0]
    assert shown == old.key

    mask = FieldMask(paths=["key_defaults"])
    none = UpdateCustomerRequest(customer=Customer(customer_id="acme"), update_mask=mask)
    assert not (await cli.customers.UpdateCustomer(none)).HasField("key_defaults")


async def test_a_customer_is_made_with_limits(control: RunningControl) -> None:
    """CreateCustomer takes what UpdateCustomer takes."""
    cli = await control.cli()
    customer = Customer(
        name="Acme",
        slug="acme",
        allowed_models=["gpt-*"],
        tokens_per_minute=5,
        key_defaults=KeyDefaults(requests_per_minute=3),
    )
    made = await cli.customers.CreateCustomer(CreateCustomerRequest(customer=customer))
    assert (list(made.allowed_models), made.tokens_per_minute) == (["gpt-*"], 5)
    assert made.key_defaults.requests_per_minute == 3
    assert await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme")) == made


async def test_b5_a_user_s_keys_and_their_teams(control: RunningControl) -> None:
    """The lists that the REST surface of system B has: a user's own, or with those of the user's teams."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    member, colleague = await control.person(acme, Role.MEMBER), await control.person(acme, Role.MEMBER)
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id=acme, name="Search")))
    await cli.users.UpdateUser(
        UpdateUserRequest(user=User(customer_id=acme, user_id=member.user_id, team_ids=[team.team_id]))
    )
    own = (await make_key(cli, acme, user_id=member.user_id)).key
    shared = (await make_key(cli, acme, team_id=team.team_id)).key
    foreign = (await make_key(cli, acme, user_id=colleague.user_id)).key

    async def listed(client: Any, user_id: str, include_team_keys: bool) -> list[Key]:
        request = ListKeysRequest(customer_id=acme, user_id=user_id, include_team_keys=include_team_keys)
        return list((await client.keys.ListKeys(request)).keys)

    manager = await control.person(acme, Role.MANAGER)
    for client in (manager.client, member.client):
        assert await listed(client, member.user_id, False) == [own]
        assert await listed(client, member.user_id, True) == [own, shared]
    assert await listed(manager.client, colleague.user_id, True) == [foreign]
    assert await listed(member.client, colleague.user_id, True) == []
    assert await listed(manager.client, manager.user_id, True) == []


@pytest.mark.parametrize("field", ["requests_per_minute", "tokens_per_minute", "max_cost_nanousd"])
async def test_the_largest_limit_is_kept(control: RunningControl, field: str) -> None:
    """No limit of the database is below the contract's."""
    cli = await control.cli()
    await control.customer("acme")
    largest = 10**12
    assert getattr((await make_key(cli, "acme", **{field: largest})).key, field) == largest
