"""`python -m edge`: the edge with all its workers, until SIGTERM or Ctrl-C."""

import asyncio
import os
import sys
from pathlib import Path

from edge.config import load
from edge.sockets import PortTaken
from tollkeeper import logs
from tollkeeper.settings import SettingsError


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
    try:
        _empty(metrics_dir)
        # prometheus_client decides when it is imported how values are kept.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir)
        from edge.processes import Parent

        return asyncio.run(Parent(settings, metrics_dir).run())
    except PortTaken as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"edge: {error}\n")
    return 1


def _empty(metrics_dir: Path) -> None:
    """Values of an earlier run would be added to this one's."""
    metrics_dir.mkdir(parents=True, exist_ok=True)
    for file in metrics_dir.glob("*.db"):
        file.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
