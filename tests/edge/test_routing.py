"""From rules to ordered attempts."""

import pytest

from edge.candidates import candidates
from edge.families.chat import CHAT
from edge.prices import PriceView
from edge.routing import Route, RouteTable
from edge.upstream.cloudflare import Gateway
from edge.upstream.limits import Origin
from tests.edge.fake_ledger import grant, price, rule
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

GATEWAY = Gateway(Origin("https", "gateway.ai.cloudflare.com", 443), "a" * 32, "token", "shared")


def table(*rules: edge_pb2.Rule, **fields: object) -> RouteTable:
    """The routes of a grant with these rules."""
    return RouteTable(grant(*rules, **fields), GATEWAY)


def routed(*rules: edge_pb2.Rule, model: str = "m") -> tuple[Route, ...]:
    """Where chat with a model goes."""
    return table(*rules).routes(CHAT, False, model, None)


def names(routes: tuple[Route, ...]) -> list[str]:
    """Who is tried, in order."""
    return [route.rule.provider_name for route in routes]


def test_priority_decides() -> None:
    """Lower first, whatever the order of the grant; equal ones stay as they are."""
    routes = routed(rule("c", priority=3), rule("a", priority=1), rule("b", priority=3))

    assert names(routes) == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("lists", "model", "tried"),
    [
        ([(), ()], "gpt-4o", ["r0", "r1"]),
        ([("gpt-*",), ("claude-*",)], "gpt-4o", ["r0"]),
        ([("gpt-4o",), ("gpt-4o-mini", "gpt-4o")], "gpt-4o", ["r0", "r1"]),
        ([("gpt-4o",), ("*",)], "o3", ["r1"]),
    ],
)
def test_rules_take_their_models(lists: list[tuple[str, ...]], model: str, tried: list[str]) -> None:
    """A rule with a list takes only what is on it."""
    rules = [rule(f"r{number}", allowed_models=each) for number, each in enumerate(lists)]

    assert names(routed(*rules, model=model)) == tried


def test_disabled_providers_are_skipped() -> None:
    """The next one serves."""
    assert names(routed(rule("off", provider_enabled=False), rule("on"))) == ["on"]


@pytest.mark.parametrize(
    ("view", "model", "provider", "reason"),
    [
        (table(), "m", None, Reason.ROUTER_WITHOUT_RULES),
        (table(rule("a"), allowed_models=["gpt-*"]), "o3", None, Reason.MODEL_NOT_ALLOWED),
        (table(rule("a", allowed_models=["gpt-*"])), "o3", None, Reason.MODEL_NOT_ALLOWED),
        (table(rule("a"), customer_allowed_models=["gpt-*"]), "o3", None, Reason.MODEL_NOT_ALLOWED),
        (
            table(rule("a"), allowed_models=["o3"], customer_allowed_models=["gpt-*"]),
            "gpt-4o",
            None,
            Reason.MODEL_NOT_ALLOWED,
        ),
        (table(rule("a", provider_enabled=False)), "m", None, Reason.ALL_PROVIDERS_FAILED),
        (table(rule("a", provider_type="custom")), "m", None, Reason.ALL_PROVIDERS_FAILED),
        (table(rule("a")), "m", "nobody", Reason.INVALID_ARGUMENT),
    ],
)
def test_refusals(view: RouteTable, model: str, provider: str | None, reason: Reason) -> None:
    """Each with its own reason, and the same one when asked again."""
    for _ in range(2):
        with pytest.raises(TollkeeperError) as caught:
            view.routes(CHAT, False, model, provider)
        assert caught.value.reason == reason


def test_no_enabled_provider_means_no_attempts() -> None:
    """Clients see an empty list of attempts."""
    with pytest.raises(TollkeeperError) as caught:
        routed(rule("a", provider_enabled=False))

    assert caught.value.metadata["attempts"] == "[]"


@pytest.mark.parametrize("asked", ["google", "gemini", "google-ai-studio", "Our Gemini", "provider-b"])
def test_a_named_provider_is_the_only_one(asked: str) -> None:
    """By type, by Cloudflare's slug, by name or by id."""
    rules = [rule("a"), rule("b", provider_type="google", provider_name="Our Gemini")]

    assert names(table(*rules).routes(CHAT, False, "m", asked)) == ["Our Gemini"]


def test_a_rewritten_model_is_asked_of_the_vendor() -> None:
    """Lists are about the model asked for, prices about the one that is served."""
    routes = routed(rule("a", allowed_models=["fast"], model_rewrite="gpt-4o-mini"), model="fast")

    assert routes[0].model == "gpt-4o-mini"


def test_unpriced_routes_are_skipped() -> None:
    """What can't be billed isn't tried."""
    routes = routed(rule("a", model_rewrite="new"), rule("b"))
    known = PriceView(price("m"))
    priced = candidates(routes, lambda _, model: known if model == "m" else None, "m")

    assert [each.route.rule.provider_name for each in priced] == ["b"]


def test_no_price_at_all_is_refused() -> None:
    """With the model's name, so that a price can be added."""
    with pytest.raises(TollkeeperError) as caught:
        candidates(routed(rule("a")), lambda *_: None, "m")

    assert caught.value.reason == Reason.MODEL_NOT_PRICED
    assert caught.value.metadata == {"param": "model", "model": "m"}


def test_offered_models() -> None:
    """Priced, on the key's list, and taken by the rule of a provider that is on."""
    view = table(
        rule("a", allowed_models=["gpt-*"]),
        rule("b", provider_type="anthropic", provider_enabled=False),
        rule("c", provider_type="custom", base_url="https://llm.example.com/v1"),
        rule("d", allowed_models=["fast", "any-*"], model_rewrite="gpt-4o"),
        allowed_models=["gpt-4o", "claude-x", "own", "fast"],
    )
    priced = [("openai", "gpt-4o"), ("openai", "gpt-5"), ("openai", "o3"), ("anthropic", "claude-x")]
    own = [("provider-c", "own"), ("provider-z", "other")]

    assert view.offered(priced, own) == {"gpt-4o": "openai", "own": "custom", "fast": "openai"}


def test_the_customer_s_models_bound_what_is_offered() -> None:
    """Together with the key's own."""
    offering = table(rule("a"), allowed_models=["*-mini", "o3"], customer_allowed_models=["gpt-*"])
    priced = [("openai", model) for model in ("gpt-4o-mini", "gpt-4o", "o3", "o4-mini")]

    assert set(offering.offered(priced, [])) == {"gpt-4o-mini"}
