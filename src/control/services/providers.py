"""ProvidersService: vendor credentials. They go in, and come out only within grants."""

from typing import Any

from control.domain.providers import (
    check_alias,
    check_base_url,
    check_credential,
    credential_context,
    provider_type,
)
from control.domain.sealing import KeyRing
from control.services.audit import record_change
from control.services.convert import check_etag, checked_name, etag, masked_fields, resource_id, timestamp
from control.services.once import once
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.store import providers as store
from control.store.database import Connection, Database
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from control.store.versions import customer_changed
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1 import providers_pb2, providers_pb2_grpc

Provider = providers_pb2.Provider

_CHANGEABLE = ("name", "base_url", "credential", "stored_key_alias", "disabled")


class ProvidersService(providers_pb2_grpc.ProvidersServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database, key_ring: KeyRing, allow_private_base_urls: bool) -> None:
        self._database = database
        self._key_ring = key_ring
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
                lambda: self._create(connection, customer_id, request.provider),
            )

        return await self._database.write_again(work)

    async def GetProvider(
        self, request: providers_pb2.GetProviderRequest, context: object
    ) -> providers_pb2.Provider:
        """A provider without its credential, deleted ones too."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            provider_id = resource_id("provider", request.provider_id)
            return _message(await store.load_provider(connection, customer_id, provider_id))

    async def ListProviders(
        self, request: providers_pb2.ListProvidersRequest, context: object
    ) -> providers_pb2.ListProvidersResponse:
        """Live providers, oldest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            rows = await store.list_providers(connection, customer_id, page.after, page.size + 1)
        shown = rows[: page.size]
        return providers_pb2.ListProvidersResponse(
            providers=[_message(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["provider_id"]) if shown else "",
        )

    async def UpdateProvider(
        self, request: providers_pb2.UpdateProviderRequest, context: object
    ) -> providers_pb2.Provider:
        """Changes the masked fields."""
        sent = request.provider
        fields = masked_fields(request.update_mask, sent, _CHANGEABLE)

        async def work(connection: Connection) -> Provider:
            customer_id = await scoped_customer(connection, sent.customer_id)
            await lock_customer(connection, customer_id)
            provider_id = resource_id("provider", sent.provider_id)
            row = await store.load_live_provider(connection, customer_id, provider_id)
            check_etag(sent.etag, row["revision"])
            values = {
                column: value
                for field in sorted(fields)
                for column, value in self._columns(sent, field, row["provider_type"], provider_id).items()
            }
            message = _message(await store.update_provider(connection, customer_id, provider_id, values))
            secrets = fields & {"credential"}
            await record_change(connection, customer_id, _message(row), message, secrets)
            await customer_changed(connection, customer_id)
            return message

        return await self._database.write_again(work)

    async def DeleteProvider(
        self, request: providers_pb2.DeleteProviderRequest, context: object
    ) -> providers_pb2.Provider:
        """Ends a provider, with the routing rules that name it when forced, and its own prices."""

        async def work(connection: Connection) -> Provider:
            customer_id = await scoped_customer(connection, request.customer_id)
            await lock_customer(connection, customer_id)
            provider_id = resource_id("provider", request.provider_id)
            row = await store.load_live_provider(connection, customer_id, provider_id)
            check_etag(request.etag, row["revision"])
            rule_count = await store.count_rules(connection, customer_id, provider_id)
            if rule_count and not request.force:
                raise TollkeeperError(
                    Reason.IN_USE,
                    f"{rule_count} routing rules name the provider; force deletes them with it.",
                    {"resource": "provider", "resource_id": provider_id, "routing_rules": str(rule_count)},
                )
            now = await transaction_time(connection)
            message = _message(await store.delete_provider(connection, customer_id, provider_id, now))
            await record_change(connection, customer_id, _message(row), message)
            await customer_changed(connection, customer_id)
            return message

        return await self._database.write_again(work)

    async def _create(self, connection: Connection, customer_id: str, sent: Provider) -> Provider:
        await lock_customer(connection, customer_id)
        type_name = provider_type(sent.provider_type)
        provider_id = str(uuid7())
        values: dict[str, Any] = {"provider_type": type_name}
        for field in _CHANGEABLE:
            values |= self._columns(sent, field, type_name, provider_id)
        row = await store.insert_provider(connection, customer_id, provider_id, values)
        message = _message(row)
        secrets = ("credential",) if sent.credential else ()
        await record_change(connection, customer_id, None, message, secrets)
        await customer_changed(connection, customer_id)
        return message

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
            case _:
                return {"disabled": sent.disabled}


def _message(row: Row) -> Provider:
    return Provider(
        provider_id=row["provider_id"],
        customer_id=row["customer_id"],
        name=row["name"],
        provider_type=row["provider_type"],
        base_url=row["base_url"],
        has_credential=row["sealed_credential"] is not None,
        stored_key_alias=row["stored_key_alias"],
        disabled=row["disabled"],
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
        delete_time=timestamp(row["delete_time"]),
    )
