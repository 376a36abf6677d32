"""Settings of all parts, checked together before anything starts."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.settings import (
    Settings,
    environment_of_children,
    load,
    with_cloudflare,
)
from tollkeeper.settings import SettingsError

Load = Callable[..., Settings]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """`loaded(**settings)`: with nothing else in the environment."""
    for name in os.environ:
        if name.startswith(("TOLLKEEPER_", "CF_")):
            monkeypatch.delenv(name)

    def load_with(**settings: str) -> Settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        return load(tmp_path, os.environ)

    return load_with


def test_every_problem_is_told_at_once(loaded: Load) -> None:
    """One line for each setting that can't be used, whichever part it belongs to, and named once only."""
    with pytest.raises(SettingsError) as caught:
        loaded(
            TOLLKEEPER_EDGE_WORKERS="many",
            TOLLKEEPER_CONTROL_PORT="70000",
            TOLLKEEPER_SIMULATOR_PORT="-1",
            TOLLKEEPER_LOG_LEVEL="loud",
            CF_ACCOUNT_ID="0" * 32,
        )
    names = sorted(problem.split(":")[0] for problem in caught.value.problems)
    assert names == [
        "CF_ACCOUNT_ID and CF_AI_GATEWAY_API_TOKEN",
        "TOLLKEEPER_CONTROL_PORT",
        "TOLLKEEPER_EDGE_WORKERS",
        "TOLLKEEPER_LOG_LEVEL",
        "TOLLKEEPER_SIMULATOR_PORT",
    ]


def test_defaults(loaded: Load) -> None:
    """The ports that the documentation names."""
    settings = loaded()
    assert [each.address for each in settings.listeners] == [
        "127.0.0.1:8080",
        "127.0.0.1:50051",
        "127.0.0.1:9464",
        "127.0.0.1:8090",
    ]


def test_a_port_of_0_becomes_a_real_one(loaded: Load) -> None:
    """What is printed and handed on is the port that was found."""
    settings = loaded(TOLLKEEPER_EDGE_PORT="0")
    assert settings.edge.port > 0
    assert environment_of_children(settings, {})["TOLLKEEPER_EDGE_PORT"] == str(settings.edge.port)


def test_without_an_account_the_simulator_is_cloudflare(loaded: Load) -> None:
    """Edge and control plane hear of the made-up account, the bootstrap doesn't."""
    settings = loaded(TOLLKEEPER_SIMULATOR_PORT="8123")
    edge = with_cloudflare(settings, environment_of_children(settings, {}))
    assert edge["TOLLKEEPER_CF_GATEWAY_URL"] == "http://127.0.0.1:8123"
    assert edge["TOLLKEEPER_CF_API_URL"] == "http://127.0.0.1:8123/client/v4"
    assert len(edge["CF_ACCOUNT_ID"]) == 32
    assert "CF_ACCOUNT_ID" not in environment_of_children(settings, {})


def test_with_an_account_there_is_no_simulator(loaded: Load) -> None:
    """Then the settings stay as they are."""
    settings = loaded(CF_ACCOUNT_ID="a" * 32, CF_AI_GATEWAY_API_TOKEN="secret")
    assert settings.simulator is None
    assert "TOLLKEEPER_CF_GATEWAY_URL" not in with_cloudflare(settings, {})
