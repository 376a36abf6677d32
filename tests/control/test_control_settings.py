"""Settings of the control plane: every problem in one line, with the name of the setting."""

import base64

import pytest

from control.config import SettingsError, is_loopback, load

KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith(("TOLLKEEPER_", "CF_")):
            monkeypatch.delenv(name)


def problems_with(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    """What is said about these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        load()
    return refusal.value.problems


def test_defaults_need_nothing() -> None:
    """Without any variable the control plane serves this machine alone."""
    settings = load()
    assert (settings.host, settings.port, settings.metrics_port) == ("127.0.0.1", 50051, 9464)
    assert (settings.database_url, settings.lease_grace_s) == (None, 3600)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOLLKEEPER_CONTROL_PORT", "http"),
        ("TOLLKEEPER_CONTROL_PORT", "70000"),
        ("TOLLKEEPER_CONTROL_HOST", "0.0.0.0"),
        ("TOLLKEEPER_CONTROL_HOST", "::"),
        ("TOLLKEEPER_DATABASE_URL", "mysql://user:hunter2@host/db"),
        ("TOLLKEEPER_ENCRYPTION_KEY", "hunter2"),
        ("TOLLKEEPER_ENCRYPTION_KEY", base64.b64encode(b"hunter2").decode()),
        ("TOLLKEEPER_SESSION_TTL_S", "1"),
        ("TOLLKEEPER_LEASE_GRACE_S", "0"),
        ("TOLLKEEPER_LOG_LEVEL", "loud"),
        ("TOLLKEEPER_TLS_CERT_FILE", "/some/cert.pem"),
        ("TOLLKEEPER_TLS_CLIENT_CA_FILE", "/some/ca.pem"),
        ("TOLLKEEPER_OPERATOR_EMAIL", "nobody"),
    ],
)
def test_each_bad_setting_is_named_once(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """One line that begins with the variable and doesn't repeat a secret."""
    [problem] = problems_with(monkeypatch, **{name: value})
    assert problem.startswith(name)
    assert "\n" not in problem
    assert "hunter2" not in problem


def test_all_problems_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to fix settings one start at a time."""
    found = problems_with(
        monkeypatch, TOLLKEEPER_CONTROL_PORT="x", TOLLKEEPER_LOG_FORMAT="x", TOLLKEEPER_DRAIN_S="x"
    )
    assert sorted(problem.split(":")[0] for problem in found) == [
        "TOLLKEEPER_CONTROL_PORT",
        "TOLLKEEPER_DRAIN_S",
        "TOLLKEEPER_LOG_FORMAT",
    ]


def test_named_database_needs_a_named_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in one machine's data directory would be lost to the next replica."""
    url = "postgres://user:hunter2@db.example/tollkeeper"
    [problem] = problems_with(monkeypatch, TOLLKEEPER_DATABASE_URL=url)
    assert problem.startswith("TOLLKEEPER_ENCRYPTION_KEY")
    monkeypatch.setenv("TOLLKEEPER_ENCRYPTION_KEY", f"{KEY},{KEY}")
    settings = load()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == (
        "postgresql+psycopg://user:hunter2@db.example/tollkeeper"
    )
    assert len(settings.encryption_keys) == 2
    assert "hunter2" not in repr(settings)
    assert KEY not in repr(settings)


def test_plaintext_leaves_the_machine_only_when_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind something that encrypts, plain text on every address can be allowed."""
    monkeypatch.setenv("TOLLKEEPER_CONTROL_HOST", "0.0.0.0")
    monkeypatch.setenv("TOLLKEEPER_ALLOW_PLAINTEXT", "true")
    assert load().host == "0.0.0.0"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("example.com", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    """A name that isn't known to be this machine counts as reachable."""
    assert is_loopback(host) is loopback
