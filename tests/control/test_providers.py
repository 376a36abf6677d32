"""ProvidersService over real gRPC and a real database."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from control.domain.identity import Role
from tests.control.gateway import changes, make_provider, make_router, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.providers_pb2 import (
    CreateProviderRequest,
    DeleteProviderRequest,
    GetProviderRequest,
    ListProvidersRequest,
    Provider,
    UpdateProviderRequest,
)
from tollkeeper.v1.routers_pb2 import GetRouterRequest


async def test_life_of_a_provider(control: RunningControl) -> None:
    """Created, read, changed, deleted; each change is told to the edges."""
    cli = await control.cli()
    customer = await control.customer("acme")
    async with changes(control, customer.customer_id) as created:
        provider = await make_provider(cli, "acme", " Main ", provider_type="gemini")
    assert created == {"changed": True, "urgent": False}
    assert (provider.name, provider.provider_type, provider.has_credential) == ("Main", "google", True)
    named = GetProviderRequest(customer_id="acme", provider_id=provider.provider_id)
    assert await cli.providers.GetProvider(named) == provider

    provider.disabled = True
    mask = FieldMask(paths=["disabled"])
    async with changes(control, customer.customer_id) as updated:
        changed = await cli.providers.UpdateProvider(
            UpdateProviderRequest(provider=provider, update_mask=mask)
        )
    assert updated["changed"]
    assert changed.disabled
    assert changed.has_credential
    with refused(Reason.ETAG_MISMATCH):
        await cli.providers.UpdateProvider(UpdateProviderRequest(provider=provider, update_mask=mask))

    deleted = await cli.providers.DeleteProvider(
        DeleteProviderRequest(customer_id="acme", provider_id=provider.provider_id)
    )
    assert deleted.HasField("delete_time")
    assert not deleted.has_credential
    assert deleted.HasField("removed")
    deleted.ClearField("removed")
    assert not (await cli.providers.ListProviders(ListProvidersRequest(customer_id="acme"))).providers
    assert await cli.providers.GetProvider(named) == deleted
    with refused(Reason.NOT_FOUND):
        await cli.providers.UpdateProvider(UpdateProviderRequest(provider=provider, update_mask=mask))


async def test_credentials_go_in_and_never_come_out(control: RunningControl) -> None:
    """No answer carries a credential, and the row holds it sealed; an update can replace or remove it."""
    cli = await control.cli()
    await control.customer("acme")
    provider = await make_provider(cli, "acme", credential="sk-very-secret")
    assert provider.credential == ""
    async with control.database.read() as connection:
        found = await connection.exec_driver_sql(
            "SELECT to_jsonb(p)::text AS shown, sealed_credential FROM providers p"
        )
        row = found.mappings().one()
    assert "sk-very-secret" not in row["shown"]
    assert b"sk-very-secret" not in row["sealed_credential"]

    removed = await cli.providers.UpdateProvider(
        UpdateProviderRequest(
            provider=Provider(customer_id="acme", provider_id=provider.provider_id),
            update_mask=FieldMask(paths=["credential"]),
        )
    )
    assert not removed.has_credential


UNUSABLE: list[dict[str, Any]] = [
    {"provider_type": "acme"},
    {"name": " "},
    {"provider_type": "custom"},
    {"provider_type": "custom", "base_url": "https://169.254.169.254/"},
    {"base_url": "http://example.com"},
    {"credential": "two\nlines"},
    {"stored_key_alias": "has space"},
]


async def test_unusable_providers_are_refused(control: RunningControl) -> None:
    """Unknown types, missing or private addresses and values that would break a header are refused."""
    cli = await control.cli()
    await control.customer("acme")
    for fields in UNUSABLE:
        with refused(Reason.INVALID_ARGUMENT) as refusal:
            await make_provider(cli, "acme", **fields)
        assert "two" not in str(refusal.error)


async def test_a_provider_in_use_is_deleted_by_force_only(control: RunningControl) -> None:
    """The refusal counts the rules; force takes them with the provider."""
    cli = await control.cli()
    await control.customer("acme")
    provider = await make_provider(cli, "acme")
    router = await make_router(cli, "acme", provider.provider_id, provider.provider_id)
    request = DeleteProviderRequest(customer_id="acme", provider_id=provider.provider_id)
    with refused(Reason.IN_USE) as refusal:
        await cli.providers.DeleteProvider(request)
    assert refusal.metadata["routing_rules"] == "2"
    request.force = True
    await cli.providers.DeleteProvider(request)
    left = await cli.routers.GetRouter(GetRouterRequest(customer_id="acme", router_id=router.router_id))
    assert not left.rules


async def test_a_repeated_creation_makes_one_provider(control: RunningControl) -> None:
    """The same request id answers the same; with another request it is refused."""
    cli = await control.cli()
    await control.customer("acme")
    provider = Provider(customer_id="acme", name="p", provider_type="openai", credential="a")
    request = CreateProviderRequest(provider=provider, request_id="once")
    first = await cli.providers.CreateProvider(request)
    assert await cli.providers.CreateProvider(request) == first
    request.provider.name = "q"
    with refused(Reason.REQUEST_ID_REUSED):
        await cli.providers.CreateProvider(request)


async def test_others_neither_see_nor_change_providers(control: RunningControl) -> None:
    """Another customer's administrator gets the answer for what doesn't exist; a manager reads, and only
    that."""
    cli = await control.cli()
    acme, other = await control.customer("acme"), await control.customer("other")
    provider = await make_provider(cli, "acme")
    stranger = await control.person(other.customer_id, Role.ADMIN)
    for customer_id in ("", "acme", other.customer_id):
        with refused(Reason.NOT_FOUND):
            await stranger.client.providers.GetProvider(
                GetProviderRequest(customer_id=customer_id, provider_id=provider.provider_id)
            )
    manager = await control.person(acme.customer_id, Role.MANAGER)
    named = GetProviderRequest(provider_id=provider.provider_id)
    assert await manager.client.providers.GetProvider(named) == provider
    with refused(Reason.PERMISSION_DENIED):
        await make_provider(manager.client, "acme")
    with refused(Reason.NOT_FOUND):
        await cli.providers.GetProvider(GetProviderRequest(customer_id="acme", provider_id=str(uuid7())))
