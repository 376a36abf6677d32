"""One product for all tests of a process, and an audit of its ledger after each file."""

from collections.abc import Iterator

import pytest

from tests.e2e.admin import Tenant
from tests.e2e.stack import Stack, running, verify


@pytest.fixture(scope="session")
def stacks() -> list[Stack]:
    """The products that run now; whoever starts one adds it, so that it is audited."""
    return []


@pytest.fixture(scope="session")
def stack(stacks: list[Stack]) -> Iterator[Stack]:
    """A product with two edge workers that tests share; each test has a customer of its own."""
    with running({"TOLLKEEPER_EDGE_WORKERS": "2"}) as stack:
        stacks.append(stack)
        yield stack
        stacks.remove(stack)


@pytest.fixture
def tenant(stack: Stack) -> Tenant:
    """A new customer without budget whose router leads to OpenAI through the gateway."""
    return stack.admin.tenant()


@pytest.fixture(scope="module", autouse=True)
def audited(stacks: list[Stack]) -> Iterator[None]:
    """After each file: the invariants hold, nothing was refused, both planes priced alike."""
    yield
    for stack in stacks:
        audit(stack)


def audit(stack: Stack) -> None:
    """Raises AssertionError naming what is wrong with the books."""
    report = verify(stack.up.data_dir)
    assert report["refused"] == {}
    assert report["gaps"] == []
    assert stack.counted("tollkeeper_control_cost_mismatch_total") == 0
