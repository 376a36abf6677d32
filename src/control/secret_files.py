"""Secrets that the installation keeps for itself: files in the data directory that only its owner reads (mode
600)."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from control.config import KEY_BYTES, ControlSettings, decode_key
from control.domain.sealing import KeyRing
from tollkeeper.settings import SettingsError

_MODE = 0o600


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """The secret in the file; a new one when there is none. Of processes that race, all get the same.

    Raises SettingsError when the file can't be read or made.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if not path.exists():
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
            with os.fdopen(descriptor, "w") as file:
                file.write(make() + "\n")
                file.flush()
                os.fsync(file.fileno())
            _link(temporary, path)
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(
            [f"TOLLKEEPER_DATA_DIR: {path} can't be used: {error.strerror or error}"]
        ) from None


def key_ring(settings: ControlSettings) -> KeyRing:
    """The keys from the settings, else the data directory's own. Raises SettingsError."""
    if settings.encryption_keys:
        return KeyRing([decode_key(key.get_secret_value()) for key in settings.encryption_keys])
    path = settings.data_dir / "encryption.key"
    try:
        return KeyRing([decode_key(read_or_make(path, _new_key))])
    except ValueError as error:
        raise SettingsError([f"TOLLKEEPER_DATA_DIR: {path} {error}"]) from None


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        # Another process was faster: its secret counts.
        return
    finally:
        temporary.unlink()


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
