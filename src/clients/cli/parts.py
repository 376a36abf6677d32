"""Commands that become another program: the parts of Tollkeeper, and the ledger's audit."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from supervisor.data_dir import find_data_dir

MODULES = {
    "up": "supervisor",
    "control": "control",
    "edge": "edge",
    "simulator": "simulator",
    "doctor": "doctor",
}
SUMMARIES = {
    "up": "Run everything on this machine until Ctrl-C.",
    "control": "Run the control plane alone.",
    "edge": "Run the edge alone.",
    "simulator": "Run the stand-in for Cloudflare AI Gateway alone.",
    "doctor": "Check settings, database, parts and Cloudflare, and say what to do.",
}
VERIFY_MODULE = "control.verify"


def module_of(arguments: Sequence[str]) -> tuple[str, list[str]] | None:
    """The module that such a command line stands for, and its arguments; None for our own commands."""
    match arguments:
        case [part, *rest] if part in MODULES:
            return MODULES[part], rest
        case ["ledger", "verify", *rest]:
            return VERIFY_MODULE, rest
    return None


def become(module: str, arguments: Sequence[str]) -> NoReturn:
    """Replaces this process, which keeps its id, its terminal and its signals.

    The data directory is found here once, so that all parts agree on it.
    """
    environment = {**os.environ}
    environment.setdefault("TOLLKEEPER_DATA_DIR", str(find_data_dir()))
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *arguments], environment)  # noqa: S606
