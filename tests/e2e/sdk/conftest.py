"""A key for the SDKs."""

import pytest

from tests.e2e.admin import Tenant

# Each is asked in its own format; the model's name tells which.
VENDORS = ("openai", "anthropic", "google")


@pytest.fixture
def secret(tenant: Tenant) -> str:
    """Of a key that may ask all of them for everything."""
    tenant.route(*(tenant.provider(each, credential="sk-vendor") for each in VENDORS))
    return tenant.key().secret
