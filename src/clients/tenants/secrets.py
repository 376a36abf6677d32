"""Secrets that a tenants file names, and those that applying it makes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

MAX_SECRET_BYTES = 16_384
_MODE = 0o600


class SecretProblem(Exception):
    """A secret can't be read, or has no safe place to be written to."""


def resolve(reference: str, directory: Path, environment: Mapping[str, str]) -> str:
    """What `env:VARIABLE` or `file:PATH` holds; paths begin where the tenants file is.

    Raises SecretProblem.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        secret = environment.get(name, "")
        if not secret.strip():
            raise SecretProblem(f"the environment variable {name} isn't set")
    else:
        try:
            with (directory / name).open("rb") as file:
                secret = file.read(MAX_SECRET_BYTES + 1).decode()
        except OSError as error:
            raise SecretProblem(f"{name}: {(error.strerror or str(error)).lower()}") from None
        except UnicodeDecodeError:
            raise SecretProblem(f"{name}: not text") from None
        if not secret.strip():
            raise SecretProblem(f"{name}: is empty")
    if len(secret) > MAX_SECRET_BYTES:
        raise SecretProblem(f"{name}: longer than {MAX_SECRET_BYTES} characters")
    return secret.strip()


class SecretFile:
    """A file only its owner can read, with a line of JSON for each new key."""

    def __init__(self, path: Path) -> None:
        """Raises SecretProblem when others can read the file, or it can't be written."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, _MODE)
        except OSError as error:
            raise SecretProblem(f"{path}: {(error.strerror or str(error)).lower()}") from None
        if os.fstat(self._descriptor).st_mode & 0o077:
            os.close(self._descriptor)
            raise SecretProblem(f"{path}: others may read it; chmod 600 it, or name another")

    def add(self, secret: Mapping[str, str]) -> None:
        """Writes one line, on the disk when this returns."""
        os.write(self._descriptor, (json.dumps(secret) + "\n").encode())
        os.fsync(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
