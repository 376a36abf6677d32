"""Where the control plane is, and the credential that opens it."""

import json
import os
from pathlib import Path

from clients.cli.failures import UsageProblem
from supervisor.data_dir import find_data_dir
from tollkeeper.errors import Reason, TollkeeperError

DEFAULT_CONTROL_ADDRESS = "127.0.0.1:50051"


def data_dir(given: Path | None) -> Path:
    """--data-dir, else as `tollkeeper up` finds it."""
    return given.expanduser().absolute() if given is not None else find_data_dir()


def control_address(given: str | None, directory: Path) -> str:
    """--control, TOLLKEEPER_CONTROL_ADDRESS, what a running `up` wrote down, or the default.

    Raises UsageProblem.
    """
    named = given or os.environ.get("TOLLKEEPER_CONTROL_ADDRESS")
    if named:
        host, _, port = named.rpartition(":")
        if not host or not port.isdigit():
            raise UsageProblem(f"the control address must be host:port, not {named!r}")
        return named
    try:
        written = json.loads((directory / "run" / "addresses.json").read_text())
        return str(written["control"])
    except (OSError, ValueError, KeyError, TypeError):
        # No `up` runs here, or we may not read what it wrote: the default address will tell.
        return DEFAULT_CONTROL_ADDRESS


def authority() -> bytes | None:
    """Who signs the control plane's certificate (PEM), from TOLLKEEPER_CONTROL_CA_FILE; None: no TLS.

    Raises UsageProblem when the file can't be read.
    """
    path = os.environ.get("TOLLKEEPER_CONTROL_CA_FILE")
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageProblem(f"TOLLKEEPER_CONTROL_CA_FILE: {path}: {why}") from None


def credential(directory: Path) -> str:
    """TOLLKEEPER_CREDENTIAL, else the file that the first start made. Raises UNAUTHENTICATED."""
    if secret := os.environ.get("TOLLKEEPER_CREDENTIAL", "").strip():
        return secret
    path = directory / "cli.credential"
    try:
        return path.read_text().strip()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise TollkeeperError(
            Reason.UNAUTHENTICATED,
            f"No credential: {path}: {why}; use --data-dir or TOLLKEEPER_CREDENTIAL.",
        ) from None
