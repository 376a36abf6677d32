"""The ready screen and the ready line."""

import json
from pathlib import Path

import pytest

from supervisor.ports import Listener
from supervisor.screen import Secrets, json_line, write_screen
from supervisor.settings import Settings

FIRST = Secrets("ada@example.com", "a password", "aig_key")
LATER = Secrets("ada@example.com", None, None)


def _settings(simulator: bool) -> Settings:
    return Settings(
        data_dir=Path("/data"),
        edge=Listener("edge", "0.0.0.0", 8080, "-"),
        control=Listener("control", "127.0.0.1", 50051, "-"),
        control_metrics=Listener("control's metrics", "127.0.0.1", 9464, "-"),
        simulator=Listener("simulator", "127.0.0.1", 8090, "-") if simulator else None,
        database_url=None,
        control_tls=False,
        operator_email="ada@example.com",
        edge_drain_s=1,
        control_drain_s=1,
    )


def test_the_line_for_programs() -> None:
    """Exactly the documented fields; URLs are ones that can be connected to."""
    assert json.loads(json_line(_settings(simulator=True), FIRST)) == {
        "edge": "http://127.0.0.1:8080",
        "control": "127.0.0.1:50051",
        "simulator": "http://127.0.0.1:8090",
        "data_dir": "/data",
        "operator": {"email": "ada@example.com", "password": "a password"},
        "demo_key": "aig_key",
    }
    later = json.loads(json_line(_settings(simulator=False), LATER))
    assert (later["simulator"], later["operator"]["password"], later["demo_key"]) == (None, None, None)


def test_the_first_screen(capsys: pytest.CaptureFixture[str]) -> None:
    """Password and key are there once, and that it is once is said."""
    write_screen(_settings(simulator=True), FIRST)
    shown = capsys.readouterr().out
    assert "ada@example.com  a password" in shown
    assert "shown this once" in shown
    assert "http://127.0.0.1:8090 (the simulator)" in shown
    assert all("aig_key" in line for line in shown.splitlines() if line.startswith(("curl", "from openai")))


def test_a_later_screen(capsys: pytest.CaptureFixture[str]) -> None:
    """What can't be shown any more, and how to make new ones."""
    write_screen(_settings(simulator=False), LATER)
    shown = capsys.readouterr().out
    assert "ada@example.com (shown at the first start)" in shown
    assert "tollkeeper keys create --customer demo --name mine" in shown
    assert "tollkeeper users create --customer demo" in shown
    assert "Cloudflare AI Gateway" in shown
    assert "None" not in shown


def test_secrets_are_not_in_a_repr() -> None:
    """Where a log or a traceback would show it."""
    assert repr(FIRST) == "Secrets(operator_email='ada@example.com')"
