"""What the platform owns and grants: customers use it, and neither change it nor see into it."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToJson

from clients.control import ControlClient
from control.domain.identity import Role
from tests.control.gateway import authorize, changes, make_key, make_provider, make_router, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1 import providers_pb2
from tollkeeper.v1.audit_pb2 import ListAuditEntriesRequest
from tollkeeper.v1.customers_pb2 import Customer, UpdateCustomerRequest
from tollkeeper.v1.keys_pb2 import GetKeyRequest
from tollkeeper.v1.prices_pb2 import CreatePriceRequest, DeletePriceRequest, ListPricesRequest, Price, Rates
from tollkeeper.v1.providers_pb2 import (
    CreateProviderRequest,
    DeleteProviderRequest,
    GetProviderRequest,
    ListProvidersRequest,
    Provider,
    UpdateProviderRequest,
)
from tollkeeper.v1.routers_pb2 import (
    DeleteRouterRequest,
    GetRouterRequest,
    ListRoutersRequest,
    Router,
    UpdateRouterRequest,
)

PLATFORM = "platform"
SECRET = "sk-of-the-platform"


async def shared_provider(cli: ControlClient, **fields: Any) -> Provider:
    """A provider of the platform with settings that nobody else may see, granted to all unless told
    otherwise."""
    given = {"granted_to_all": True, "base_url": "https://llm.example.com/v1", "credential": SECRET, **fields}
    return await make_provider(cli, PLATFORM, fields.pop("name", "shared"), **given)


async def grant(cli: ControlClient, provider: Provider, force: bool = False, **fields: Any) -> Provider:
    """Changes to whom a provider is granted."""
    changed = Provider(customer_id=PLATFORM, provider_id=provider.provider_id, **fields)
    mask = FieldMask(paths=list(fields))
    return await cli.providers.UpdateProvider(
        UpdateProviderRequest(provider=changed, update_mask=mask, force=force)
    )


async def test_customers_see_names_and_never_settings(control: RunningControl) -> None:
    """A granted provider is in the customer's lists by name and type; credential, address and alias, and who
    else has it, are not, whoever asks for the customer."""
    cli = await control.cli()
    acme, other = await control.customer("acme"), await control.customer("other")
    provider = await shared_provider(cli, granted_to_all=False, granted_customer_ids=[acme.customer_id])
    assert (provider.platform, list(provider.granted_customer_ids)) == (True, [acme.customer_id])
    admin = await control.person(acme.customer_id, Role.ADMIN)
    for client, customer in ((admin.client, ""), (cli, "acme")):
        named = GetProviderRequest(customer_id=customer, provider_id=provider.provider_id)
        shown = await client.providers.GetProvider(named)
        [listed] = (
            await client.providers.ListProviders(ListProvidersRequest(customer_id=customer))
        ).providers
        assert shown == listed
        assert (shown.name, shown.provider_type, shown.platform) == ("shared", "openai", True)
        told = shown.base_url, shown.has_credential, list(shown.granted_customer_ids), shown.direct
        assert told == ("", False, [], False)
        assert SECRET not in MessageToJson(shown)
    stranger = await control.person(other.customer_id, Role.ADMIN)
    with refused(Reason.NOT_FOUND):
        await stranger.client.providers.GetProvider(GetProviderRequest(provider_id=provider.provider_id))
    assert not (await stranger.client.providers.ListProviders(ListProvidersRequest())).providers


async def test_customers_change_nothing_of_the_platforms(control: RunningControl) -> None:
    """Update, delete and test are refused with a word about whose it is; own prices for it too."""
    cli = await control.cli()
    acme = await control.customer("acme")
    provider = await shared_provider(cli)
    router = await make_router(cli, PLATFORM, provider.provider_id, name="house")
    mask = FieldMask(paths=["granted_to_all"])
    changed = Router(customer_id=PLATFORM, router_id=router.router_id, granted_to_all=True)
    await cli.routers.UpdateRouter(UpdateRouterRequest(router=changed, update_mask=mask))
    admin = (await control.person(acme.customer_id, Role.OWNER)).client
    mine = Provider(provider_id=provider.provider_id, disabled=True)
    with refused(Reason.PERMISSION_DENIED):
        await admin.providers.UpdateProvider(UpdateProviderRequest(provider=mine))
    with refused(Reason.PERMISSION_DENIED):
        await admin.providers.DeleteProvider(DeleteProviderRequest(provider_id=provider.provider_id))
    with refused(Reason.PERMISSION_DENIED):
        await admin.providers.TestProvider(
            providers_pb2.TestProviderRequest(provider_id=provider.provider_id)
        )
    with refused(Reason.PERMISSION_DENIED):
        await admin.routers.UpdateRouter(
            UpdateRouterRequest(router=Router(router_id=router.router_id, name="mine"))
        )
    with refused(Reason.PERMISSION_DENIED):
        await admin.routers.DeleteRouter(DeleteRouterRequest(router_id=router.router_id, force=True))
    own = Price(
        customer_id="acme", provider_id=provider.provider_id, model="m", rates=Rates(input=1, output=1)
    )
    with refused(Reason.NOT_FOUND):
        await admin.prices.CreatePrice(CreatePriceRequest(price=own))
    with refused(Reason.NOT_FOUND):
        await make_provider(admin, PLATFORM, "theirs")


async def test_only_what_the_platform_owns_is_granted(control: RunningControl) -> None:
    """By field; and only to customers that exist."""
    cli = await control.cli()
    acme = await control.customer("acme")
    for fields in ({"granted_to_all": True}, {"granted_customer_ids": [acme.customer_id]}):
        with refused(Reason.INVALID_ARGUMENT) as refusal:
            await make_provider(cli, "acme", **fields)
        assert refusal.metadata["field"] in fields
        with refused(Reason.INVALID_ARGUMENT):
            await cli.routers.UpdateRouter(
                UpdateRouterRequest(
                    router=Router(
                        customer_id="acme",
                        router_id=(await make_router(cli, "acme", name=str(fields))).router_id,
                        **fields,
                    )
                )
            )
    for nobody in (str(uuid7()), "acme", ""):
        with refused(Reason.NOT_FOUND):
            await shared_provider(cli, granted_to_all=False, granted_customer_ids=[nobody])


async def test_a_customers_router_over_a_provider_of_the_platform(control: RunningControl) -> None:
    """The grant holds the credential and the platform's own prices of the provider; a change is told to all
    who use it, and to nobody else."""
    cli, edge = await control.cli(), await control.edge()
    acme, other = await control.customer("acme"), await control.customer("other")
    provider = await shared_provider(cli)
    own = Price(customer_id=PLATFORM, provider_id=provider.provider_id, model="house-model")
    own.rates.CopyFrom(Rates(input=3, output=4))
    router = await make_router(cli, "acme", provider.provider_id)
    key = await make_key(cli, "acme", router_id=router.router_id)
    async with changes(control, acme.customer_id) as priced, changes(control, other.customer_id) as untold:
        price = await cli.prices.CreatePrice(CreatePriceRequest(price=own))
    assert priced["changed"]
    assert not untold["changed"]
    served = await authorize(edge, key.raw_key)
    [rule] = served.rules
    assert (rule.provider_name, rule.credential, rule.base_url) == (
        "shared",
        SECRET,
        "https://llm.example.com/v1",
    )
    assert [(each.price_id, each.rates.output) for each in served.own_prices] == [(price.price_id, 4)]
    everywhere = await cli.prices.ListPrices(ListPricesRequest())
    assert price.price_id not in [each.price_id for each in everywhere.prices]
    listed = await cli.prices.ListPrices(ListPricesRequest(customer_id=PLATFORM))
    assert [each.price_id for each in listed.prices] == [price.price_id]

    async with changes(control, acme.customer_id) as told:
        await grant(cli, provider, disabled=True)
    assert told == {"changed": True, "urgent": True}
    assert not (await authorize(edge, key.raw_key)).rules[0].provider_enabled
    async with changes(control, acme.customer_id) as ended:
        await cli.prices.DeletePrice(DeletePriceRequest(price_id=price.price_id))
    assert ended["changed"]
    assert not (await authorize(edge, key.raw_key)).own_prices


async def test_withdrawing_a_provider_in_use(control: RunningControl) -> None:
    """IN_USE counts the rules of those who would lose it; forced, theirs go at once and nobody else's."""
    cli, edge = await control.cli(), await control.edge()
    acme, other = await control.customer("acme"), await control.customer("other")
    provider = await shared_provider(cli)
    keys = {}
    for slug in ("acme", "other"):
        router = await make_router(cli, slug, provider.provider_id, provider.provider_id)
        keys[slug] = (await make_key(cli, slug, router_id=router.router_id)).raw_key
    fields: dict[str, Any] = {"granted_to_all": False, "granted_customer_ids": [other.customer_id]}
    with refused(Reason.IN_USE) as refusal:
        await grant(cli, provider, **fields)
    assert refusal.metadata["routing_rules"] == "2"
    assert len((await authorize(edge, keys["acme"])).rules) == 2
    async with changes(control, acme.customer_id) as told:
        await grant(cli, provider, force=True, **fields)
    assert told["urgent"]
    assert not (await authorize(edge, keys["acme"])).rules
    assert len((await authorize(edge, keys["other"])).rules) == 2
    with refused(Reason.NOT_FOUND):
        await make_router(cli, "acme", provider.provider_id, name="again")


