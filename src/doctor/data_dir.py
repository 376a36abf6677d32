"""The data directory: there, private, and with room."""

import os
import shutil
import stat
from pathlib import Path

from doctor.finding import Finding, failed, ok, warning

CHECK = "data directory"
_SECRETS = ("encryption.key", "edge.credential", "cli.credential")
_LITTLE_BYTES = 1 << 30
_TOO_LITTLE_BYTES = 100 << 20


def check_data_dir(path: Path) -> list[Finding]:
    """Existence, permissions of directory and secrets, free space."""
    if not path.is_dir():
        return [
            failed(CHECK, f"{path} isn't there", "Start `tollkeeper up` once, or set TOLLKEEPER_DATA_DIR.")
        ]
    findings = [*_permissions(path), *_space(path)]
    return findings or [ok(CHECK, str(path))]


def _permissions(path: Path) -> list[Finding]:
    findings = []
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        findings.append(
            failed(CHECK, f"{path} can't be written by this user", "Run as the user that owns it.")
        )
    # Run by root, others may pass through to the database's own user, and see nothing.
    if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXO | stat.S_IRWXG) & ~(stat.S_IXOTH | stat.S_IXGRP):
        findings.append(warning(CHECK, f"others can look into {path}", f"chmod go-rw {path}"))
    for name in _SECRETS:
        secret = path / name
        if secret.exists() and stat.S_IMODE(secret.stat().st_mode) & 0o077:
            findings.append(failed(CHECK, f"others can read {secret}", f"chmod 600 {secret}"))
    return findings


def _space(path: Path) -> list[Finding]:
    free = shutil.disk_usage(path).free
    text = f"{free >> 20} MiB free in {path}"
    if free < _TOO_LITTLE_BYTES:
        return [failed(CHECK, text, "Free the disk: without a journal the edge refuses requests.")]
    if free < _LITTLE_BYTES:
        return [warning(CHECK, text, "Free the disk before the edge refuses requests.")]
    return []
