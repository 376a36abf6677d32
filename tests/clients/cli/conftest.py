"""A real stack for the command line, one for all tests of this directory."""

from collections.abc import Iterator

import pytest

from tests.supervisor.stack import Up, directory, end, start


@pytest.fixture(scope="package")
def up() -> Iterator[Up]:
    """`tollkeeper up` on free ports."""
    with directory() as place:
        running = start(place / "data")
        yield running
        end(running)
