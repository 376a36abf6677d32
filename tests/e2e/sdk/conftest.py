"""A key for the SDKs."""

import pytest

from tests.e2e.admin import Tenant
from tollkeeper.v1.routers_pb2 import RoutingRule

# Which models each vendor is asked for, in its own format; OpenAI for all others.
MODELS = {"anthropic": ["claude*"], "google": ["gemini*"], "openai": []}


# The catalogue has no price of these, so the customer has its own: $0.02 an image.
UNPRICED = ("dall-e-2", "dall-e-3")
NANOUSD_PER_MILLION = 20_000_000 * 1_000_000


@pytest.fixture
def secret(tenant: Tenant) -> str:
    """Of a key that may ask all of them for everything."""
    rules = [
        RoutingRule(
            provider_id=tenant.provider(vendor, credential="sk-vendor"),
            allowed_models=models,
            priority=place,
        )
        for place, (vendor, models) in enumerate(MODELS.items(), 1)
    ]
    for model in UNPRICED:
        tenant.price(rules[-1].provider_id, model, input=0, output=0, image=NANOUSD_PER_MILLION)
    tenant.route(*rules)
    return tenant.key().secret
