"""Where requests go and with which headers."""

import orjson
import pytest

from edge.upstream.cloudflare import (
    Credential,
    Destination,
    Endpoint,
    Gateway,
    direct_destination,
    gateway_destination,
)
from edge.upstream.limits import Origin
from tollkeeper.operations import Operation

GATEWAY = Gateway(Origin("https", "gateway.ai.cloudflare.com", 443), "a" * 32, "cf-token", "shared")
OWN_KEY = Credential("sk-own", "")


def chat_of(destination: Destination) -> Endpoint:
    """Where chat for a model goes."""
    endpoint = destination.endpoint(Operation.CHAT, "m")
    assert endpoint is not None
    return endpoint


def headers(endpoint: Endpoint) -> dict[str, str]:
    """The header lines as they go on the wire."""
    told = endpoint.through.plain if endpoint.through is not None else b""
    lines = (endpoint.headers + told).decode().removesuffix("\r\n").split("\r\n")
    return dict(line.split(": ", 1) for line in lines)


def through(provider_type: str, credential: Credential = OWN_KEY, gateway: Gateway = GATEWAY) -> Endpoint:
    """A provider of this type behind the customer's own gateway."""
    return chat_of(
        gateway_destination(gateway, provider_type, "", "acme", credential, {"customer": "c1", "key": "k1"})
    )


@pytest.mark.parametrize(
    ("provider_type", "path", "prefix", "limit_field", "renames"),
    [
        ("openai", "openai/chat/completions", "", "max_completion_tokens", False),
        ("groq", "groq/chat/completions", "", "max_completion_tokens", False),
        ("mistral", "mistral/v1/chat/completions", "", "max_tokens", True),
        ("deepseek", "deepseek/chat/completions", "", "max_tokens", True),
        ("grok", "grok/v1/chat/completions", "", "max_completion_tokens", False),
        ("openrouter", "openrouter/v1/chat/completions", "", "max_completion_tokens", False),
        ("workers-ai", "workers-ai/v1/chat/completions", "", "max_tokens", True),
        ("cohere", "compat/chat/completions", "cohere/", "max_tokens", False),
    ],
)
def test_paths(provider_type: str, path: str, prefix: str, limit_field: str, renames: bool) -> None:
    """What follows the gateway, as Cloudflare documents it for each provider."""
    endpoint = through(provider_type)

    assert endpoint.target == f"/v1/{'a' * 32}/acme/{path}"
    assert (endpoint.model_prefix, endpoint.limit_field) == (prefix, limit_field)
    assert endpoint.renames_limit is renames
    assert endpoint.origin == GATEWAY.origin
    assert not endpoint.direct


def test_a_customer_without_a_gateway_shares_one() -> None:
    """The shared one by its id."""
    endpoint = chat_of(gateway_destination(GATEWAY, "openai", "", "", OWN_KEY, {}))

    assert endpoint.target == f"/v1/{'a' * 32}/shared/openai/chat/completions"


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        (Credential("sk-own", ""), {"authorization": "Bearer sk-own"}),
        (Credential("", "team-a"), {"cf-aig-byok-alias": "team-a"}),
        (Credential("", ""), {}),
    ],
)
def test_a_provider_header_only_with_a_credential(credential: Credential, expected: dict[str, str]) -> None:
    """Any such header is forwarded in place of a stored key, and makes unified billing fail."""
    sent = headers(through("openai", credential))

    credentials = {name: sent[name] for name in ("authorization", "cf-aig-byok-alias") if name in sent}
    assert credentials == expected
    assert sent["cf-aig-authorization"] == "Bearer cf-token"
    assert sent["cf-aig-skip-cache"] == "true"
    assert "cf-aig-collect-log" not in sent


def test_without_a_token_no_authorization_at_the_gateway() -> None:
    """An open gateway needs none."""
    assert "cf-aig-authorization" not in headers(
        through("openai", gateway=Gateway(GATEWAY.origin, "a" * 32, None, "shared"))
    )


def test_metadata_is_flat_and_short() -> None:
    """One null or nested value would make Cloudflare drop all of it."""
    metadata = {"customer": "c" * 300, "key": "ключ", "team": ""}
    sent = headers(chat_of(gateway_destination(GATEWAY, "openai", "", "", OWN_KEY, metadata)))

    assert orjson.loads(sent["cf-aig-metadata"]) == {"customer": "c" * 100, "key": "????"}


@pytest.mark.parametrize(
    ("base_url", "origin", "target"),
    [
        (
            "https://llm.example.com/v1",
            Origin("https", "llm.example.com", 443),
            "/v1/chat/completions",
        ),
        (
            "https://llm.example.com/v1/",
            Origin("https", "llm.example.com", 443),
            "/v1/chat/completions",
        ),
        (
            "https://llm.example.com/x/chat/completions",
            Origin("https", "llm.example.com", 443),
            "/x/chat/completions",
        ),
        ("http://127.0.0.1:8090", Origin("http", "127.0.0.1", 8090), "/chat/completions"),
        ("http://[::1]:8090/v1", Origin("http", "::1", 8090), "/v1/chat/completions"),
    ],
)
def test_direct(base_url: str, origin: Origin, target: str) -> None:
    """A base URL as it is when it names the endpoint, else with it."""
    endpoint = chat_of(direct_destination("custom", base_url, OWN_KEY))

    assert (endpoint.origin, endpoint.target, endpoint.direct) == (origin, target, True)
    assert headers(endpoint)["authorization"] == "Bearer sk-own"
    assert not any(name.startswith("cf-") for name in headers(endpoint))
    assert endpoint.event_id_header == b"x-client-request-id: "


