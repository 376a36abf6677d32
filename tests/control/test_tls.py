"""TLS and mTLS with certificates that were really made: who gets in, who doesn't, and what is said."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clients.control import ControlClient
from clients.tls import channel_credentials
from control.app import Control
from control.domain.sealing import KeyRing
from tests.control.certificates import Authority, Pair
from tests.control.harness import RunningControl, replica_settings, running_control
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.settings import SettingsError
from tollkeeper.v1.teams_pb2 import ListTeamsRequest

HOST = "127.0.0.1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Pair:
    return authority.issue("server", HOST)


async def told(control: RunningControl, *files: Path | None) -> str:
    """What a client hears that trusts and shows these files: `served`, or why not."""
    tls = channel_credentials(*files) if files else None
    async with ControlClient(control.addresses, control.cli_secret, tls, timeout_s=10) as client:
        try:
            await client.teams.ListTeams(ListTeamsRequest())
        except TollkeeperError as error:
            return error.message if error.reason == Reason.UNAVAILABLE else repr(error)
    return "served"


@asynccontextmanager
async def serving(
    url: str, path: Path, server: Pair, client_ca: Path | None = None, replicas: int | None = None
) -> AsyncIterator[RunningControl]:
    """A control plane with this certificate."""
    files: dict[str, Any] = {"tls_cert_file": server.cert, "tls_key_file": server.key}
    async with running_control(url, path, replicas, **files, tls_client_ca_file=client_ca) as control:
        yield control


async def test_who_is_let_in_over_tls(
    database_url: str, tmp_path: Path, authority: Authority, server: Pair
) -> None:
    """Whoever trusts the authority; others are told what to do, and plain text gets nowhere."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    async with serving(database_url, tmp_path, server) as control:
        assert await told(control, authority.ca) == "served"
        assert "TOLLKEEPER_CONTROL_CA_FILE" in await told(control, other.ca)
        assert await told(control) != "served"


async def test_several_addresses_over_tls(
    database_url: str, tmp_path: Path, authority: Authority, server: Pair
) -> None:
    """The certificates of all replicas are checked against the first address, where none has a name."""
    async with serving(database_url, tmp_path, server, replicas=2) as control:
        assert len(control.addresses) == 2
        assert await told(control, authority.ca) == "served"


async def test_who_is_let_in_over_mtls(
    database_url: str, tmp_path: Path, authority: Authority, server: Pair
) -> None:
    """Only certificates of the client authority, while they last."""
    (tmp_path / "clients").mkdir()
    clients = Authority(tmp_path / "clients", "client-ca")
    good, expired = clients.issue("edge"), clients.issue("old", days=-1)
    foreign = authority.issue("foreign")
    async with serving(database_url, tmp_path, server, clients.ca) as control:
        assert await told(control, authority.ca, good.cert, good.key) == "served"
        for shown in ((), (expired.cert, expired.key), (foreign.cert, foreign.key)):
            message = await told(control, authority.ca, *shown)
            assert message.startswith(("No TLS connection", "The control plane can't be reached")), message


async def test_a_certificate_for_another_name(
    database_url: str, tmp_path: Path, authority: Authority
) -> None:
    """Trusted, but not who was called."""
    server = authority.issue("server", "control.example")
    async with serving(database_url, tmp_path, server) as control:
        message = await told(control, authority.ca)
    assert message.startswith("No TLS connection"), message
    assert "name" in message


async def test_plain_text_where_tls_is_asked_for(control: RunningControl, tmp_path: Path) -> None:
    """The other way round: the server speaks plain text."""
    message = await told(control, Authority(tmp_path).ca)
    assert "plain text" in message


async def test_a_renewed_certificate_is_used_at_once(
    database_url: str, tmp_path: Path, authority: Authority, server: Pair
) -> None:
    """Files that are replaced serve the next connection; half of a renewal leaves the old pair in force."""
    (tmp_path / "new").mkdir()
    renewed = Authority(tmp_path / "new")
    fresh = renewed.issue("server", HOST)
    async with serving(database_url, tmp_path, server) as control:
        assert await told(control, authority.ca) == "served"
        shutil.copy(fresh.key, server.key)
        assert await told(control, authority.ca) == "served"
        shutil.copy(fresh.cert, server.cert)
        assert await told(control, renewed.ca) == "served"
        assert await told(control, authority.ca) != "served"


@pytest.mark.parametrize(
    ("break_", "setting", "says"),
    [
        (lambda pair, authority: pair.cert.unlink(), "TOLLKEEPER_TLS_CERT_FILE", "can't be read"),
        (lambda pair, authority: pair.cert.write_text("hello"), "TOLLKEEPER_TLS_CERT_FILE", "no certificate"),
        (lambda pair, authority: pair.key.write_text("hello"), "TOLLKEEPER_TLS_KEY_FILE", "no private key"),
        (
            lambda pair, authority: shutil.copy(authority.issue("x").key, pair.key),
            "TOLLKEEPER_TLS_KEY_FILE",
            "isn't the key",
        ),
        (
            lambda pair, authority: authority.issue("server", HOST, days=-1),
            "TOLLKEEPER_TLS_CERT_FILE",
            "has expired",
        ),
    ],
    ids=["missing", "no certificate", "no key", "another key", "expired"],
)
async def test_files_that_cannot_be_used(
    database_url: str,
    tmp_path: Path,
    authority: Authority,
    server: Pair,
    break_: Any,
    setting: str,
    says: str,
) -> None:
    """Said at the start, with the setting, the file and what is wrong."""
    settings = replica_settings(tmp_path, tls_cert_file=server.cert, tls_key_file=server.key)
    break_(server, authority)
    with pytest.raises(SettingsError) as refusal:
        async with Control(settings, database_url, KeyRing([b"k" * 32])):
            pass
    [problem] = refusal.value.problems
    assert problem.startswith(setting)
    assert says in problem


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("none", None, None), "TOLLKEEPER_CONTROL_CA_FILE: "),
        (("ca", "server", None), "TOLLKEEPER_CONTROL_CERT_FILE and TOLLKEEPER_CONTROL_KEY_FILE"),
        ((None, "server", None), "TOLLKEEPER_CONTROL_CA_FILE: needed"),
        (("key", None, None), "holds no certificate"),
    ],
)
def test_client_files_that_cannot_be_used(
    authority: Authority, server: Pair, names: tuple[str | None, ...], says: str
) -> None:
    """The same for clients, before the first call."""
    files = {"ca": authority.ca, "server": server.cert, "key": server.key, "none": Path("/nowhere")}
    with pytest.raises(SettingsError, match=says):
        channel_credentials(*(files[name] if name else None for name in names))
