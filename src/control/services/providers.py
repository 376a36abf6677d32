"""ProvidersService: vendor credentials. They go in, and come out only within grants."""

from collections.abc import Sequence
from typing import Any

from control.domain.providers import (
    check_alias,
    check_base_url,
    check_credential,
    check_passthrough,
    check_reach,
    credential_context,
    provider_type,
)
from control.domain.sealing import KeyRing
from control.probe import Probe, Target
from control.services.audit import record_change
from control.services.convert import (
    MAX_NAME_CHARS,
    check_etag,
    checked_name,
    etag,
    masked_fields,
    resource_id,
    timestamp,
)
from control.services.once import once
from control.services.paging import page_of
from control.services.resource_grants import (
    GRANT_FIELDS,
    check_granting,
    check_may_change,
    check_platform,
    is_platform,
    shown_grants,
    tell_edges,
)
from control.services.scope import scoped_customer
from control.store import customers, resource_grants
from control.store import providers as store
from control.store.database import Connection, Database
from control.store.resource_grants import Kind
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from tollkeeper.errors import Reason, TollkeeperError, invalid, not_found
from tollkeeper.ids import uuid7
from tollkeeper.provider_types import PROVIDER_TYPES, ProviderType, goes_direct
from tollkeeper.v1 import providers_pb2, providers_pb2_grpc

Provider = providers_pb2.Provider

_SETTINGS = (
    "name",
    "base_url",
    "credential",
    "stored_key_alias",
    "disabled",
    "direct",
    "passthrough_paths",
)
_REACH = frozenset({"base_url", "credential", "stored_key_alias", "direct"})


