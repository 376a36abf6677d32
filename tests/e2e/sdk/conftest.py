"""A key for the SDKs."""

import pytest

from tests.e2e.admin import Tenant


@pytest.fixture
def secret(tenant: Tenant) -> str:
    """Of a key that may ask for everything the tenant has."""
    return tenant.key().secret
