"""The data directory: found, locked, and what is left there for others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.data_dir import Locked, RunFiles, find_data_dir, locked


def test_a_locked_directory_names_its_owner(tmp_path: Path) -> None:
    """A second `up` on the same directory is refused with the pid of the first."""
    with (
        locked(tmp_path / "data"),
        pytest.raises(Locked, match=f"in use by process {os.getpid()};"),
        locked(tmp_path / "data"),
    ):
        pass


def test_the_lock_ends_with_its_owner(tmp_path: Path) -> None:
    """A killed owner leaves no lock behind, though its pid is still written there."""
    code = (
        "import os, signal, sys; from pathlib import Path; from supervisor.data_dir import locked\n"
        "with locked(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=False, timeout=20)
    assert (tmp_path / "lock").read_text() != str(os.getpid())
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_the_directory_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds secrets."""
    with locked(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_where_the_directory_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting, else `.tollkeeper` here if there is one, else the user's place for data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOLLKEEPER_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert find_data_dir() == tmp_path / "share" / "tollkeeper"
    (tmp_path / ".tollkeeper").mkdir()
    assert find_data_dir() == tmp_path / ".tollkeeper"
    monkeypatch.setenv("TOLLKEEPER_DATA_DIR", "elsewhere")
    assert find_data_dir() == tmp_path / "elsewhere"


def test_pid_files(tmp_path: Path) -> None:
    """Written, read, replaced and removed; what is no number reads as none."""
    files = RunFiles(tmp_path)
    assert files.read_pid("edge") is None
    files.write_pid("edge", 17)
    files.write_pid("edge", 18)
    assert files.read_pid("edge") == 18
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["edge.pid"]
    (tmp_path / "run" / "edge.pid").write_text("gone")
    assert files.read_pid("edge") is None
    files.remove_pid("edge")
    files.remove_pid("edge")
    assert files.read_pid("edge") is None