def test_credentials_never_show() -> None:
    """Neither in the repr of an endpoint nor of what it was made from."""
    assert "sk-own" not in repr(through("openai")) + repr(OWN_KEY)


def test_an_operation_has_its_path_or_none() -> None:
    """What a vendor doesn't serve leads nowhere; an address of the customer's own may serve everything."""
    to_groq = gateway_destination(GATEWAY, "groq", "", "acme", OWN_KEY, {})
    own = direct_destination("groq", "https://llm.example.com/v1", OWN_KEY)
    chat_only = direct_destination("custom", "https://llm.example.com/v1/chat/completions", OWN_KEY)

    assert to_groq.endpoint(Operation.EMBEDDINGS, "m") is None
    speech, embeddings = to_groq.endpoint(Operation.SPEECH, "m"), own.endpoint(Operation.EMBEDDINGS, "m")
    assert speech is not None
    assert embeddings is not None
    assert speech.target == f"/v1/{'a' * 32}/acme/groq/audio/speech"
    assert embeddings.target == "/v1/embeddings"
    assert chat_only.endpoint(Operation.EMBEDDINGS, "m") is None


def test_anthropic() -> None:
    """Its own paths through Cloudflare, directly, and at an address of the customer's own; its own key
    header."""
    through_cloudflare = gateway_destination(GATEWAY, "anthropic", "", "acme", OWN_KEY, {})
    direct = direct_destination("anthropic", "", OWN_KEY)
    own = direct_destination("anthropic", "https://llm.example.com/v1", OWN_KEY)
    for destination, target in (
        (through_cloudflare, f"/v1/{'a' * 32}/acme/anthropic/v1/messages"),
        (direct, "/v1/messages"),
        (own, "/v1/messages"),
    ):
        endpoint = destination.endpoint(Operation.MESSAGES, "m")
        assert endpoint is not None
        assert endpoint.target == target
        assert headers(endpoint)["x-api-key"] == "sk-own"
        assert "authorization" not in headers(endpoint)
        assert destination.endpoint(Operation.CHAT, "m") is None
    assert direct.root.origin.host == "api.anthropic.com"


def test_azure_names_resource_and_model_in_its_path() -> None:
    """With the vendor's own key header; a model can't leave its place in the path."""
    to_azure = gateway_destination(
        GATEWAY, "azure-openai", "https://ours.openai.azure.com", "acme", OWN_KEY, {}
    )
    endpoint = to_azure.endpoint(Operation.CHAT, "a/../b?c")
    assert endpoint is not None
    target = endpoint.target

    start = f"/v1/{'a' * 32}/acme/azure-openai/ours/"
    assert target == f"{start}a%2F..%2Fb%3Fc/chat/completions?api-version=2024-10-21"
    assert headers(endpoint)["api-key"] == "sk-own"
    assert "authorization" not in headers(endpoint)


@pytest.mark.parametrize(
    ("provider_type", "target", "limit_field", "renames"),
    [
        ("openai", "api.openai.com/v1/chat/completions", "max_completion_tokens", False),
        ("mistral", "api.mistral.ai/v1/chat/completions", "max_tokens", True),
        ("groq", "api.groq.com/openai/v1/chat/completions", "max_completion_tokens", False),
    ],
)
def test_direct_by_type(provider_type: str, target: str, limit_field: str, renames: bool) -> None:
    """The vendor's own OpenAI address, and the name of the limit that it knows."""
    endpoint = chat_of(direct_destination(provider_type, "", OWN_KEY))

    assert f"{endpoint.origin.host}{endpoint.target}" == target
    assert (endpoint.limit_field, endpoint.renames_limit, endpoint.direct) == (limit_field, renames, True)


@pytest.mark.parametrize(
    ("base_url", "start"),
    [
        (None, f"gateway.example.com/v1/{'a' * 32}/acme/google-ai-studio/v1beta"),
        ("", "generativelanguage.googleapis.com/v1beta"),
        ("https://llm.example.com/v1beta/openai/", "llm.example.com/v1beta"),
    ],
)
def test_google_names_model_and_method_in_its_path(base_url: str | None, start: str) -> None:
    """With the vendor's own key header; streams always as events. A model can't leave its place in the
    path."""
    if base_url is None:
        to_google = gateway_destination(GATEWAY, "gemini", "", "acme", OWN_KEY, {})
    else:
        to_google = direct_destination("google", base_url, OWN_KEY)
    endpoint = to_google.endpoint(Operation.STREAM_GENERATE_CONTENT, "a/../b?c")
    assert endpoint is not None
    host = endpoint.origin.host if base_url is not None else "gateway.example.com"
    assert f"{host}{endpoint.target}" == f"{start}/models/a%2F..%2Fb%3Fc:streamGenerateContent?alt=sse"
    assert headers(endpoint)["x-goog-api-key"] == "sk-own"
    assert "authorization" not in headers(endpoint)
    assert to_google.endpoint(Operation.CHAT, "m") is None


@pytest.mark.parametrize("provider_type", ["elevenlabs", "custom", "nobody"])
def test_types_without_a_path_are_refused(provider_type: str) -> None:
    """Rather than sent to a path that Cloudflare doesn't have."""
    with pytest.raises(ValueError, match="no path"):
        through(provider_type)
