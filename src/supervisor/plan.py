"""What `up` runs: one function a part."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping

from control import postgres
from supervisor.children import ChildSpec, Command, StartFailed
from supervisor.ready import accepts, grpc_serving, http_ok
from supervisor.settings import Settings, environment_of_children, with_cloudflare

POSTGRES_DRAIN_S = 20.0
SIMULATOR_DRAIN_S = 5.0
SLACK_S = 10.0
"""Beyond a part's own time to drain, before it is killed."""


def python(module: str, *arguments: str) -> Command:
    """Runs one of our modules; -P, lest a directory of that name where we stand be taken for it."""
    return Command((sys.executable, "-P", "-m", module, *arguments))


def postgres_spec(settings: Settings) -> ChildSpec | None:
    """The embedded database; None when another one is named."""
    if settings.database_url is not None:
        return None
    data_dir = settings.data_dir

    async def command() -> Command:
        # Also ends what a killed server left, which would keep the next one from starting.
        try:
            prepared = await asyncio.to_thread(postgres.prepare, data_dir)
        except (postgres.PostgresError, OSError) as error:
            raise StartFailed(f"postgres: {error}") from error
        return Command(prepared.argv, prepared.user)

    def answers() -> bool:
        try:
            postgres.wait_ready(data_dir, timeout_s=0, alive=lambda: True)
        except postgres.PostgresError:
            return False
        return True

    return ChildSpec(
        name="postgres",
        command=command,
        env=dict(os.environ),
        ready=lambda: asyncio.to_thread(answers),
        # Fast: cuts off clients, of which none are left by then.
        stop_signal=signal.SIGINT,
        # Immediate: its own children end with it, and it recovers at the next start.
        death_signal=signal.SIGQUIT,
        ready_within_s=60.0,
        drain_s=POSTGRES_DRAIN_S,
    )


def control_spec(settings: Settings, environment: Mapping[str, str]) -> ChildSpec:
    """The control plane."""
    address = settings.control.reachable_address
    probe = accepts if settings.control_tls else grpc_serving
    return ChildSpec(
        name="control",
        command=_fixed(python("control")),
        env=with_cloudflare(settings, environment_of_children(settings, environment)),
        ready=lambda: probe(address),
        drain_s=settings.control_drain_s + SLACK_S,
    )


def edge_spec(settings: Settings, environment: Mapping[str, str]) -> ChildSpec:
    """The edge: a parent and its workers."""
    address = settings.edge.reachable_address
    return ChildSpec(
        name="edge",
        command=_fixed(python("edge")),
        env=with_cloudflare(settings, environment_of_children(settings, environment)),
        ready=lambda: http_ok(address, "/readyz"),
        drain_s=settings.edge_drain_s + SLACK_S,
    )


def simulator_spec(settings: Settings, environment: Mapping[str, str]) -> ChildSpec | None:
    """The stand-in for Cloudflare; None when there is an account."""
    listener = settings.simulator
    if listener is None:
        return None
    address = listener.reachable_address
    return ChildSpec(
        name="simulator",
        command=_fixed(
            python(
                *("simulator", "--host", listener.host, "--port", str(listener.port)),
                *("--gateways-file", str(settings.data_dir / "simulated-gateways.json")),
            )
        ),
        env=environment_of_children(settings, environment),
        ready=lambda: http_ok(address, "/healthz"),
        drain_s=SIMULATOR_DRAIN_S,
    )


def _fixed(command: Command) -> Callable[[], Awaitable[Command]]:
    async def always() -> Command:
        return command

    return always
