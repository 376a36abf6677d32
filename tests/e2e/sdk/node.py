"""Node's official `openai` package: fetched with npm when a test first needs it, and held to its hash.

It has no dependencies of its own, so its archive is all there is to install.
"""

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks.packages import Package, Registry, Unfetched, fetched

SDK = Package(
    Registry.NPM,
    "openai",
    "7.57.0",
    "sha512-RbmrdE5NdfW6nGq/FaCJ3KFCZpotoExPzruQUSMCTw/ouUFO08vpvVdSmgmPxQMFAiv9EXZCEXvcWYU+n6NzsQ==",
)

PACKAGES = Path(__file__).parents[3] / ".node"
CASES = Path(__file__).with_name("openai.cjs")
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
    modules = PACKAGES / f"{SDK.name}-{SDK.version}"
    if modules.exists():
        return modules
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("NOT SHOWN: Node's SDK needs node and npm, which aren't installed here")
    PACKAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PACKAGES) as folder:
        try:
            archive = fetched(SDK, Path(folder))
        except Unfetched as why:
            pytest.skip(f"NOT SHOWN: Node's SDK needs its package; {why}")
        with tarfile.open(archive) as packed:
            # Python has filters since 3.11.4; what is unpacked was held to its hash in any case.
            filters: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            packed.extractall(folder, **filters)  # noqa: S202
        made = Path(folder) / "modules"
        made.mkdir()
        (Path(folder) / "package").rename(made / SDK.name)
        # Renamed when complete: an interrupted run leaves nothing that looks installed.
        made.rename(modules)
    return modules
