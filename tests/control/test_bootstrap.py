"""The first start, and every later one."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from clients.control import ControlClient
from control import secret_files
from control.app import Control
from control.bootstrap import bootstrap
from control.config import SettingsError
from control.domain.providers import credential_context
from control.store.database import Database
from control.store.providers import insert_provider
from tests.control.harness import replica_settings
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.key_format import is_key, secret_hash
from tollkeeper.v1.budgets_pb2 import ListBudgetsRequest
from tollkeeper.v1.customers_pb2 import GetCustomerRequest, ListCustomersRequest
from tollkeeper.v1.edge_pb2 import AuthorizeRequest
from tollkeeper.v1.sessions_pb2 import CreateSessionRequest


async def test_first_start_makes_what_is_needed(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """The operator signs in, owns the demo customer, and its key has a grant with provider, rule and
    prices."""
    settings = replica_settings(tmp_path)
    ring = secret_files.key_ring(settings)
    first = await bootstrap(database, settings, ring)
    assert first is not None
    assert is_key(first.demo_key)
    async with Control(settings, database_url, ring) as control:
        async with ControlClient([control.address]) as anonymous:
            answer = await anonymous.sessions.CreateSession(
                CreateSessionRequest(email=first.operator_email, password=first.operator_password)
            )
        assert (answer.session.customer_slug, answer.session.operator) == ("demo", True)
        cli_secret = (tmp_path / "cli.credential").read_text().strip()
        async with ControlClient([control.address], cli_secret) as cli:
            demo = await cli.customers.GetCustomer(GetCustomerRequest(customer_id="demo"))
            budgets = await cli.budgets.ListBudgets(ListBudgetsRequest(customer_id="demo"))
        assert not budgets.budgets
        edge_secret = (tmp_path / "edge.credential").read_text().strip()
        async with ControlClient([control.address], edge_secret) as edge:
            key_hash = secret_hash(first.demo_key)
            grant = (await edge.edge.Authorize(AuthorizeRequest(key_hash=key_hash))).grant
    assert (grant.customer_id, grant.unlimited) == (demo.customer_id, True)
    [rule] = grant.rules
    assert (rule.provider_type, rule.provider_enabled, rule.credential) == ("openai", True, "simulator")
    async with database.read() as connection:
        count = text("SELECT count(*) FROM prices WHERE model = 'gpt-4o-mini' AND end_time IS NULL")
        assert (await connection.execute(count)).scalar_one() >= 1


async def test_with_cloudflare_the_provider_has_no_credential(database: Database, tmp_path: Path) -> None:
    """Cloudflare bills by itself when it gets no key."""
    settings = replica_settings(tmp_path, cf_account_id="a" * 32)
    assert await bootstrap(database, settings, secret_files.key_ring(settings)) is not None
    async with database.read() as connection:
        sealed = await connection.execute(text("SELECT sealed_credential FROM providers"))
        assert sealed.scalar_one() is None


async def test_an_account_configured_later_takes_the_simulators_credential_away(
    database: Database, tmp_path: Path
) -> None:
    """What only the simulator takes isn't sent to vendors; a credential that somebody entered stays."""
    settings = replica_settings(tmp_path)
    ring = secret_files.key_ring(settings)
    await bootstrap(database, settings, ring)
    sealed = text("SELECT sealed_credential, provider_id::text FROM providers ORDER BY name")
    async with database.read() as connection:
        [before] = (await connection.execute(sealed)).all()
    assert before.sealed_credential is not None
    own = "0197a000-0000-7000-8000-000000000001"
    async with database.write() as connection:
        demo = (await connection.execute(text("SELECT customer_id FROM providers"))).scalar_one()
        values = {
            "name": "own",
            "provider_type": "openai",
            "sealed_credential": ring.seal("sk-own", credential_context(own)),
        }
        await insert_provider(connection, str(demo), own, values)
    with_account = replica_settings(tmp_path, cf_account_id="a" * 32)
    await bootstrap(database, with_account, ring)
    async with database.read() as connection:
        openai, kept = (await connection.execute(sealed)).all()
    assert (openai.provider_id, openai.sealed_credential) == (before.provider_id, None)
    assert kept.sealed_credential is not None


async def test_later_starts_change_nothing(database: Database, tmp_path: Path) -> None:
    """A second start knows no secrets, and makes no second of anything."""
    settings = replica_settings(tmp_path)
    ring = secret_files.key_ring(settings)
    assert await bootstrap(database, settings, ring) is not None
    counted = text(
        "SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM users), (SELECT count(*) FROM keys),"
        " (SELECT count(*) FROM prices), (SELECT count(*) FROM credentials)"
    )
    async with database.read() as connection:
        before = (await connection.execute(counted)).one()
    assert await bootstrap(database, settings, ring) is None
    async with database.read() as connection:
        assert (await connection.execute(counted)).one() == before


