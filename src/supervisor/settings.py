"""Settings of everything `up` runs, read and checked together before anything is started."""

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from control import config as control_config
from edge import config as edge_config
from supervisor.ports import Listener
from tollkeeper.settings import SettingsError

# What edge and control plane say to the simulator, which accepts every account and token.
SIMULATED_ACCOUNT_ID = "0" * 32
SIMULATED_API_TOKEN = "simulator"  # noqa: S105 - opens nothing


class SimulatorSettings(BaseSettings):
    """Where the simulator listens; its other settings are its own (`TOLLKEEPER_SIMULATOR_*`)."""

    model_config = SettingsConfigDict(
        env_prefix="TOLLKEEPER_SIMULATOR_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = "127.0.0.1"
    port: int = Field(8090, ge=0, le=65535)


@dataclass(frozen=True, slots=True)
class Settings:
    """What `up` needs to know of all parts; ports are real ones, even where the setting said 0."""

    data_dir: Path
    edge: Listener
    control: Listener
    control_metrics: Listener
    simulator: Listener | None
    """None: requests go to Cloudflare."""
    database_url: str | None
    """None: the embedded PostgreSQL."""
    control_tls: bool
    operator_email: str
    edge_drain_s: float
    control_drain_s: float

    @property
    def listeners(self) -> list[Listener]:
        """All addresses that must be free."""
        simulator = [self.simulator] if self.simulator else []
        return [self.edge, self.control, self.control_metrics, *simulator]


def load(data_dir: Path, environment: Mapping[str, str]) -> Settings:
    """The settings in the process's environment. Raises SettingsError."""
    problems = _account_problems(environment)
    control = edge = simulator = None
    try:
        control = control_config.load(data_dir=data_dir)
    except SettingsError as error:
        problems += error.problems
    try:
        edge = edge_config.load(data_dir=data_dir)
    except SettingsError as error:
        problems += error.problems
    try:
        simulator = SimulatorSettings()
    except ValidationError as error:
        problems += [
            f"TOLLKEEPER_SIMULATOR_{str(detail['loc'][0]).upper()}: {detail['msg']}"
            for detail in error.errors(include_input=False, include_url=False)
        ]
    if problems or control is None or edge is None or simulator is None:
        raise SettingsError(list(dict.fromkeys(problems)))
    cloudflare = "CF_ACCOUNT_ID" in environment and environment["CF_ACCOUNT_ID"] != ""
    return Settings(
        data_dir=data_dir,
        edge=_listener("edge", edge.host, edge.port, "TOLLKEEPER_EDGE_PORT"),
        control=_listener("control", control.host, control.port, "TOLLKEEPER_CONTROL_PORT"),
        control_metrics=_listener(
            "control's metrics",
            control.metrics_host,
            control.metrics_port,
            "TOLLKEEPER_CONTROL_METRICS_PORT",
        ),
        simulator=None
        if cloudflare
        else _listener("simulator", simulator.host, simulator.port, "TOLLKEEPER_SIMULATOR_PORT"),
        database_url=control.database_url.get_secret_value() if control.database_url else None,
        control_tls=control.tls_cert_file is not None,
        operator_email=control.operator_email,
        edge_drain_s=edge.drain_s + edge_config.LEDGER_DRAIN_S,
        control_drain_s=control.drain_s,
    )


def environment_of_children(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """What all children see: our own environment, with every address named."""
    named = {
        "TOLLKEEPER_DATA_DIR": str(settings.data_dir),
        "TOLLKEEPER_CONTROL_PORT": str(settings.control.port),
        "TOLLKEEPER_CONTROL_METRICS_PORT": str(settings.control_metrics.port),
        "TOLLKEEPER_CONTROL_ADDRESSES": settings.control.reachable_address,
        "TOLLKEEPER_EDGE_PORT": str(settings.edge.port),
        # Lines must come when they are written, to be there when a part dies.
        "PYTHONUNBUFFERED": "1",
    }
    if sys.stderr.isatty():
        named.setdefault("TOLLKEEPER_LOG_FORMAT", environment.get("TOLLKEEPER_LOG_FORMAT", "console"))
    return {**environment, **named}


def with_cloudflare(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """What edge and control plane see: without a Cloudflare account, the simulator is Cloudflare.

    The bootstrap isn't told so: it must not take the account for one that bills by itself.
    """
    if settings.simulator is None:
        return dict(environment)
    return {
        **environment,
        "CF_ACCOUNT_ID": SIMULATED_ACCOUNT_ID,
        "CF_AI_GATEWAY_API_TOKEN": SIMULATED_API_TOKEN,
        "TOLLKEEPER_CF_GATEWAY_URL": settings.simulator.url,
        "TOLLKEEPER_CF_API_URL": f"{settings.simulator.url}/client/v4",
    }


def _account_problems(environment: Mapping[str, str]) -> list[str]:
    if bool(environment.get("CF_ACCOUNT_ID")) != bool(environment.get("CF_AI_GATEWAY_API_TOKEN")):
        return ["CF_ACCOUNT_ID and CF_AI_GATEWAY_API_TOKEN: set both, or neither for the simulator"]
    return []


def _listener(part: str, host: str, port: int, setting: str) -> Listener:
    return Listener(part, host, port or _free_port(host), setting)


def _free_port(host: str) -> int:
    """A port that nobody has at this moment; whoever takes it before its part does makes that part fail."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