async def test_a_router_of_the_platform(control: RunningControl) -> None:
    """Keys and defaults may name it without a grant of its providers; withdrawn by force, its keys stay and
    are served again once they have another router."""
    cli, edge = await control.cli(), await control.edge()
    acme = await control.customer("acme")
    provider = await shared_provider(cli, granted_to_all=False)
    router = await make_router(cli, PLATFORM, provider.provider_id, name="house")
    with refused(Reason.NOT_FOUND):
        await make_key(cli, "acme", router_id=router.router_id)
    router.granted_customer_ids.append(acme.customer_id)
    mask = FieldMask(paths=["granted_customer_ids"])
    router = await cli.routers.UpdateRouter(UpdateRouterRequest(router=router, update_mask=mask))
    member = await control.person(acme.customer_id, Role.MEMBER)
    shown = await member.client.routers.GetRouter(GetRouterRequest(router_id=router.router_id))
    assert (shown.platform, len(shown.rules), list(shown.granted_customer_ids)) == (True, 1, [])
    assert [
        each.name for each in (await member.client.routers.ListRouters(ListRoutersRequest())).routers
    ] == ["house"]
    default = Customer(customer_id="acme", default_router_id=router.router_id)
    await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=default))
    key = await make_key(cli, "acme")
    assert (await authorize(edge, key.raw_key)).rules[0].credential == SECRET

    async with changes(control, acme.customer_id) as told:
        await grant(cli, provider, name="renamed")
    assert told["changed"]
    router.granted_customer_ids.pop()
    router.etag = ""
    request = UpdateRouterRequest(router=router, update_mask=mask)
    with refused(Reason.IN_USE) as refusal:
        await cli.routers.UpdateRouter(request)
    assert (refusal.metadata["keys"], refusal.metadata["default"]) == ("1", "true")
    request.force = True
    async with changes(control, acme.customer_id) as told:
        await cli.routers.UpdateRouter(request)
    assert told["urgent"]
    assert not (await authorize(edge, key.raw_key)).rules
    assert not (await cli.keys.GetKey(GetKeyRequest(key_id=key.key.key_id))).HasField("revoke_time")


