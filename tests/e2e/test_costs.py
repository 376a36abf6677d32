"""A19: the cost of a request, exact to the nano-dollar, against figures worked out by hand."""

import pytest

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.bills import mini_nanousd, total_nanousd
from tests.e2e.stack import Stack
from tests.e2e.upstreams import MODEL, answers, vendor
from tests.e2e.wire import ask, burst, chat, steered
from tollkeeper.money import format_usd
from tollkeeper.v1.edge_pb2 import UsageState

# gpt-4o-mini: 150 nano-dollars an input token, 75 a cached one, 600 an output token. What is asked of the
# simulator, and what that costs.
GLOBAL = [
    ("prompt=2048 tokens=300", 2048 * 150 + 300 * 600),
    ("prompt=2048 cached=1024 tokens=300", 1024 * 150 + 1024 * 75 + 300 * 600),
    ("prompt=2048 cached=2048 tokens=1", 2048 * 75 + 1 * 600),
    ("prompt=2048 cached=1024 cache_write=512 tokens=300", 512 * 150 + 1024 * 75 + 512 * 150 + 300 * 600),
    ("prompt=10 tokens=300 reasoning=256", 10 * 150 + 300 * 600),
    ("prompt=1 tokens=0", 1 * 150),
]
# Rates that no two components share, in nano-dollars per million: sums are rounded up once, at the end.
ODD = {
    "input": 1_234_567,
    "cached_input": 123_457,
    "cache_write": 1_543_211,
    "output": 9_876_543,
    "reasoning": 7_654_321,
}
OWN = [
    # 1000 × 1.234567 + 50 × 9.876543 = 1728.39415
    ("prompt=1000 tokens=50", ODD, 1729),
    # 500 × 1.234567 + 300 × 0.123457 + 200 × 1.543211 + 30 × 9.876543 + 20 × 7.654321 = 1412.34551
    ("prompt=1000 cached=300 cache_write=200 tokens=50 reasoning=20", ODD, 1413),
    # 1.234567 + 9.876543 = 11.11111
    ("prompt=1 tokens=1", ODD, 12),
    # A component without a rate costs what its parent does: 10 × 1 + 7 × 3
    ("prompt=10 cached=4 cache_write=2 tokens=7 reasoning=5", {"input": 1_000_000, "output": 3_000_000}, 31),
    # 10 × 1 + 7 × 3 + 500 a request
    ("prompt=10 tokens=7", {"input": 1_000_000, "output": 3_000_000, "request": 500_000_000}, 531),
    # One millionth of a nano-dollar is booked as a whole one; nothing is nothing.
    ("prompt=1 tokens=7", {"input": 1, "output": 0}, 1),
    ("prompt=1000 tokens=1000", {"input": 0, "output": 0}, 0),
]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("pairs", "cost_nanousd"), GLOBAL)
async def test_a19_global_price(
    stack: Stack, tenant: Tenant, pairs: str, cost_nanousd: int, stream: bool
) -> None:
    """The seeded price of gpt-4o-mini; the simulator's own bill, priced here, is the same."""
    before = stack.billed()
    reply = await ask(stack.edge, tenant.key().secret, steered(pairs, stream=stream))
    assert reply.status == 200, reply.body
    [entry] = tenant.settled(1)
    assert entry.cost_nanousd == cost_nanousd
    assert entry.state == UsageState.USAGE_STATE_REPORTED
    assert tenant.entries(entry.usage_id) == [("post", cost_nanousd)]
    assert [mini_nanousd(row) for row in stack.bill(before)] == [cost_nanousd]
    if not stream:
        assert reply.headers["x-tollkeeper-cost-usd"] == format_usd(cost_nanousd)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("pairs", "rates", "cost_nanousd"), OWN)
