"""The database's schema, as numbered steps (`versions/`) that only go forward; before a step back, restore a
backup."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from control.store.tables import metadata

# Any number that nothing else on this database locks: replicas that start together migrate one after the
# other.
_ADVISORY_LOCK = 7_421_006_511_482_313_907
_LOCK_TIMEOUT = "10s"
_STATEMENT_TIMEOUT = "10min"


class SchemaError(Exception):
    """The database has another version than the code needs; the text is one line for people."""


def upgrade(url: str) -> None:
    """Brings the database to the newest version. Waits for another process that does the same."""
    with _connected(url) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": _ADVISORY_LOCK})
        # A step gives up rather than queue behind a long transaction, with everybody else queueing behind it.
        connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
        connection.commit()
        command.upgrade(config(connection), "head")


def require_current(url: str) -> None:
    """Raises SchemaError when the database's version isn't the one this code needs.

    A database that can't be reached may yet come, with whatever version; then this says nothing.
    """
    try:
        with _connected(url) as connection:
            have = MigrationContext.configure(connection).get_current_revision()
    except OperationalError:
        return
    need = ScriptDirectory.from_config(config()).get_current_head()
    if have != need:
        raise SchemaError(
            f"The database's schema has version {have or 'none'} and needs {need}:"
            " run `python -m control.migrations` first."
        )


def differences(url: str) -> list[str]:
    """How the database differs from `control.store.tables`; empty when it doesn't."""
    with _connected(url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return [str(difference) for difference in compare_metadata(context, metadata)]


def add(url: str, name: str) -> Path:
    """Writes the next numbered step, with what `control.store.tables` has beyond the database."""
    with _connected(url) as connection:
        settings = config(connection)
        count = len(list(ScriptDirectory.from_config(settings).walk_revisions()))
        script = command.revision(settings, message=name, autogenerate=True, rev_id=f"{count + 1:04d}")
    path = Path(script.path)  # type: ignore[union-attr]
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "# ###" not in line))
    return path


def config(connection: Connection | None = None) -> Config:
    """Alembic's settings; `env.py` uses the connection."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent))
    settings.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    settings.attributes["connection"] = connection
    return settings


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            connection.execute(text(f"SET statement_timeout = '{_STATEMENT_TIMEOUT}'"))
            connection.commit()
            yield connection
    finally:
        engine.dispose()
