"""A control plane that runs within the test: one replica or several over one database, and clients of them
all."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from clients.control import ControlClient
from control.app import Control
from control.config import ControlSettings
from control.domain.identity import CallerKind, Role
from control.domain.passwords import hash_password
from control.domain.sealing import KeyRing
from control.store import credentials
from control.store.customers import insert_customer
from control.store.database import Database
from control.store.tables import PLATFORM_CUSTOMER_ID
from control.store.users import insert_user
from tollkeeper.ids import uuid7
from tollkeeper.key_format import CREDENTIAL_PREFIX, SESSION_PREFIX, mint, secret_hash
from tollkeeper.v1 import budgets_pb2, customers_pb2

OPERATOR_EMAIL = "operator@example.com"
OPERATOR_PASSWORD = "correct horse battery"


class RunningControl:
    """What tests use: addresses, the database behind, and a client for each kind of caller."""

    def __init__(self, replicas: list[Control], database: Database, stack: AsyncExitStack) -> None:
        self.replicas = replicas
        self.addresses = [replica.address for replica in replicas]
        self.database = database
        self.cli_secret = mint(CREDENTIAL_PREFIX)
        self.edge_secret = mint(CREDENTIAL_PREFIX)
        self._stack = stack

    async def client(self, credential: str | None = None) -> ControlClient:
        """A client over all replicas, closed with the test."""
        return await self._stack.enter_async_context(ControlClient(self.addresses, credential))

    async def cli(self) -> ControlClient:
        """What the local command line is: an operator without a user."""
        return await self.client(self.cli_secret)

    async def edge(self) -> ControlClient:
        """What an edge is."""
        return await self.client(self.edge_secret)

    async def customer(self, slug: str, budget_nanousd: int | None = None) -> customers_pb2.Customer:
        """A new customer; without an amount it has no budget."""
        budget = budgets_pb2.InitialBudget(limit_nanousd=budget_nanousd)
        request = customers_pb2.CreateCustomerRequest(
            customer=customers_pb2.Customer(slug=slug, name=slug.title()), budget=budget
        )
        return await (await self.cli()).customers.CreateCustomer(request)

    async def person(self, customer_id: str, role: Role, email: str | None = None) -> "Person":
        """A new user of a customer with a live session."""
        user_id, secret = str(uuid7()), mint(SESSION_PREFIX)
        email = email or f"{user_id}@example.com"
        async with self.database.write() as connection:
            await insert_user(connection, customer_id, user_id, role, {"email": email, "name": "Person"})
            await credentials.add(
                connection, customer_id, CallerKind.SESSION, secret_hash(secret), user_id=user_id
            )
        return Person(user_id, email, secret, await self.client(secret))


class Person:
    """A signed-in user, and a client that acts as it."""

    def __init__(self, user_id: str, email: str, secret: str, client: ControlClient) -> None:
        self.user_id = user_id
        self.email = email
        self.secret = secret
        self.client = client


def replica_count() -> int:
    """How many replicas stand behind each client: TOLLKEEPER_TEST_REPLICAS, or one."""
    return int(os.environ.get("TOLLKEEPER_TEST_REPLICAS", "1"))


def replica_settings(data_dir: Path, **overrides: object) -> ControlSettings:
    """Settings for one replica on any free port."""
    given: dict[str, object] = {"port": 0, "metrics_port": 0, "drain_s": 1.0, "data_dir": data_dir}
    return ControlSettings(**{**given, **overrides})  # type: ignore[arg-type]


@asynccontextmanager
async def running_control(
    database_url: str, data_dir: Path, replicas: int | None = None, **overrides: object
) -> AsyncIterator[RunningControl]:
    """Runs replicas on a migrated database, with an operator and the credentials of the CLI and of an
    edge."""
    key_ring = KeyRing([b"k" * 32])
    async with AsyncExitStack() as stack:
        database = Database(database_url, pool_size=5)
        stack.push_async_callback(database.close)
        started = [
            await stack.enter_async_context(
                Control(replica_settings(data_dir, **overrides), database_url, key_ring)
            )
            for _ in range(replicas or replica_count())
        ]
        # Clients are closed before the replicas stop.
        clients = await stack.enter_async_context(AsyncExitStack())
        control = RunningControl(started, database, clients)
        await _seed(control)
        yield control


_operator_hash = hash_password(OPERATOR_PASSWORD)


async def _seed(control: RunningControl) -> None:
    async with control.database.write() as connection:
        platform = {"slug": "platform", "name": "Platform"}
        await insert_customer(connection, PLATFORM_CUSTOMER_ID, platform)
        operator = {"email": OPERATOR_EMAIL, "name": "Operator", "password_hash": _operator_hash}
        await insert_user(connection, PLATFORM_CUSTOMER_ID, str(uuid7()), Role.OPERATOR, operator)
        for kind, secret in (
            (CallerKind.CLI, control.cli_secret),
            (CallerKind.EDGE, control.edge_secret),
        ):
            await credentials.add(connection, PLATFORM_CUSTOMER_ID, kind, secret_hash(secret))
