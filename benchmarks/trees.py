"""Commits checked out beside each other, to be measured side by side."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.stack import DATA_ROOT, ROOT


@contextmanager
def checked_out(commit: str, name: str) -> Iterator[Path]:
    """A worktree of a commit, gone afterwards. Raises SystemExit when there is no such commit."""
    path = DATA_ROOT / f"tree-{name}"
    DATA_ROOT.mkdir(exist_ok=True)
    _git("worktree", "remove", "--force", str(path), check=False)  # left by a run that was killed
    _git("worktree", "add", "--quiet", "--detach", str(path), commit)
    try:
        yield path
    finally:
        _git("worktree", "remove", "--force", str(path))


def short_id(commit: str) -> str:
    """Its abbreviated hash. Raises SystemExit when there is no such commit."""
    return _git("rev-parse", "--short=12", f"{commit}^{{commit}}").strip()


def has_changes() -> bool:
    """Whether the sources differ from what was committed last."""
    return bool(_git("status", "--porcelain", "src"))


def _git(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    if check and done.returncode:
        raise SystemExit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