async def test_lost_credential_files_are_made_anew(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """A deleted file is replaced by one that works; files are for their owner's eyes."""
    settings = replica_settings(tmp_path)
    ring = secret_files.key_ring(settings)
    await bootstrap(database, settings, ring)
    path = tmp_path / "cli.credential"
    old = path.read_text()
    path.unlink()
    await bootstrap(database, settings, ring)
    assert path.read_text() != old
    for name in ("cli.credential", "edge.credential", "encryption.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    async with (
        Control(settings, database_url, ring) as control,
        ControlClient([control.address], path.read_text().strip()) as cli,
    ):
        answer = await cli.customers.ListCustomers(ListCustomersRequest())
    assert [customer.slug for customer in answer.customers] == ["demo"]


def test_damaged_encryption_key_is_one_line(tmp_path: Path) -> None:
    """A key file that isn't one stops the start, and its content isn't shown."""
    (tmp_path / "encryption.key").write_text("hunter2")
    with pytest.raises(
        SettingsError, match=r"TOLLKEEPER_DATA_DIR: .*encryption\.key must be base64"
    ) as refusal:
        secret_files.key_ring(replica_settings(tmp_path))
    assert "hunter2" not in str(refusal.value)


def test_racing_processes_get_one_secret(tmp_path: Path) -> None:
    """Who comes second takes the first one's."""
    path = tmp_path / "secret"

    def make_slowly() -> str:
        path.write_text("the other's\n")
        return "ours"

    assert secret_files.read_or_make(path, make_slowly) == "the other's"
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Of a control plane on a data directory and ports of its own."""
    with tempfile.TemporaryDirectory(prefix="tollkeeper-tests-") as directory:
        yield {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TOLLKEEPER_DATA_DIR": directory,
            "TOLLKEEPER_CONTROL_PORT": "0",
            "TOLLKEEPER_CONTROL_METRICS_PORT": "0",
        }


def test_processes_from_first_start_to_drain(environment: dict[str, str]) -> None:
    """`control.bootstrap --json` prints one line, `control` serves on the same data and drains on SIGTERM."""
    command = [sys.executable, "-m", "control.bootstrap", "--json"]
    outputs = [
        subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for _ in range(2)
    ]
    assert [output.count("\n") for output in outputs] == [1, 1]
    first, second = (json.loads(output) for output in outputs)
    assert is_key(first["demo_key"])
    assert second == {"operator": {"email": None, "password": None}, "demo_key": None}

    control = subprocess.Popen(
        [sys.executable, "-m", "control"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert control.stderr is not None
    with control.stderr:
        try:
            serving = json.loads(control.stderr.readline())
            assert serving["event"] == "serving"
            url = f"http://127.0.0.1:{serving['metrics_port']}/metrics"
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert b"tollkeeper_control_watch_streams" in answer.read()
            control.send_signal(signal.SIGTERM)
            assert control.wait(20) == 0
            events = [json.loads(line)["event"] for line in control.stderr]
            assert events == ["draining", "stopped"]
        finally:
            control.kill()


def test_process_names_what_keeps_it_from_starting(environment: dict[str, str]) -> None:
    """A bad setting, and a schema that is missing: exit code 2 and one line, nothing left running."""
    bad = {**environment, "TOLLKEEPER_LOG_LEVEL": "loud"}
    for env, expected in ((bad, "TOLLKEEPER_LOG_LEVEL"), (environment, "The database's schema")):
        ended = subprocess.run(
            [sys.executable, "-m", "control"],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ended.returncode == 2
        [line] = ended.stderr.splitlines()
        assert line.startswith(expected)


async def test_wrong_password_of_the_operator(database: Database, database_url: str, tmp_path: Path) -> None:
    """There is no default password."""
    settings = replica_settings(tmp_path)
    ring = secret_files.key_ring(settings)
    await bootstrap(database, settings, ring)
    async with Control(settings, database_url, ring) as control, ControlClient([control.address]) as client:
        for password in ("admin", "password", "operator", "tollkeeper"):
            request = CreateSessionRequest(email=settings.operator_email, password=password)
            with pytest.raises(TollkeeperError) as refusal:
                await client.sessions.CreateSession(request)
            assert refusal.value.reason == Reason.INVALID_CREDENTIALS
