"""`python -m supervisor`, which `tollkeeper up` becomes: check everything, then start everything."""

import argparse
import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from supervisor.data_dir import Locked, find_data_dir, locked
from supervisor.logs import say

UNUSABLE = 2
INTERRUPTED = 130
_SETTINGS = {
    "edge_port": "TOLLKEEPER_EDGE_PORT",
    "edge_workers": "TOLLKEEPER_EDGE_WORKERS",
    "control_port": "TOLLKEEPER_CONTROL_PORT",
    "simulator_port": "TOLLKEEPER_SIMULATOR_PORT",
}


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 drained, 1 a part couldn't be started, 2 nothing was tried, 130 stopped at once."""
    options = _parser().parse_args(arguments)
    for option, setting in _SETTINGS.items():
        if (value := getattr(options, option)) is not None:
            os.environ[setting] = value
    data_dir = (options.data_dir or find_data_dir()).expanduser().absolute()
    try:
        return _run(data_dir, options.json)
    except KeyboardInterrupt:
        # Before anything was started: later signals are handled in order.
        return INTERRUPTED


def _run(data_dir: Path, as_json: bool) -> int:
    # Takes a moment to load, in which Ctrl-C is already ours.
    from supervisor.ports import problems
    from supervisor.screen import write_json, write_screen
    from supervisor.settings import load
    from supervisor.up import Stack, run
    from tollkeeper.settings import SettingsError

    try:
        settings = load(data_dir, os.environ)
    except SettingsError as error:
        return _unusable(error.problems)
    try:
        with locked(data_dir):
            if found := problems(settings.listeners):
                return _unusable(found)
            stack = Stack(settings, os.environ, for_people=not as_json)
            if not as_json:
                say(f"starting on {data_dir}")
            show = write_json if as_json else write_screen
            return asyncio.run(run(stack, partial(show, settings)))
    except Locked as error:
        return _unusable([str(error)])
    except OSError as error:
        why = error.strerror or str(error)
        return _unusable([f"data directory {data_dir} can't be used: {why}; set TOLLKEEPER_DATA_DIR"])


def _unusable(problems: list[str]) -> int:
    for problem in problems:
        say(problem)
    return UNUSABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tollkeeper up",
        description="Run everything on this machine until Ctrl-C: database, control plane, edge, and, without"
        " a Cloudflare account, the simulator.",
        epilog="Each option is also a setting: --edge-port is TOLLKEEPER_EDGE_PORT (docs/configuration.md).",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON line when ready; logs on stderr")
    parser.add_argument("--data-dir", type=Path, metavar="PATH", help="where everything is kept")
    parser.add_argument("--edge-port", metavar="PORT", help="default 8080; 0 takes any free one")
    parser.add_argument("--edge-workers", metavar="COUNT", help="processes that serve requests")
    parser.add_argument("--control-port", metavar="PORT", help="default 50051; 0 takes any free one")
    parser.add_argument("--simulator-port", metavar="PORT", help="default 8090; 0 takes any free one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
