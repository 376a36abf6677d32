"""`python -m control`: one replica of the control plane, until SIGTERM or SIGINT."""

import argparse
import asyncio
import faulthandler
import os
import signal
import sys

# Nothing here forks with a live channel; the handlers for that only cost and warn.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import structlog
import uvloop

from control import migrations, postgres, secret_files
from control.app import Control
from control.config import ControlSettings, load
from control.postgres import PostgresError
from tollkeeper import logs
from tollkeeper.settings import SettingsError

log = structlog.get_logger()

_CANT_START = 2
# On top of `drain_s`, and less than a supervisor waits; ending what doesn't hang takes much less.
_END_WITHIN_S = 8.0


def main(arguments: list[str] | None = None) -> int:
    """Exits with 0 after a drain, and with 2 and one line for each thing that keeps it from starting."""
    parser = argparse.ArgumentParser(prog="python -m control", description=__doc__)
    parser.add_argument("--migrate", action="store_true", help="bring the schema up to date first")
    migrate = parser.parse_args(arguments).migrate
    try:
        settings = load()
        logs.configure(settings.log_level, settings.log_format)
        with postgres.serving(settings) as url:
            if migrate:
                migrations.upgrade(url)
            else:
                migrations.require_current(url)
            try:
                uvloop.run(_serve(settings, url))
            finally:
                faulthandler.cancel_dump_traceback_later()
    except (PostgresError, SettingsError, migrations.SchemaError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return _CANT_START
    return 0


async def _serve(settings: ControlSettings, url: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Control(settings, url, secret_files.key_ring(settings)):
        await stop.wait()
        log.info("draining", drain_s=settings.drain_s)
        # The last resort: what hangs, in whatever library, says where, and exits with 1.
        faulthandler.dump_traceback_later(settings.drain_s + _END_WITHIN_S, exit=True)


if __name__ == "__main__":
    sys.exit(main())
