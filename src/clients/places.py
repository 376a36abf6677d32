"""Where the control plane is, and the credential that opens it: from what was said, from the environment,
from a sign-in, or from the data directory of this machine."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from clients import signin
from clients.target import target_of
from supervisor.data_dir import find_data_dir
from tollkeeper.errors import Reason, TollkeeperError

DEFAULT_CONTROL_ADDRESS = "127.0.0.1:50051"


@dataclass(frozen=True, slots=True)
class Place:
    """All that a client needs to call the control plane."""

    # host:port, one for each replica.
    addresses: tuple[str, ...]
    credential: str | None = field(repr=False)
    tls: grpc.ChannelCredentials | None


def find(control: str | None = None, data_dir: Path | None = None, authenticated: bool = True) -> Place:
    """The place by `control` (`host:port`, several separated by commas) and `data_dir`; what isn't given is
    found.

    Raises ValueError for what is no address, SettingsError for files that can't be used, and TollkeeperError
    UNAUTHENTICATED when there is no credential.
    """
    directory = data_dir.expanduser().absolute() if data_dir is not None else find_data_dir()
    named = data_dir is not None or bool(os.environ.get("TOLLKEEPER_DATA_DIR"))
    addresses = control_addresses(control, directory, named)
    # Checks their form; names are resolved when they are called.
    for address in addresses:
        target_of([address])
    secret = credential(",".join(addresses), directory) if authenticated else None
    return Place(addresses, secret, _tls())


def control_addresses(given: str | None, directory: Path, named: bool) -> tuple[str, ...]:
    """What was given, TOLLKEEPER_CONTROL_ADDRESS, where somebody signed in (unless the data directory is
    named), what a running `up` wrote down, or the default."""
    text = given or os.environ.get("TOLLKEEPER_CONTROL_ADDRESS")
    if not text and not named and (sign_in := signin.load()) is not None:
        text = sign_in.control
    if text:
        return tuple(part.strip() for part in text.split(",") if part.strip()) or (text,)
    try:
        return (str(json.loads((directory / "run" / "addresses.json").read_text())["control"]),)
    except (OSError, ValueError, KeyError, TypeError):
        # No `up` runs here, or we may not read what it wrote: the default address will tell.
        return (DEFAULT_CONTROL_ADDRESS,)


def credential(control: str, directory: Path) -> str:
    """TOLLKEEPER_CREDENTIAL, the sign-in at this control plane, or the file that the first start made. Raises
    UNAUTHENTICATED."""
    if secret := os.environ.get("TOLLKEEPER_CREDENTIAL", "").strip():
        return secret
    sign_in = signin.load()
    if sign_in is not None and sign_in.control == control:
        if sign_in.ended():
            raise TollkeeperError(
                Reason.UNAUTHENTICATED,
                f"The sign-in of {sign_in.email} has ended: use `tollkeeper login`, or `tollkeeper logout`.",
            )
        return sign_in.secret
    path = directory / "cli.credential"
    try:
        return path.read_text().strip()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise TollkeeperError(
            Reason.UNAUTHENTICATED,
            f"No credential: {path}: {why}; use `tollkeeper login`, TOLLKEEPER_CREDENTIAL or --data-dir.",
        ) from None


def _tls() -> grpc.ChannelCredentials | None:
    names = ("TOLLKEEPER_CONTROL_CA_FILE", "TOLLKEEPER_CONTROL_CERT_FILE", "TOLLKEEPER_CONTROL_KEY_FILE")
    paths = [Path(path) if (path := os.environ.get(name)) else None for name in names]
    if not any(paths):
        return None
    from clients.tls import channel_credentials

    return channel_credentials(*paths)
