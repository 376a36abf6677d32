"""ProvidersService over real gRPC and a real database."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from control.domain.identity import Role
from tests.control.gateway import changes, make_provider, make_router, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.prices_pb2 import CreatePriceRequest, Price, Rates
from tollkeeper.v1.providers_pb2 import (
    CreateProviderRequest,
    DeleteProviderRequest,
    GetProviderRequest,
    ListProvidersRequest,
    ListProviderTypesRequest,
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
    {"stored_key_alias": "has space", "credential": ""},
    {"name": "x" * 201},
    {"name": "a\nb"},
    {"base_url": "https://example.com/?a=1"},
    {"base_url": "https://user@example.com/"},
    {"stored_key_alias": "alias", "credential": "and a key"},
    {"direct": True, "credential": ""},
    {"direct": True, "stored_key_alias": "alias", "credential": ""},
    {"provider_type": "parallel", "direct": True},
    {"provider_type": "parallel", "base_url": "https://llm.example.com/v1"},
    {"provider_type": "elevenlabs"},
    {"provider_type": "azure-openai"},
    {"provider_type": "workers-ai", "direct": True},
    {"granted_to_all": True},
]


async def test_unusable_providers_are_refused(control: RunningControl) -> None:
    """Unknown types, missing or private addresses and values that would break a header are refused."""
    cli = await control.cli()
    await control.customer("acme")
    for fields in UNUSABLE:
        with refused(Reason.INVALID_ARGUMENT) as refusal:
            await make_provider(cli, "acme", **fields)
        assert "two" not in str(refusal.error)


async def test_names_are_unique_among_live_providers(control: RunningControl) -> None:
    """A taken name is refused on create and rename, or numbered where asked; deleting frees it."""
    cli = await control.cli()
    for slug in ("acme", "other"):
        await control.customer(slug)
        first = await make_provider(cli, slug, "main")
    with refused(Reason.ALREADY_EXISTS) as refusal:
        await make_provider(cli, "other", " main ")
    assert (refusal.metadata["resource"], refusal.metadata["field"]) == ("provider", "name")
    sent = Provider(customer_id="other", name="main", provider_type="openai")
    request = CreateProviderRequest(provider=sent, number_taken_name=True)
    numbered = [(await cli.providers.CreateProvider(request)).name for _ in range(2)]
    assert numbered == ["main 2", "main 3"]
    long = CreateProviderRequest(provider=sent, number_taken_name=True)
    long.provider.name = "x" * 200
    names = [(await cli.providers.CreateProvider(long)).name for _ in range(2)]
    assert names == ["x" * 200, "x" * 198 + " 2"]
    second = await make_provider(cli, "other", "second")
    second.name = "main"
    mask = FieldMask(paths=["name"])
    with refused(Reason.ALREADY_EXISTS):
        await cli.providers.UpdateProvider(UpdateProviderRequest(provider=second, update_mask=mask))
    await cli.providers.DeleteProvider(
        DeleteProviderRequest(customer_id="other", provider_id=first.provider_id)
    )
    assert (await make_provider(cli, "other", "main")).name == "main"


async def test_direct_is_said_and_follows_the_base_url(control: RunningControl) -> None:
    """With a base URL a provider is direct; without, as it was told; switching is checked as a whole."""
    cli = await control.cli()
    await control.customer("acme")
    provider = await make_provider(cli, "acme")
    assert not provider.direct

    async def change(**fields: Any) -> Provider:
        changed = Provider(customer_id="acme", provider_id=provider.provider_id, **fields)
        mask = FieldMask(paths=list(fields))
        return await cli.providers.UpdateProvider(UpdateProviderRequest(provider=changed, update_mask=mask))

    assert (await change(base_url="https://llm.example.com/v1")).direct
    assert not (await change(base_url="")).direct
    assert (await change(direct=True)).direct
    with refused(Reason.INVALID_ARGUMENT):
        await change(credential="")
    with refused(Reason.INVALID_ARGUMENT):
        await change(stored_key_alias="alias", credential="")
    assert not (await change(stored_key_alias="alias", credential="", direct=False)).has_credential


async def test_the_types_are_listed(control: RunningControl) -> None:
    """With what each can do, page by page, to everybody who is signed in."""
    customer = await control.customer("acme")
    member = await control.person(customer.customer_id, Role.MEMBER)
    request = ListProviderTypesRequest(page_size=7)
    types = {}
    while True:
        answer = await member.client.providers.ListProviderTypes(request)
        types |= {each.provider_type: each for each in answer.provider_types}
        request.page_token = answer.next_page_token
        if not request.page_token:
            break
    assert (types["openai"].direct_base_url, types["openai"].unified_billing) == (
        "https://api.openai.com/v1",
        True,
    )
    assert list(types["google"].aliases) == ["gemini", "google-ai-studio"]
    assert (types["parallel"].direct, types["parallel"].through_cloudflare) == (False, True)
    assert (types["custom"].needs_base_url, types["custom"].cloudflare_slug) == (True, "")
    assert not types["elevenlabs"].served


async def test_a_provider_shows_its_models(control: RunningControl) -> None:
    """Those with a price: global ones of its type, and its own."""
    cli = await control.cli()
    await control.customer("acme")
    provider = await make_provider(cli, "acme")
    for price in (
        Price(provider_type="openai", model="gpt-4o"),
        Price(provider_type="groq", model="llama"),
        Price(customer_id="acme", provider_id=provider.provider_id, model="own"),
    ):
        price.rates.CopyFrom(Rates(input=1, output=1))
        await cli.prices.CreatePrice(CreatePriceRequest(price=price))
    named = GetProviderRequest(customer_id="acme", provider_id=provider.provider_id)
    assert list((await cli.providers.GetProvider(named)).models) == ["gpt-4o", "own"]


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
    own = Price(customer_id="acme", provider_id=provider.provider_id, model="own")
    own.rates.CopyFrom(Rates(input=1, output=1))
    await cli.prices.CreatePrice(CreatePriceRequest(price=own))
    gone = (await cli.providers.DeleteProvider(request)).removed
    assert (gone.routing_rule_count, gone.price_count, gone.key_count) == (2, 1, 0)
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
