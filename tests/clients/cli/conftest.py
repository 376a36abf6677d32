"""A real stack for the command line, one for all tests of this directory."""

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.cli import app
from tests.supervisor.stack import Up, directory, end, start

Run = Callable[..., Any]


@pytest.fixture(scope="package")
def up() -> Iterator[Up]:
    """`tollkeeper up` on free ports."""
    with directory() as place:
        running = start(place / "data")
        yield running
        end(running)


@pytest.fixture
def cli(up: Up, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`cli(*arguments, code=0)`: runs one command; gives its JSON, its text, or the line it failed with."""
    for name in os.environ:
        if name.startswith("TOLLKEEPER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TOLLKEEPER_DATA_DIR", str(up.data_dir))
    # Where a sign-in is kept.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*arguments: str, code: int = 0, stdin: str = "") -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            app.main(arguments)
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        if code:
            [line] = said.err.splitlines()
            return line
        return json.loads(said.out) if "--json" in arguments else said.out

    return run
