"""What a new installation needs before anybody can use it; run again, it only makes what is missing.

`python -m control.bootstrap --json` brings the schema up to date, does this, and prints what only the first
start knows.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from control import migrations, postgres, secret_files
from control.catalogue import seed_prices
from control.config import ControlSettings, load
from control.domain.identity import CallerKind, Role
from control.domain.passwords import hash_password, random_password
from control.domain.providers import credential_context
from control.domain.sealing import KeyRing
from control.postgres import PostgresError
from control.services.customers import create_customer
from control.store import credentials, directory
from control.store.customers import insert_customer, load_customer, platform_exists, update_customer
from control.store.database import Connection, Database
from control.store.keys import insert_key
from control.store.providers import insert_provider, list_providers, update_provider
from control.store.routers import insert_router, replace_rules
from control.store.tables import PLATFORM_CUSTOMER_ID
from control.store.users import insert_user, set_role
from control.store.versions import customer_changed
from tollkeeper.errors import TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.key_format import CREDENTIAL_PREFIX, KEY_PREFIX, mint, secret_hash, shown_prefix
from tollkeeper.v1 import budgets_pb2, customers_pb2

DEMO_SLUG = "demo"
# The simulator takes any credential; Cloudflare bills by itself (unified billing) when it gets none.
_SIMULATOR_CREDENTIAL = "simulator"
_DEMO_PROVIDERS = 100


@dataclass(frozen=True, slots=True)
class FirstStart:
    """Secrets that exist in clear here and nowhere else."""

    operator_email: str
    operator_password: str
    demo_key: str


async def bootstrap(database: Database, settings: ControlSettings, key_ring: KeyRing) -> FirstStart | None:
    """Makes the operator, the demo customer, prices and credentials; None when the first start was before."""
    password = random_password()
    password_hash = await asyncio.to_thread(hash_password, password)
    async with database.write() as connection:
        first = None
        if not await platform_exists(connection):
            operator_id = await _make_platform(connection, settings.operator_email, password_hash)
            with_cloudflare = settings.cf_account_id is not None
            demo_key = await _make_demo(connection, operator_id, key_ring, with_cloudflare)
            first = FirstStart(settings.operator_email, password, demo_key)
        elif settings.cf_account_id is not None:
            await _forget_simulator(connection, key_ring)
        await seed_prices(connection)
        await _keep_credential(connection, settings.data_dir / "edge.credential", CallerKind.EDGE)
        await _keep_credential(connection, settings.data_dir / "cli.credential", CallerKind.CLI)
    return first


async def _make_platform(connection: Connection, email: str, password_hash: str) -> str:
    """The customer that operators belong to, and the first of them; returns the user's id."""
    await insert_customer(connection, PLATFORM_CUSTOMER_ID, {"slug": "platform", "name": "Platform"})
    operator_id = str(uuid7())
    values = {"email": email.lower(), "name": "Operator", "password_hash": password_hash}
    await insert_user(connection, PLATFORM_CUSTOMER_ID, operator_id, Role.OPERATOR, values)
    return operator_id


async def _make_demo(
    connection: Connection, operator_id: str, key_ring: KeyRing, with_cloudflare: bool
) -> str:
    """A customer without budget whose key works at once, owned by the operator; returns the key."""
    demo = await create_customer(
        connection,
        customers_pb2.CreateCustomerRequest(
            customer=customers_pb2.Customer(slug=DEMO_SLUG, name="Demo"), budget=budgets_pb2.InitialBudget()
        ),
    )
    customer_id = demo.customer_id
    await set_role(connection, customer_id, operator_id, Role.OWNER)
    provider_id = str(uuid7())
    sealed = None
    if not with_cloudflare:
        sealed = key_ring.seal(_SIMULATOR_CREDENTIAL, credential_context(provider_id))
    provider = {"name": "openai", "provider_type": "openai", "sealed_credential": sealed}
    await insert_provider(connection, customer_id, provider_id, provider)
    router = await insert_router(connection, customer_id, "default")
    router_id = router["router_id"]
    rule = {"rule_id": "", "priority": 1, "condition": "primary", "provider_id": provider_id}
    await replace_rules(connection, customer_id, router_id, [rule])
    row = await load_customer(connection, customer_id)
    await update_customer(connection, row, {"default_router_id": router_id})
    raw_key = mint(KEY_PREFIX)
    key = {"name": "demo", "prefix": shown_prefix(raw_key), "router_id": router_id, "created_by": "bootstrap"}
    await insert_key(connection, customer_id, secret_hash(raw_key), key)
    await customer_changed(connection, customer_id)
    return raw_key


async def _forget_simulator(connection: Connection, key_ring: KeyRing) -> None:
    """The demo provider of an installation that began with the simulator gets along without its credential: a
    vendor behind Cloudflare would be sent it, and refuse."""
    demo = await directory.find(connection, directory.Kind.SLUG, DEMO_SLUG)
    if demo is None:
        return
    for row in await list_providers(connection, demo.customer_id, None, _DEMO_PROVIDERS):
        sealed, provider_id = row["sealed_credential"], row["provider_id"]
        if row["customer_id"] != demo.customer_id:
            continue
        if sealed and key_ring.open(sealed, credential_context(provider_id)) == _SIMULATOR_CREDENTIAL:
            await update_provider(connection, row, {"sealed_credential": None})
            await customer_changed(connection, demo.customer_id)


async def _keep_credential(connection: Connection, path: Path, kind: CallerKind) -> None:
    """The credential in the file works; a new file is made where there is none."""
    secret = secret_files.read_or_make(path, lambda: mint(CREDENTIAL_PREFIX))
    digest = secret_hash(secret)
    if await directory.find(connection, directory.Kind.CREDENTIAL_HASH, digest.hex()) is None:
        await credentials.add(connection, PLATFORM_CUSTOMER_ID, kind, digest)


def main(arguments: list[str] | None = None) -> int:
    """Exits with 2 and one line when the database or a setting can't be used."""
    parser = argparse.ArgumentParser(prog="python -m control.bootstrap", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args(arguments).json
    try:
        first = _run(load())
    except (PostgresError, TollkeeperError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    print(_shown(first, as_json))  # noqa: T201
    return 0


def _run(settings: ControlSettings) -> FirstStart | None:
    async def with_database(url: str) -> FirstStart | None:
        database = Database(url, pool_size=1)
        try:
            return await bootstrap(database, settings, secret_files.key_ring(settings))
        finally:
            await database.close()

    with postgres.serving(settings) as url:
        migrations.upgrade(url)
        return asyncio.run(with_database(url))


def _shown(first: FirstStart | None, as_json: bool) -> str:
    email, password, key = (None, None, None)
    if first is not None:
        email, password, key = first.operator_email, first.operator_password, first.demo_key
    if as_json:
        return json.dumps({"operator": {"email": email, "password": password}, "demo_key": key})
    if first is None:
        return "Everything was there already."
    return f"operator  {email}\npassword  {password}\ndemo key  {key}"


if __name__ == "__main__":
    sys.exit(main())
