"""A key for the SDKs."""

import pytest

from tests.e2e.admin import Tenant

# Each is asked in its own format; the model's name tells which.
VENDORS = ("openai", "anthropic", "google")


# The catalogue has no price of these, so the customer has its own: $0.02 an image.
UNPRICED = ("dall-e-2", "dall-e-3")
NANOUSD_PER_MILLION = 20_000_000 * 1_000_000


@pytest.fixture
def secret(tenant: Tenant) -> str:
    """Of a key that may ask all of them for everything."""
    providers = [tenant.provider(each, credential="sk-vendor") for each in VENDORS]
    for model in UNPRICED:
        tenant.price(providers[0], model, input=0, output=0, image=NANOUSD_PER_MILLION)
    tenant.route(*providers)
    return tenant.key().secret
