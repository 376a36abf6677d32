"""Node's official `openai` package: fetched with npm when a test first needs it, and held to its hash.

It has no dependencies of its own, so its archive is all there is to install.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

# As a package.json and its lock would have them.
NAME, VERSION = "openai", "7.57.0"
INTEGRITY = "sha512-RbmrdE5NdfW6nGq/FaCJ3KFCZpotoExPzruQUSMCTw/ouUFO08vpvVdSmgmPxQMFAiv9EXZCEXvcWYU+n6NzsQ=="

PACKAGES = Path(__file__).parents[3] / ".node"
CASES = Path(__file__).with_name("openai.cjs")
FETCH_TIMEOUT_S = 45
CASE_TIMEOUT_S = 60


def run(case: str, base_url: str, secret: str) -> Any:
    """What a case of `openai.cjs` printed. Raises AssertionError when it failed; skips where it can't be
    shown."""
    ran = subprocess.run(
        ["node", str(CASES), case],
        env={**os.environ, "NODE_PATH": str(_installed()), "BASE_URL": base_url, "API_KEY": secret},
        capture_output=True,
        text=True,
        timeout=CASE_TIMEOUT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def _installed() -> Path:
    """The directory to require it from."""
    modules = PACKAGES / f"{NAME}-{VERSION}"
    if modules.exists():
        return modules
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("NOT SHOWN: Node's SDK needs node and npm, which aren't installed here")
    PACKAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PACKAGES) as folder:
        archive = _fetched(Path(folder))
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        made = Path(folder) / "modules"
        made.mkdir()
        (Path(folder) / "package").rename(made / NAME)
        # Renamed when complete: an interrupted run leaves nothing that looks installed.
        made.rename(modules)
    return modules


def _fetched(folder: Path) -> Path:
    """The package's archive. Raises AssertionError when it isn't the one that was pinned."""
    try:
        subprocess.run(
            ["npm", "pack", f"{NAME}@{VERSION}", "--silent", "--pack-destination", str(folder)],
            cwd=folder,
            env={**os.environ, "npm_config_cache": str(folder / "npm"), "npm_config_fetch_retries": "0"},
            capture_output=True,
            timeout=FETCH_TIMEOUT_S,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as failure:
        pytest.skip(f"NOT SHOWN: npm can't fetch Node's SDK here ({failure})")
    [archive] = folder.glob("*.tgz")
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == INTEGRITY, "npm fetched another archive than was pinned"
    return archive
