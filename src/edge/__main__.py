"""`python -m edge`: the edge with all its workers, until SIGTERM or Ctrl-C."""

import asyncio
import os
import sys

from edge import logs
from edge.config import SettingsError, load


def main() -> int:
    """Returns the exit status: 0 after a drain, 1 when it can't serve, 2 for settings that can't be used."""
    try:
        settings = load()
        settings.credential()
    except SettingsError as error:
        sys.stderr.write("\n".join(error.problems) + "\n")
        return 2
    logs.configure(settings.log_level, settings.log_format, part="edge")
    metrics_dir = settings.data_dir / "metrics"
    # Before prometheus_client is imported: it decides then how values are kept.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir)
    from edge.metrics import prepare_directory
    from edge.processes import Parent
    from edge.sockets import PortTaken

    try:
        prepare_directory(metrics_dir)
        return asyncio.run(Parent(settings, metrics_dir).run())
    except PortTaken as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"edge: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
