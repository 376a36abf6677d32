"""`tollkeeper doctor` against real parts: what it finds, what it advises, and its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import sqlalchemy

from control.config import ControlSettings
from doctor.__main__ import examine
from doctor.cloudflare import check_cloudflare
from doctor.data_dir import check_data_dir
from doctor.database import check_database, clock_finding
from doctor.finding import Finding, Status, as_text
from doctor.live import check_live
from edge.config import EdgeSettings
from simulator import Settings, Simulator
from tests.control.harness import replica_settings
from tests.supervisor.stack import Up, directory, end, environment, start

ACCOUNT = "0123456789abcdef0123456789abcdef"
TOKEN = "cf-token-never-shown"
CLI = "from clients.cli.app import main; main()"


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """`tollkeeper up` with the simulator."""
    with directory() as place:
        running = start(place / "data")
        yield running
        end(running)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """An account that only the token opens."""
    settings = Settings(port=0, account_id=ACCOUNT, require_token=TOKEN, drain_s=0.1)
    async with Simulator(settings) as running:
        yield running


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No setting of Tollkeeper or Cloudflare."""
    for name in os.environ:
        if name.startswith(("TOLLKEEPER_", "CF_")):
            monkeypatch.delenv(name)
    return monkeypatch


def doctor(up: Up, *arguments: str, **settings: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings of `tollkeeper doctor --json`."""
    ran = subprocess.run(
        [sys.executable, "-c", CLI, "doctor", "--json", *arguments],
        env=environment(TOLLKEEPER_DATA_DIR=str(up.data_dir), **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    answer = json.loads(ran.stdout)
    assert answer["ok"] is (ran.returncode == 0)
    return ran.returncode, answer["findings"]


def account(simulator: Simulator, token: str = TOKEN) -> dict[str, Any]:
    """Settings of a control plane and an edge whose Cloudflare is the simulator."""
    return {"cf_account_id": ACCOUNT, "cf_api_token": token}


def failures(findings: list[Finding]) -> list[str]:
    """What failed, each with some advice."""
    found = [finding for finding in findings if finding.status is Status.FAILED]
    assert all(finding.advice for finding in found)
    return [finding.text for finding in found]


def test_a_healthy_installation(up: Up) -> None:
    """Nothing fails; that answers are made up is a warning."""
    code, findings = doctor(up)
    assert code == 0, findings
    told = {finding["check"]: finding for finding in findings if finding["status"] != "ok"}
    assert told["account"]["status"] == "warning"
    assert up.ready["simulator"] in told["account"]["text"]
    checks = {finding["check"] for finding in findings if finding["status"] == "ok"}
    assert checks >= {"settings", "database", "schema", "connections", "clock", "control plane"}
    assert checks >= {"credential", "edge"}


def test_live_checks_against_the_simulator(up: Up) -> None:
    """Create, read, update, list, models, duplicate, delete and run; nothing stays behind."""
    url = up.ready["simulator"]
    named = {
        "CF_ACCOUNT_ID": "0" * 32,
        "CF_AI_GATEWAY_API_TOKEN": TOKEN,
        "TOLLKEEPER_CF_API_URL": f"{url}/client/v4",
        "TOLLKEEPER_CF_GATEWAY_URL": url,
    }
    before = httpx.get(f"{url}/_sim/management").json()["gateways"]
    code, findings = doctor(up, "--live", **named)
    assert code == 0, findings
    live = [finding["text"].split(":")[0] for finding in findings if finding["check"] == "live"]
    assert live == ["create", "read", "update", "list", "duplicate", "list models", "delete", "run"]
    assert httpx.get(f"{url}/_sim/management").json()["gateways"] == before
    assert TOKEN not in json.dumps(findings)


def test_nothing_runs(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each part that is missing is told, with how to start it."""
    clean.setenv("TOLLKEEPER_EDGE_PORT", "9")
    clean.setenv("TOLLKEEPER_CONTROL_ADDRESSES", "127.0.0.1:9")
    findings = examine(tmp_path / "nowhere", [], live=True)
    texts = " ".join(failures(findings))
    for part in ("isn't there", "PostgreSQL isn't running", "127.0.0.1:9 can't be reached", "no Cloudflare"):
        assert part in texts
    assert "tollkeeper up" in as_text(findings)


def test_settings_that_cannot_be_used(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every one is named; what depends on them isn't looked at."""
    clean.setenv("TOLLKEEPER_LOG_LEVEL", "loud")
    clean.setenv("TOLLKEEPER_EDGE_PORT", "many")
    findings = examine(tmp_path, [], live=False)
    texts = failures(findings)
    assert [text.split(":")[0] for text in texts] == ["TOLLKEEPER_LOG_LEVEL", "TOLLKEEPER_EDGE_PORT"]
    assert findings[-1].status is Status.SKIPPED


def test_half_an_account(clean: pytest.MonkeyPatch, up: Up) -> None:
    """Account and token belong together."""
    clean.setenv("CF_ACCOUNT_ID", ACCOUNT)
    assert "only one of CF_ACCOUNT_ID" in " ".join(failures(examine(up.data_dir, [], live=False)))


def test_secrets_that_others_can_read(tmp_path: Path) -> None:
    """Directory and files are for their owner's eyes."""
    tmp_path.chmod(0o700)
    assert [finding.status for finding in check_data_dir(tmp_path)] == [Status.OK]
    secret = tmp_path / "encryption.key"
    secret.write_text("secret")
    secret.chmod(0o644)
    tmp_path.chmod(0o755)
    told = {finding.status: finding.advice for finding in check_data_dir(tmp_path)}
    assert told[Status.FAILED] == f"chmod 600 {secret}"
    assert told[Status.WARNING] == f"chmod go-rw {tmp_path}"


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning first, then a failure."""
    usage = type("Usage", (), {"free": 500 << 20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    tmp_path.chmod(0o700)
    assert check_data_dir(tmp_path)[-1].status is Status.WARNING
    usage.free = 50 << 20  # type: ignore[attr-defined]
    assert "refuses requests" in check_data_dir(tmp_path)[-1].advice


def test_a_database_of_another_version(database_url: str, tmp_path: Path) -> None:
    """The schema that is there, the one that is needed, and the command that helps; fsync off is told too."""
    settings = replica_settings(tmp_path, database_url=database_url, encryption_keys=["a" * 43 + "="])
    assert failures(check_database(settings, database_url)) == []
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '0001'"))
    engine.dispose()
    findings = check_database(settings, database_url)
    [schema] = [finding for finding in findings if finding.check == "schema"]
    assert schema.status is Status.FAILED
    assert "control.migrations" in schema.advice
    assert any("fsync is off" in finding.text for finding in findings)


def test_a_database_that_is_away_keeps_its_password(tmp_path: Path) -> None:
    """What the driver says is shown, the URL isn't."""
    url = "postgresql+psycopg://ann:hunter2@127.0.0.1:9/tollkeeper"
    settings = replica_settings(tmp_path, database_url=url, encryption_keys=["a" * 43 + "="])
    [finding] = check_database(settings, url)
    assert finding.status is Status.FAILED
    assert "hunter2" not in as_text([finding])


def test_clocks() -> None:
    """Seconds apart are a warning, in either direction."""
    assert clock_finding("it", 0.5).status is Status.OK
    assert clock_finding("it", 3.0).text == "it is 3.0 s ahead"
    assert clock_finding("it", -3.0).text == "it is 3.0 s behind"
    assert clock_finding("it", -3.0).status is Status.WARNING


async def test_what_is_wrong_with_an_account(
    clean: pytest.MonkeyPatch, simulator: Simulator, tmp_path: Path
) -> None:
    """A wrong token, another account, an address that doesn't answer: each with its advice."""
    for change, advice in (
        ({"cf_api_token": "wrong"}, "AI Gateway Read"),
        ({"cf_account_id": "f" * 32}, "CF_ACCOUNT_ID"),
        ({"cf_api_url": "http://127.0.0.1:9"}, "internet"),
    ):
        given = {"cf_api_url": f"{simulator.url}/client/v4", **account(simulator), **change}
        [finding] = await check_cloudflare(replica_settings(tmp_path, **given), "default", None)
        assert finding.status is Status.FAILED
        assert advice in finding.advice
        assert TOKEN not in as_text([finding])


async def test_gateways_that_are_missing(
    clean: pytest.MonkeyPatch, simulator: Simulator, database_url: str, tmp_path: Path
) -> None:
    """The shared one, and those that customers use; counts by state, with an error."""
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "INSERT INTO customers (customer_id, slug, name, cf_gateway_id, gateway_state, gateway_error)"
                " VALUES (gen_random_uuid(), 'acme', 'Acme', 'tollkeeper-acme-1', 3, ''),"
                " (gen_random_uuid(), 'other', 'Other', NULL, 4, 'Cloudflare: 500: Broken')"
            )
        )
    engine.dispose()
    settings = replica_settings(tmp_path, cf_api_url=f"{simulator.url}/client/v4", **account(simulator))
    findings = await check_cloudflare(settings, "team", database_url)
    texts = failures(findings)
    assert "the shared gateway team doesn't exist" in texts[0]
    assert "such as acme" in texts[1]
    [warned] = [finding for finding in findings if finding.status is Status.WARNING]
    assert "1 customers have their own, 0 share, 0 wait, 1 failed; Cloudflare: 500: Broken" in warned.text