async def test_a19_own_price(
    stack: Stack, tenant: Tenant, pairs: str, rates: dict[str, int], cost_nanousd: int, stream: bool
) -> None:
    """A customer's own price, every component at a rate of its own, at a vendor called directly."""
    provider_id = tenant.provider("custom", base_url=f"{stack.simulator}/v1", credential="sk-own")
    tenant.price(provider_id, "own-model", **rates)
    tenant.route(provider_id)
    reply = await ask(stack.edge, tenant.key().secret, steered(pairs, model="own-model", stream=stream))
    assert reply.status == 200, reply.body
    [entry] = tenant.settled(1)
    assert entry.cost_nanousd == cost_nanousd
    if not stream:
        assert reply.headers["x-tollkeeper-cost-usd"] == format_usd(cost_nanousd)


async def test_a19_all_choices_are_billed(stack: Stack, tenant: Tenant) -> None:
    """n=3: three times the output, once the prompt."""
    await ask(stack.edge, tenant.key().secret, steered("prompt=100 tokens=10", n=3))
    assert tenant.settled(1)[0].cost_nanousd == 100 * 150 + 3 * 10 * 600


async def test_a19_the_last_usage_counts(stack: Stack, tenant: Tenant) -> None:
    """A vendor that reports usage on every chunk isn't billed their sum; the finish chunk will do, too."""
    key = tenant.key()
    await ask(stack.edge, key.secret, steered("prompt=100 tokens=10 usage_every_chunk", stream=True))
    await ask(stack.edge, key.secret, steered("prompt=100 tokens=10 usage_in_finish", stream=True))
    assert [entry.cost_nanousd for entry in tenant.settled(2)] == [100 * 150 + 10 * 600] * 2


async def test_a19_reasoning_that_only_the_total_tells(stack: Stack, tenant: Tenant) -> None:
    """Some vendors leave reasoning out of completion_tokens; what the total has on top is output."""
    body = b'{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":40}}'
    async with vendor(answers(body)) as upstream:
        await ask(stack.edge, upstream.key(tenant).secret, chat(model=MODEL))
    assert tenant.settled(1)[0].cost_nanousd == 10 * 1 + 30 * 2


async def test_a19_a_mixed_load_is_what_the_vendor_billed(stack: Stack, tenant: Tenant) -> None:
    """Sixty requests at once: the key's spend, its usage and the vendor's bill are one figure."""
    key = tenant.key()
    before = stack.billed()
    requests = [_mixed(key, place) for place in range(60)]
    assert {reply.status for reply in await burst(stack.edge, requests)} == {200}
    usage = tenant.settled(60, key)
    rows = {row["event_id"]: mini_nanousd(row) for row in stack.bill(before)}
    assert {f"{entry.usage_id}-1": entry.cost_nanousd for entry in usage} == rows
    assert tenant.spend(key) == sum(rows.values())


def _mixed(key: VirtualKey, place: int) -> tuple[str, bytes]:
    pairs = f"prompt={place * 7 + 1} cached={place * 3} tokens={place % 9 + 1} reasoning={place % 3}"
    return key.secret, steered(pairs, stream=place % 2 == 0)


async def test_a19_the_command_line_shows_it(stack: Stack, tenant: Tenant) -> None:
    """`keys show`, `usage list` and `usage show` tell the same amount, as decimal text."""
    key = tenant.key()
    before = stack.billed()
    await ask(stack.edge, key.secret, steered("prompt=1001 cached=10 tokens=7"))
    tenant.settled(1)
    cost_usd = format_usd(total_nanousd(stack.bill(before)))
    customer = ("--customer", tenant.customer_id)
    assert stack.cli_json("keys", "show", key.key_id, *customer)["spend_usd"] == cost_usd
    [listed] = stack.cli_json("usage", "list", *customer)
    assert listed["cost_usd"] == cost_usd
    assert (listed["usage"]["input_tokens"], listed["usage"]["cached_input_tokens"]) == (1001, 10)
    shown = stack.cli_json("usage", "show", listed["usage_id"], *customer)
    assert [(each["label"], each["amount_usd"]) for each in shown["entries"]] == [("post", cost_usd)]
