"""The table of provider types, and what may be asked of each."""

import pytest

from edge.destinations import destination_of
from edge.upstream.cloudflare import Gateway
from edge.upstream.limits import Origin
from tests.edge.fake_ledger import grant, rule
from tollkeeper.provider_types import (
    PROVIDER_TYPES,
    azure_resource,
    direct_base_url,
    find_type,
    leads_somewhere,
    why_unreachable,
)

GATEWAY = Gateway(Origin("https", "gateway.ai.cloudflare.com", 443), "a" * 32, "token", "shared")
AZURE_URL = "https://ours.openai.azure.com"


def test_the_named_types_are_there() -> None:
    """Those that requirement A2 and the issue name, by any of their names."""
    for name in (
        *("openai", "google", "gemini", "anthropic", "azure-openai", "workers-ai", "groq", "mistral"),
        *("deepseek", "grok", "xai", "openrouter", "custom", "perplexity-ai", "google-ai-studio"),
    ):
        assert find_type(name) is not None, name
    assert find_type("gemini") is find_type("google")
    assert find_type("nobody") is None


@pytest.mark.parametrize("base_url", ["", "https://llm.example.com/v1", AZURE_URL])
@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("type_name", list(PROVIDER_TYPES))
def test_control_and_edge_agree_on_what_leads_somewhere(type_name: str, direct: bool, base_url: str) -> None:
    """The dry run's word for it is what an edge finds; and what control accepts, an edge can serve."""
    view = grant(rule("a", provider_type=type_name, base_url=base_url, direct=direct)).rules[0]
    found = destination_of(view, grant(), GATEWAY)
    assert leads_somewhere(type_name, base_url, direct) == (found is not None)
    if why_unreachable(type_name, base_url, direct, True, "") is None:
        assert found is not None


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (("elevenlabs", "", False, True, ""), "no chat"),
        (("nobody", "", False, True, ""), "no chat"),
        (("parallel", "", True, True, ""), "a format of its own"),
        (("parallel", "https://llm.example.com", False, True, ""), "a format of its own"),
        (("anthropic", "", True, False, ""), "takes a credential"),
        (("aws-bedrock", "", True, True, ""), "a format of its own"),
        (("openai", "", False, True, "alias"), "give one of them"),
        (("openai", "", True, False, ""), "takes a credential"),
        (("openai", "", True, False, "alias"), "without Cloudflare"),
        (("workers-ai", "", True, True, ""), "takes a base_url"),
        (("azure-openai", "", False, True, ""), "needs a base_url"),
        (("azure-openai", "https://llm.example.com", False, True, ""), "needs a base_url"),
        (("azure-openai", "", True, True, ""), "takes a base_url"),
    ],
)
def test_what_can_not_work_is_refused(settings: tuple[str, str, bool, bool, str], word: str) -> None:
    """Each with the reason in words."""
    why = why_unreachable(*settings)
    assert why is not None
    assert word in why


@pytest.mark.parametrize(
    "settings",
    [
        ("openai", "", False, False, ""),
        ("openai", "", False, False, "alias"),
        ("openai", "", True, True, ""),
        ("openai", "https://llm.example.com/v1", False, False, ""),
        ("google", "", True, True, ""),
        ("anthropic", "", True, True, ""),
        ("anthropic", "https://llm.example.com/v1", False, True, ""),
        ("custom", "https://llm.example.com/v1", False, False, ""),
        ("azure-openai", AZURE_URL, False, True, ""),
        ("azure-openai", AZURE_URL, True, True, ""),
        ("workers-ai", "", False, True, ""),
    ],
)
def test_what_works_is_accepted(settings: tuple[str, str, bool, bool, str]) -> None:
    """Own key, stored key, unified billing, direct."""
    assert why_unreachable(*settings) is None


def test_azure() -> None:
    """The resource is the first label of its host; directly the version path follows a bare host."""
    assert azure_resource(AZURE_URL) == "ours"
    for other in ("https://a.b.openai.azure.com", "https://openai.azure.com", "https://example.com", ""):
        assert azure_resource(other) is None
    assert direct_base_url("azure-openai", AZURE_URL) == f"{AZURE_URL}/openai/v1"
    assert direct_base_url("azure-openai", f"{AZURE_URL}/v9") == f"{AZURE_URL}/v9"