def live_settings(simulator: Simulator, data_dir: Path) -> tuple[ControlSettings, EdgeSettings]:
    """Of both parts."""
    control = replica_settings(data_dir, cf_api_url=f"{simulator.url}/client/v4", **account(simulator))
    edge = EdgeSettings(data_dir=data_dir, cf_gateway_url=simulator.url, **account(simulator))
    return control, edge


@pytest.mark.parametrize("fault", [{"method": "PUT", "times": 9}, {"method": "POST", "lost": True}])
async def test_live_checks_clean_up_after_a_failure(
    clean: pytest.MonkeyPatch, simulator: Simulator, tmp_path: Path, fault: dict[str, Any]
) -> None:
    """A step that fails ends the steps, and the gateway goes all the same."""
    simulator.management.faults.add(orjson.dumps({"status": 500, **fault}))
    findings = await check_live(*live_settings(simulator, tmp_path))
    assert len(failures(findings)) == 1
    assert simulator.gateways.ids() == ["default"]


async def test_live_checks_of_a_full_account(
    clean: pytest.MonkeyPatch, simulator: Simulator, tmp_path: Path
) -> None:
    """It says what to do."""
    simulator.gateways.quota = 1
    findings = await check_live(*live_settings(simulator, tmp_path))
    [full] = [finding for finding in findings if finding.status is Status.FAILED]
    assert "Maximum number of gateways" in full.text
    assert "TOLLKEEPER_GATEWAY_MODE=shared" in full.advice


async def test_a_token_that_may_not_run(
    clean: pytest.MonkeyPatch, simulator: Simulator, tmp_path: Path
) -> None:
    """The edge's token is tried on the gateway host."""
    control, edge = live_settings(simulator, tmp_path)
    other = EdgeSettings(data_dir=tmp_path, cf_gateway_url=simulator.url, **account(simulator, token="wrong"))
    assert failures(await check_live(control, edge)) == []
    assert failures(await check_live(control, other)) == ["run: the token is refused with 401"]