async def test_deleting_what_customers_use(control: RunningControl) -> None:
    """Refused with all that is in the way; forced, the answer says how many rules, prices and keys went."""
    cli, edge = await control.cli(), await control.edge()
    acme = await control.customer("acme")
    provider = await shared_provider(cli)
    own = Price(
        customer_id=PLATFORM, provider_id=provider.provider_id, model="m", rates=Rates(input=1, output=1)
    )
    await cli.prices.CreatePrice(CreatePriceRequest(price=own))
    house = await make_router(cli, PLATFORM, provider.provider_id, name="house")
    house.granted_to_all = True
    mask = FieldMask(paths=["granted_to_all"])
    await cli.routers.UpdateRouter(UpdateRouterRequest(router=house, update_mask=mask))
    theirs = await make_router(cli, "acme", provider.provider_id)
    key = await make_key(cli, "acme", router_id=house.router_id)
    delete_router = DeleteRouterRequest(customer_id=PLATFORM, router_id=house.router_id)
    delete_provider = DeleteProviderRequest(customer_id=PLATFORM, provider_id=provider.provider_id)
    with refused(Reason.IN_USE):
        await cli.routers.DeleteRouter(delete_router)
    with refused(Reason.IN_USE) as refusal:
        await cli.providers.DeleteProvider(delete_provider)
    assert refusal.metadata["routing_rules"] == "2"
    delete_router.force = delete_provider.force = True
    gone = (await cli.routers.DeleteRouter(delete_router)).removed
    assert (gone.routing_rule_count, gone.key_count) == (1, 1)
    with refused(Reason.INVALID_API_KEY):
        await authorize(edge, key.raw_key)
    async with changes(control, acme.customer_id) as told:
        gone = (await cli.providers.DeleteProvider(delete_provider)).removed
    assert (gone.routing_rule_count, gone.price_count) == (1, 1)
    assert told["urgent"]
    left = await cli.routers.GetRouter(GetRouterRequest(customer_id="acme", router_id=theirs.router_id))
    assert not left.rules
    assert left.etag != theirs.etag
    admin = await control.person(acme.customer_id, Role.ADMIN)
    with refused(Reason.NOT_FOUND):
        await admin.client.providers.GetProvider(GetProviderRequest(provider_id=provider.provider_id))


async def test_granting_is_in_the_audit_log(control: RunningControl) -> None:
    """Before and after name the customers; the credential is nowhere."""
    cli = await control.cli()
    acme = await control.customer("acme")
    provider = await shared_provider(cli, granted_to_all=False)
    await grant(cli, provider, granted_customer_ids=[acme.customer_id])
    found = await cli.audit.ListAuditEntries(ListAuditEntriesRequest(resource_id=provider.provider_id))
    changed, created = found.audit_entries
    assert list(changed.changed_fields) == ["granted_customer_ids"]
    assert changed.after["granted_customer_ids"][0] == acme.customer_id
    assert SECRET not in MessageToJson(created) + MessageToJson(changed)


async def test_a_repeated_creation_for_the_platform(control: RunningControl) -> None:
    """A request id works there as everywhere; so does an equal name of a customer's own."""
    cli = await control.cli()
    await control.customer("acme")
    await shared_provider(cli)
    await make_provider(cli, "acme", "shared")
    sent = Provider(customer_id=PLATFORM, name="once", provider_type="openai", granted_to_all=True)
    request = CreateProviderRequest(provider=sent, request_id="r1")
    assert await cli.providers.CreateProvider(request) == await cli.providers.CreateProvider(request)
    listed = await cli.providers.ListProviders(ListProvidersRequest(customer_id="acme"))
    assert [each.name for each in listed.providers] == ["shared", "shared", "once"]
