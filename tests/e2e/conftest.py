"""One product for all tests of a process."""

from collections.abc import Iterator

import pytest

from tests.e2e.admin import Tenant
from tests.e2e.stack import Stack, audited


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A product with two edge workers that tests share; each test has a customer of its own."""
    with audited({"TOLLKEEPER_EDGE_WORKERS": "2"}) as stack:
        yield stack


@pytest.fixture
def tenant(stack: Stack) -> Tenant:
    """A new customer without budget whose router leads to OpenAI through the gateway."""
    return stack.admin.tenant()
