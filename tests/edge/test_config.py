"""Settings: defaults that work, problems named, secrets masked."""

import os
from pathlib import Path

import pytest

from edge.config import OnHangup, load
from tollkeeper.settings import SettingsError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith(("TOLLKEEPER_", "CF_"))]:
        monkeypatch.delenv(name)


def test_defaults() -> None:
    """An edge starts without any setting."""
    settings = load()

    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.on_hangup is OnHangup.DRAIN
    assert settings.control_addresses == ("127.0.0.1:50051",)
    assert 1 <= settings.workers <= 4


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names as in docs/configuration.md; empty ones count as absent."""
    monkeypatch.setenv("TOLLKEEPER_EDGE_PORT", "9000")
    monkeypatch.setenv("TOLLKEEPER_CONTROL_ADDRESSES", "a:1, b:2")
    monkeypatch.setenv("TOLLKEEPER_FORWARD_HEADERS", "X-Sim,openai-beta")
    monkeypatch.setenv("CF_ACCOUNT_ID", "a" * 32)
    monkeypatch.setenv("CF_AI_GATEWAY_API_TOKEN", "cf-secret")
    monkeypatch.setenv("TOLLKEEPER_EDGE_WORKERS", "")
    settings = load()

    assert settings.port == 9000
    assert settings.control_addresses == ("a:1", "b:2")
    assert settings.forward_headers == ("x-sim", "openai-beta")
    assert settings.cf_token() == "cf-secret"
    assert "cf-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOLLKEEPER_EDGE_PORT", "70000"),
        ("TOLLKEEPER_EDGE_WORKERS", "0"),
        ("TOLLKEEPER_ON_HANGUP", "maybe"),
        ("TOLLKEEPER_FORWARD_HEADERS", "x-sim,Authorization"),
        ("TOLLKEEPER_FORWARD_HEADERS", "cf-aig-skip-cache"),
        ("TOLLKEEPER_FORWARD_HEADERS", "CF-Connecting-IP"),
        ("TOLLKEEPER_FORWARD_HEADERS", "X-Forwarded-For"),
        ("TOLLKEEPER_FORWARD_HEADERS", "forwarded"),
        ("TOLLKEEPER_FORWARD_HEADERS", "Transfer-Encoding"),
        ("TOLLKEEPER_FORWARD_HEADERS", "proxy-authorization"),
        ("TOLLKEEPER_FORWARD_HEADERS", "x-goog-api-key"),
        ("TOLLKEEPER_CONTROL_ADDRESSES", ","),
        ("CF_ACCOUNT_ID", "not-an-account"),
        ("TOLLKEEPER_CF_GATEWAY_URL", "ftp://x"),
    ],
)
def test_problems_name_the_setting(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """One line each, beginning with the name that must be changed."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [name]


def test_credential_from_the_data_directory(tmp_path: Path) -> None:
    """Read when asked for; without it, the file that is missing is named."""
    settings = load(data_dir=tmp_path)
    with pytest.raises(SettingsError, match=r"edge\.credential: No such file"):
        settings.credential()
    (tmp_path / "edge.credential").write_text("tkc_secret\n")

    assert settings.credential() == "tkc_secret"


def test_credential_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It comes before any file."""
    monkeypatch.setenv("TOLLKEEPER_EDGE_CREDENTIAL", "tkc_env")
    (tmp_path / "edge.credential").write_text("tkc_file")

    assert load(data_dir=tmp_path).credential() == "tkc_env"
