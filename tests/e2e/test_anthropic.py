"""Anthropic over the whole product: what OpenAI's clients and its own are billed, to the nano-dollar."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.stack import Stack
from tollkeeper.money import format_usd
from tollkeeper.v1.edge_pb2 import UsageState

MODEL = "claude-own"
# Nano-dollars a million; no two alike.
RATES = {
    "input": 3_000_000,
    "cached_input": 300_000,
    "cache_write": 3_750_000,
    "cache_write_1h": 6_000_000,
    "output": 15_000_000,
    "web_search": 10_000_000,
}
ASK = "prompt=1000 cached=400 cache_write=300 cache_write_1h=100 tokens=50 reasoning=20"
# 300 × 3 + 400 × 0.3 + 200 × 3.75 + 100 × 6 + 50 × 15
COST_NANOUSD = 900 + 120 + 750 + 600 + 750


@pytest.fixture(params=["gateway", "direct"])
def key(request: pytest.FixtureRequest, stack: Stack, tenant: Tenant) -> VirtualKey:
    """A key whose only route leads to Anthropic, through Cloudflare or directly."""
    fields = {"base_url": f"{stack.simulator}/v1"} if request.param == "direct" else {}
    provider_id = tenant.provider("anthropic", credential="sk-ant-own", **fields)
    tenant.price(provider_id, MODEL, **RATES)
    tenant.route(provider_id)
    return tenant.key()


@pytest.fixture
def chat(stack: Stack, key: VirtualKey) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.edge}/v1", api_key=key.secret) as client:
        yield client


@pytest.fixture
def native(stack: Stack, key: VirtualKey) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stack.edge, api_key=key.secret) as client:
        yield client


def said(steering: str) -> list[Any]:
    """One message, whose answer the simulator steers."""
    return [{"role": "user", "content": f"Hello [[sim {steering}]]"}]


def booked(tenant: Tenant, key: VirtualKey, cost_nanousd: int) -> Any:
    """The only request: its usage is the vendor's, its one ledger entry its cost."""
    [entry] = tenant.settled(1)
    assert (entry.state, entry.cost_nanousd) == (UsageState.USAGE_STATE_REPORTED, cost_nanousd)
    assert tenant.entries(entry.usage_id) == [("post", cost_nanousd)]
    assert tenant.spend(key) == cost_nanousd
    return entry


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a19_chat_of_anthropic(chat: openai.OpenAI, tenant: Tenant, key: VirtualKey, stream: bool) -> None:
    """OpenAI's SDK: both lifetimes of cache writes, and thinking within the output."""
    if stream:
        with chat.chat.completions.create(model=MODEL, messages=said(ASK), stream=True) as chunks:
            assert list(chunks)[-1].choices[0].finish_reason == "stop"
    else:
        answer = chat.chat.completions.with_raw_response.create(model=MODEL, messages=said(ASK))
        assert answer.headers["x-tollkeeper-cost-usd"] == format_usd(COST_NANOUSD)
    entry = booked(tenant, key, COST_NANOUSD)
    assert (entry.response_model, entry.finish) == (MODEL, "stop")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a19_messages(native: anthropic.Anthropic, tenant: Tenant, key: VirtualKey, stream: bool) -> None:
    """Anthropic's SDK: the same bill."""
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "messages": said(ASK)}
    if stream:
        with native.messages.stream(**asked) as events:
            assert events.get_final_message().usage.output_tokens == 50
    else:
        assert native.messages.create(**asked).usage.output_tokens == 50
    booked(tenant, key, COST_NANOUSD)


def test_a19_searches(native: anthropic.Anthropic, tenant: Tenant, key: VirtualKey) -> None:
    """Each search at its price; the tool says how many the hold must cover."""
    tools: list[Any] = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]
    native.messages.create(
        model=MODEL, max_tokens=100, messages=said("prompt=10 tokens=5 web_searches=2"), tools=tools
    )
    booked(tenant, key, 10 * 3 + 5 * 15 + 2 * 10)


def test_counting_tokens_costs_nothing(native: anthropic.Anthropic, tenant: Tenant, key: VirtualKey) -> None:
    """It is in the log, and in no ledger."""
    assert native.messages.count_tokens(model=MODEL, messages=said("tokens=1")).input_tokens > 0
    [entry] = tenant.settled(1)
    assert entry.cost_nanousd == 0
    assert tenant.spend(key) == 0


def test_models(native: anthropic.Anthropic, chat: openai.OpenAI) -> None:
    """What the key may ask for, to each SDK in its vendor's shape."""
    listed = [model.id for model in native.models.list()]
    assert MODEL in listed
    assert listed == [model.id for model in chat.models.list()]
    assert native.models.retrieve(MODEL).display_name == MODEL


def test_what_can_not_be_carried_costs_nothing(chat: openai.OpenAI, tenant: Tenant, key: VirtualKey) -> None:
    """The field is named, and what was held is given back."""
    with pytest.raises(openai.BadRequestError) as raised:
        chat.chat.completions.create(model=MODEL, messages=said("tokens=1"), seed=5)
    assert raised.value.param == "seed"
    [entry] = tenant.settled(1)
    assert (entry.state, entry.cost_nanousd) == (UsageState.USAGE_STATE_VOIDED, 0)
    assert tenant.spend(key) == 0


@pytest.mark.parametrize(
    ("steering", "state"),
    [
        ("cut_after=5", UsageState.USAGE_STATE_ESTIMATED),
        ("error_event_after=5 drip_ms=0", UsageState.USAGE_STATE_ESTIMATED),
        ("no_done tokens=5 prompt=10", UsageState.USAGE_STATE_REPORTED),
    ],
)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a17_streams_that_break(
    chat: openai.OpenAI,
    native: anthropic.Anthropic,
    tenant: Tenant,
    steering: str,
    state: UsageState,
    dialect: str,
) -> None:
    """The client is told, and it is booked once: what was reported at the end, else an estimate."""
    if dialect == "openai":
        with pytest.raises(openai.APIError):
            list(chat.chat.completions.create(model=MODEL, messages=said(steering), stream=True))
    else:
        with pytest.raises(anthropic.APIError):
            list(native.messages.create(model=MODEL, max_tokens=100, messages=said(steering), stream=True))
    [entry] = tenant.settled(1)
    assert entry.state == state
    assert len(tenant.entries(entry.usage_id)) == 1
