"""`python -m control.migrations`: bring the database up to date, check the steps, or write the next one."""

import argparse
import sys
import tempfile
from pathlib import Path

from control import migrations
from control.config import load
from control.postgres import Embedded, PostgresError, serving
from tollkeeper.settings import SettingsError


def main(arguments: list[str] | None = None) -> int:
    """Exits with 1 when the steps and the tables differ, 2 when the database can't be used."""
    parser = argparse.ArgumentParser(prog="python -m control.migrations", description=__doc__)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("action", nargs="?", choices=["upgrade"], default="upgrade")
    action.add_argument("--check", action="store_true", help="compare the steps with the tables, elsewhere")
    action.add_argument("--new", metavar="NAME", help="write the next step from what the tables have gained")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.check:
            return _check()
        if chosen.new:
            return _add(chosen.new)
        return _upgrade()
    except (PostgresError, SettingsError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2


def _upgrade() -> int:
    with serving(load()) as url:
        migrations.upgrade(url)
    return 0


def _check() -> int:
    with tempfile.TemporaryDirectory() as directory, Embedded(Path(directory), fsync=False) as postgres:
        migrations.upgrade(postgres.url)
        found = migrations.differences(postgres.url)
    for difference in found:
        print(f"The tables and the migrations differ: {difference}", file=sys.stderr)  # noqa: T201
    return 1 if found else 0


def _add(name: str) -> int:
    with tempfile.TemporaryDirectory() as directory, Embedded(Path(directory), fsync=False) as postgres:
        migrations.upgrade(postgres.url)
        print(migrations.add(postgres.url, name))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