class ProvidersService(providers_pb2_grpc.ProvidersServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(
        self, database: Database, key_ring: KeyRing, probe: Probe, allow_private_base_urls: bool
    ) -> None:
        self._database = database
        self._key_ring = key_ring
        self._probe = probe
        self._allow_private = allow_private_base_urls

    async def CreateProvider(
        self, request: providers_pb2.CreateProviderRequest, context: object
    ) -> providers_pb2.Provider:
        """A new provider; its credential is sealed before it is stored."""

        async def work(connection: Connection) -> Provider:
            customer_id = await scoped_customer(connection, request.provider.customer_id)
            return await once(
                connection,
                customer_id,
                request,
                Provider,
                lambda: self._create(connection, customer_id, request),
            )

        return await self._database.write_again(work)

    async def GetProvider(
        self, request: providers_pb2.GetProviderRequest, context: object
    ) -> providers_pb2.Provider:
        """A provider without its credential, the customer's own also when deleted."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            provider_id = resource_id("provider", request.provider_id)
            row = await store.load_provider(connection, customer_id, provider_id)
            message = await _shown(connection, customer_id, row)
            message.models.extend(await store.models_of(connection, row))
            return message

    async def ListProviders(
        self, request: providers_pb2.ListProvidersRequest, context: object
    ) -> providers_pb2.ListProvidersResponse:
        """Live providers, the platform's that are granted too, oldest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            rows = await store.list_providers(connection, customer_id, page.after, page.size + 1)
            shown = rows[: page.size]
            messages = await _all_shown(connection, customer_id, shown)
        return providers_pb2.ListProvidersResponse(
            providers=messages,
            next_page_token=page.next_token(rows, shown[-1]["provider_id"]) if shown else "",
        )

    async def UpdateProvider(
        self, request: providers_pb2.UpdateProviderRequest, context: object
    ) -> providers_pb2.Provider:
        """Changes the masked fields."""
        sent = request.provider
        fields = masked_fields(request.update_mask, sent, (*_SETTINGS, *GRANT_FIELDS))

        async def work(connection: Connection) -> Provider:
            customer_id = await scoped_customer(connection, sent.customer_id)
            row, users = await _lock(connection, customer_id, sent.provider_id)
            check_granting(customer_id, sent, fields)
            check_etag(sent.etag, row["revision"])
            before = await _shown(connection, customer_id, row)
            changed = await self._change(connection, row, sent, fields)
            withdrawn = await _withdraw(connection, changed, fields, users, request.force)
            message = await _shown(connection, customer_id, changed)
            await record_change(connection, customer_id, before, message, fields & {"credential"})
            switched_off = changed["disabled"] and not row["disabled"]
            await tell_edges(connection, customer_id, users, urgent=withdrawn or switched_off)
            return message

        return await self._database.write_again(work)

    async def DeleteProvider(
        self, request: providers_pb2.DeleteProviderRequest, context: object
    ) -> providers_pb2.Provider:
        """Ends a provider, with the routing rules that name it when forced, and its own prices."""

        async def work(connection: Connection) -> Provider:
            customer_id = await scoped_customer(connection, request.customer_id)
            row, users = await _lock(connection, customer_id, request.provider_id)
            check_platform(customer_id)
            check_etag(request.etag, row["revision"])
            before = await _shown(connection, customer_id, row)
            within = None if is_platform(customer_id) else [customer_id]
            rule_count = await store.count_rules(connection, row["provider_id"], within)
            if rule_count and not request.force:
                raise _in_use(
                    row, f"{rule_count} routing rules name the provider", rule_count, "deletes them"
                )
            now = await transaction_time(connection)
            ended, taken = await store.delete_provider(connection, row, now)
            message = await _shown(connection, customer_id, ended)
            message.removed.routing_rule_count = taken.rule_count
            message.removed.price_count = taken.price_count
            await record_change(connection, customer_id, before, message)
            await tell_edges(connection, customer_id, users, urgent=bool(users))
            return message

        return await self._database.write_again(work)

    async def TestProvider(
        self, request: providers_pb2.TestProviderRequest, context: object
    ) -> providers_pb2.TestProviderResponse:
        """Calls the vendor as a request would. No transaction is open meanwhile."""
        if request.WhichOneof("subject") is None:
            raise invalid("Name a saved provider or give settings.", field="provider_id")
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            gateway_id = await customers.gateway_id(connection, customer_id)
            if request.HasField("provider_id"):
                provider_id = resource_id("provider", request.provider_id)
                row = await store.load_provider(connection, customer_id, provider_id)
                if row["delete_time"] is not None:
                    raise not_found("provider", provider_id)
                check_may_change("provider", row, customer_id)
        saved = request.HasField("provider_id")
        target = self._saved_target(row) if saved else self._unsaved_target(request.provider)
        return await self._probe.run(target, gateway_id, request.model)

    async def ListProviderTypes(
        self, request: providers_pb2.ListProviderTypesRequest, context: object
    ) -> providers_pb2.ListProviderTypesResponse:
        """The table of types, by name."""
        page = page_of(request)
        types = sorted(PROVIDER_TYPES.values(), key=lambda each: each.name)
        left = [each for each in types if page.after is None or each.name > page.after][: page.size + 1]
        shown = left[: page.size]
        return providers_pb2.ListProviderTypesResponse(
            provider_types=[_type_message(each) for each in shown],
            next_page_token=page.next_token(left, shown[-1].name) if shown else "",
        )

    async def _create(
        self, connection: Connection, customer_id: str, request: providers_pb2.CreateProviderRequest
    ) -> Provider:
        sent = request.provider
        await lock_customer(connection, customer_id)
        check_granting(customer_id, sent)
        type_name = provider_type(sent.provider_type)
        provider_id = str(uuid7())
        values: dict[str, Any] = {"provider_type": type_name, "granted_to_all": sent.granted_to_all}
        for field in _SETTINGS:
            values |= self._columns(sent, field, type_name, provider_id)
        _check_reach(values)
        if request.number_taken_name:
            values["name"] = await store.free_provider_name(
                connection, customer_id, values["name"], MAX_NAME_CHARS
            )
        row = await store.insert_provider(connection, customer_id, provider_id, values)
        if sent.granted_customer_ids:
            await _grant(connection, provider_id, sent.granted_customer_ids)
        message = await _shown(connection, customer_id, row)
        secrets = ("credential",) if sent.credential else ()
        await record_change(connection, customer_id, None, message, secrets)
        await tell_edges(connection, customer_id, ())
        return message

    async def _change(self, connection: Connection, row: Row, sent: Provider, fields: frozenset[str]) -> Row:
        values: dict[str, Any] = {}
        for field in sorted(fields.intersection(_SETTINGS)):
            values |= self._columns(sent, field, row["provider_type"], row["provider_id"])
        if fields & _REACH:
            _check_reach({**row, **values})
        if "granted_to_all" in fields:
            values["granted_to_all"] = sent.granted_to_all
        if "granted_customer_ids" in fields and is_platform(row["customer_id"]):
            await _grant(connection, row["provider_id"], sent.granted_customer_ids)
        return await store.update_provider(connection, row, values)

    def _columns(self, sent: Provider, field: str, type_name: str, provider_id: str) -> dict[str, Any]:
        """What one field of the message writes to the row."""
        match field:
            case "name":
                return {"name": checked_name(sent.name)}
            case "base_url":
                return {"base_url": check_base_url(sent.base_url, type_name, self._allow_private)}
            case "credential":
                credential = check_credential(sent.credential)
                context = credential_context(provider_id)
                return {"sealed_credential": self._key_ring.seal(credential, context) if credential else None}
            case "stored_key_alias":
                return {"stored_key_alias": check_alias(sent.stored_key_alias)}
            case "passthrough_paths":
                return {"passthrough_paths": check_passthrough(sent.passthrough_paths)}
            case _:
                return {field: getattr(sent, field)}

    def _saved_target(self, row: Row) -> Target:
        sealed: bytes | None = row["sealed_credential"]
        context = credential_context(row["provider_id"])
        return Target(
            provider_type=row["provider_type"],
            base_url=row["base_url"],
            direct=row["direct"],
            credential="" if sealed is None else self._key_ring.open(sealed, context),
            stored_key_alias=row["stored_key_alias"],
        )

    def _unsaved_target(self, sent: Provider) -> Target:
        type_name = provider_type(sent.provider_type)
        target = Target(
            provider_type=type_name,
            base_url=check_base_url(sent.base_url, type_name, self._allow_private),
            direct=sent.direct,
            credential=check_credential(sent.credential),
            stored_key_alias=check_alias(sent.stored_key_alias),
        )
        check_reach(
            type_name, target.base_url, target.direct, bool(target.credential), target.stored_key_alias
        )
        return target


def _type_message(known: ProviderType) -> providers_pb2.ProviderType:
    return providers_pb2.ProviderType(
        provider_type=known.name,
        aliases=known.aliases,
        cloudflare_slug=known.slug,
        served=known.served,
        through_cloudflare=known.through_gateway,
        direct=known.direct,
        direct_base_url=known.direct_url,
        needs_base_url=known.needs_base_url,
        unified_billing=known.unified_billing,
    )


def _check_reach(values: Row) -> None:
    check_reach(
        values["provider_type"],
        values["base_url"],
        values["direct"],
        values["sealed_credential"] is not None,
        values["stored_key_alias"],
    )


async def _lock(connection: Connection, customer_id: str, provider: str) -> tuple[Row, Sequence[str]]:
    """A live provider, ready to be changed by this customer, and the others whose grants hold it."""
    await lock_customer(connection, customer_id)
    provider_id = resource_id("provider", provider)
    row = await store.load_provider(connection, customer_id, provider_id)
    check_may_change("provider", row, customer_id)
    if row["delete_time"] is not None:
        raise not_found("provider", provider_id)
    users = await store.lock_users(connection, provider_id) if is_platform(customer_id) else ()
    return row, users


async def _grant(connection: Connection, provider_id: str, customer_ids: Sequence[str]) -> None:
    await resource_grants.set_granted_customers(connection, Kind.PROVIDER, provider_id, customer_ids)


async def _withdraw(
    connection: Connection, row: Row, fields: frozenset[str], users: Sequence[str], force: bool
) -> bool:
    """Whether customers that use the provider lose it; their rules go, when that is forced. Raises IN_USE."""
    if not is_platform(row["customer_id"]) or not fields.intersection(GRANT_FIELDS):
        return False
    provider_id = row["provider_id"]
    losers = await resource_grants.without_grant(connection, Kind.PROVIDER, provider_id, users)
    rule_count = await store.count_rules(connection, provider_id, losers)
    if rule_count and not force:
        what = f"{rule_count} routing rules of customers that would lose the provider name it"
        raise _in_use(row, what, rule_count, "deletes them")
    await store.delete_rules(connection, provider_id, losers)
    return rule_count > 0


def _in_use(row: Row, what: str, rule_count: int, effect: str) -> TollkeeperError:
    metadata = {"resource": "provider", "resource_id": row["provider_id"], "routing_rules": str(rule_count)}
    return TollkeeperError(Reason.IN_USE, f"{what}; force {effect} with it.", metadata)


async def _shown(connection: Connection, customer_id: str, row: Row) -> Provider:
    return (await _all_shown(connection, customer_id, [row]))[0]


async def _all_shown(connection: Connection, customer_id: str, rows: Sequence[Row]) -> list[Provider]:
    """Providers as the customer may see them: of the platform's, name and type only."""
    platform = [row["provider_id"] for row in rows if is_platform(row["customer_id"])]
    granted = await resource_grants.granted_customers(connection, Kind.PROVIDER, platform)
    return [_message(row, customer_id, granted.get(row["provider_id"], ())) for row in rows]


def _message(row: Row, customer_id: str, granted: Sequence[str]) -> Provider:
    message = Provider(
        provider_id=row["provider_id"],
        customer_id=row["customer_id"],
        name=row["name"],
        provider_type=row["provider_type"],
        disabled=row["disabled"],
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
        delete_time=timestamp(row["delete_time"]),
        **shown_grants(row, customer_id, granted),
    )
    if row["customer_id"] == customer_id:
        message.base_url = row["base_url"]
        message.has_credential = row["sealed_credential"] is not None
        message.stored_key_alias = row["stored_key_alias"]
        message.passthrough_paths.extend(row["passthrough_paths"])
        message.direct = goes_direct(row["provider_type"], row["base_url"], row["direct"])
    return message
