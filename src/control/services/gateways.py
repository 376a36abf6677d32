"""GatewaysService: customers' own Cloudflare gateways, as operators see and steer them."""

from control.cloudflare.errors import CloudflareError, Problem, not_configured
from control.cloudflare.gateways import Gateways
from control.domain.gateways import GatewayState
from control.provisioner import Provisioner
from control.services.audit import record_change
from control.services.gateway_message import gateway_message
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.store import gateways as store
from control.store.customers import load_customer
from control.store.database import Connection, Database
from control.store.resources import lock_customer
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID
from control.store.versions import customer_changed
from tollkeeper.errors import invalid
from tollkeeper.v1 import gateways_pb2, gateways_pb2_grpc

Gateway = gateways_pb2.Gateway

# How long a call waits for Cloudflare before it tells how far it is.
WAIT_S = 5.0
MAX_SHOWN = 1000


class GatewaysService(gateways_pb2_grpc.GatewaysServiceServicer):
    """Raises TollkeeperError as the contract says. `cloudflare` None: no account is configured."""

    def __init__(
        self, database: Database, provisioner: Provisioner, cloudflare: Gateways | None, prefix: str
    ) -> None:
        self._database = database
        self._provisioner = provisioner
        self._cloudflare = cloudflare
        self._prefix = prefix

    async def ProvisionGateway(
        self, request: gateways_pb2.ProvisionGatewayRequest, context: object
    ) -> Gateway:
        """A wish that is fulfilled at once where Cloudflare plays along, else in the background."""
        if not self._provisioner.per_customer:
            raise invalid("TOLLKEEPER_GATEWAY_MODE is shared: no customer gets a gateway of its own.")
        async with self._database.read() as connection:
            customer_id = await _customer(connection, request.customer_id)
            row = await load_customer(connection, customer_id)
        if await self._stands(row):
            return gateway_message(row)

        async def work(connection: Connection) -> Row:
            before = await lock_customer(connection, customer_id)
            after = await self._provisioner.want(connection, before)
            await record_change(connection, customer_id, gateway_message(before), gateway_message(after))
            await customer_changed(connection, customer_id)
            return after

        await self._database.write_again(work)
        await self._provisioner.provision(customer_id, WAIT_S)
        return await self._load(customer_id)

    async def GetGateway(self, request: gateways_pb2.GetGatewayRequest, context: object) -> Gateway:
        """One customer's; for a customer that never had one, the shared state."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id, deleted_too=True)
            return gateway_message(await load_customer(connection, customer_id))

    async def ListGateways(
        self, request: gateways_pb2.ListGatewaysRequest, context: object
    ) -> gateways_pb2.ListGatewaysResponse:
        """Of all customers about which something was decided, deleted ones until theirs is gone."""
        page = page_of(request)
        async with self._database.read() as connection:
            rows = await store.list_gateways(connection, page.after, page.size + 1, request.state)
        shown = rows[: page.size]
        return gateways_pb2.ListGatewaysResponse(
            gateways=[gateway_message(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["customer_id"]) if shown else "",
        )

    async def ReleaseGateway(self, request: gateways_pb2.ReleaseGatewayRequest, context: object) -> Gateway:
        """Back to the shared gateway, for good: it isn't made again unless it is asked for."""

        async def work(connection: Connection) -> Gateway:
            customer_id = await _customer(connection, request.customer_id)
            before = await lock_customer(connection, customer_id)
            after = gateway_message(await self._provisioner.give_up(connection, before))
            await record_change(connection, customer_id, gateway_message(before), after)
            await customer_changed(connection, customer_id)
            return after

        answer = await self._database.write_again(work)
        self._provisioner.wake()
        return answer

    async def GetGatewayReconciliation(
        self, request: gateways_pb2.GetGatewayReconciliationRequest, context: object
    ) -> gateways_pb2.GatewayReconciliation:
        """Orphans by our prefix, and what should be there and isn't; at most 1,000 of each."""
        if self._cloudflare is None:
            raise not_configured()
        there = {gateway.gateway_id for gateway in await self._cloudflare.list()}
        ours = sorted(each for each in there if each.startswith(f"{self._prefix}-"))
        ready = int(GatewayState.GATEWAY_STATE_READY)
        missing, after = [], None
        async with self._database.read() as connection:
            known = await store.known_gateway_ids(connection, ours)
            while rows := await store.list_gateways(connection, after, MAX_SHOWN, ready):
                missing += [row for row in rows if row["cf_gateway_id"] not in there]
                after = rows[-1]["customer_id"]
        return gateways_pb2.GatewayReconciliation(
            account_gateway_count=len(there),
            orphan_gateway_ids=[each for each in ours if each not in known][:MAX_SHOWN],
            missing=[gateway_message(row) for row in missing[:MAX_SHOWN]],
        )

    async def _stands(self, row: Row) -> bool:
        """Whether the customer's gateway is ready and really there. Raises CloudflareError when nobody can
        tell."""
        if row["gateway_state"] != GatewayState.GATEWAY_STATE_READY or self._cloudflare is None:
            return False
        try:
            await self._cloudflare.get(row["cf_gateway_id"])
        except CloudflareError as error:
            if error.problem is Problem.NOT_FOUND:
                return False
            raise
        return True

    async def _load(self, customer_id: str) -> Gateway:
        async with self._database.read() as connection:
            return gateway_message(await load_customer(connection, customer_id))


async def _customer(connection: Connection, requested: str) -> str:
    """Raises NOT_FOUND; INVALID_ARGUMENT for the platform's own, which makes no requests."""
    customer_id = await scoped_customer(connection, requested)
    if customer_id == PLATFORM_CUSTOMER_ID:
        raise invalid("The platform's own customer has no gateway.", field="customer_id")
    return customer_id
