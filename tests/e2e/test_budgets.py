"""A16: hard budgets hold under bursts, and hardly any of them is left over when they are spent."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.bills import hold_nanousd, total_nanousd
from tests.e2e.stack import Stack, audited, found
from tests.e2e.wire import Reply, ask, burst, chat, steered, until
from tollkeeper.money import format_usd, parse_usd
from tollkeeper.v1.budgets_pb2 import Period

LIMIT = 10_000_000
"""One cent, in nano-dollars."""
BURST = 200
# Output limits whose holds are below a hundredth, and just below a tenth, of the limit.
SIZES = [100, 1500]
MAX_BURSTS = 12


@pytest.fixture(scope="module", params=[1, 4], ids=["1 worker", "4 workers"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A product with as many edge workers, in place of the shared one."""
    with audited({"TOLLKEEPER_EDGE_WORKERS": str(request.param)}) as stack:
        yield stack


def spending(place: int = 0, max_tokens: int = SIZES[0]) -> bytes:
    """A request whose answer is as long as it may be; every other one is streamed."""
    return steered("tokens=max", max_tokens=max_tokens, stream=place % 2 == 1)


def checked(replies: list[Reply]) -> int:
    """How many were served; all others are refusals about money."""
    refused = [reply for reply in replies if reply.status != 200]
    assert {(reply.status, reply.error["code"]) for reply in refused} <= {
        (429, "insufficient_quota"),
        (429, "budget_held"),
    }
    return len(replies) - len(refused)


async def burst_until_refused(stack: Stack, keys: list[VirtualKey], max_tokens: int) -> Reply:
    """Bursts over all keys until a request that is alone is refused, which is returned."""
    for _ in range(MAX_BURSTS):
        asked = [
            (keys[place % len(keys)].secret, spending(place // len(keys), max_tokens))
            for place in range(BURST)
        ]
        checked(await burst(stack.edge, asked))
        alone = await ask(stack.edge, keys[0].secret, spending(0, max_tokens))
        if alone.status != 200:
            return alone
    raise AssertionError(f"not spent after {MAX_BURSTS} bursts")


async def exhaust(stack: Stack, tenant: Tenant, keys: list[VirtualKey], max_tokens: int) -> Reply:
    """Spends the budget; checks the bill against it, and the ledger against the bill. Returns the refusal."""
    assert hold_nanousd(spending(1, max_tokens), max_tokens) <= LIMIT // 10
    before = stack.billed()
    refusal = await burst_until_refused(stack, keys, max_tokens)
    billed_nanousd = total_nanousd(stack.bill(before))
    assert billed_nanousd <= LIMIT
    assert billed_nanousd >= LIMIT * 9 // 10
    found(lambda: sum(tenant.spend(key) for key in keys) == billed_nanousd)
    return refusal


async def test_a16_one_burst_never_passes_a_key_budget(stack: Stack, tenant: Tenant) -> None:
    """200 requests at once on one cent, answers of any length: the vendor's bill stays within it."""
    key = tenant.key(budget_nanousd=LIMIT)
    before = stack.billed()
    requests = [(key.secret, spending(place, 40 + place)) for place in range(BURST)]
    assert 0 < checked(await burst(stack.edge, requests)) < BURST
    assert 0 < total_nanousd(stack.bill(before)) <= LIMIT


@pytest.mark.parametrize("max_tokens", SIZES)
async def test_a16_a_key_budget_is_spent_to_nine_tenths(
    stack: Stack, tenant: Tenant, max_tokens: int
) -> None:
    """Repeated bursts leave at most a tenth of it unspent; then a lone request is refused for good."""
    key = tenant.key(budget_nanousd=LIMIT)
    refusal = await exhaust(stack, tenant, [key], max_tokens)
    assert_final(refusal, "key", key.key_id, tenant.spend(key))


@pytest.mark.parametrize("max_tokens", SIZES)
async def test_a16_a_customer_budget_shared_by_five_keys(stack: Stack, max_tokens: int) -> None:
    """The same over five keys that have no budget of their own."""
    tenant = stack.admin.tenant(budget_nanousd=LIMIT)
    keys = [tenant.key() for _ in range(5)]
    refusal = await exhaust(stack, tenant, keys, max_tokens)
    spent = sum(tenant.spend(key) for key in keys)
    assert_final(refusal, "customer", tenant.customer_id, spent)


def assert_final(refusal: Reply, scope: str, scope_id: str, spent_nanousd: int) -> None:
    """Whose budget it is, how much of it is spent, and that no retry helps."""
    assert (refusal.status, refusal.error["type"]) == (429, "insufficient_quota")
    assert refusal.headers["x-should-retry"] == "false"
    assert "retry-after" not in refusal.headers
    told = refusal.error["tollkeeper"]
    assert (told["scope"], told["scope_id"]) == (scope, scope_id)
    assert told["limit_usd"] == format_usd(LIMIT)
    assert told["spent_usd"] == format_usd(spent_nanousd)
    assert told["reset_time"] is None
    assert parse_usd(told["hold_usd"]) > LIMIT - spent_nanousd
    assert f"${format_usd(LIMIT)}" in refusal.error["message"]
    assert "does not reset" in refusal.error["message"]


async def test_a16_what_is_said_to_fit_fits(stack: Stack, tenant: Tenant) -> None:
    """The largest limit named is served; one token more is refused."""
    key = tenant.key(budget_nanousd=LIMIT)
    assert (await ask(stack.edge, key.secret, steered("tokens=max", max_tokens=10_000))).status == 200
    found(lambda: tenant.spend(key) > 0)
    # The bodies are of one length, since each byte of the prompt is held for.
    refusal = await ask(stack.edge, key.secret, steered("tokens=max", max_tokens=9_999))
    largest = refusal.error["tollkeeper"]["largest_max_tokens"]
    assert 1_000 <= largest < 9_998
    assert f"max_tokens up to {largest}" in refusal.error["message"]
    more = await ask(stack.edge, key.secret, steered("tokens=max", max_tokens=largest + 1))
    assert (more.status, more.error["tollkeeper"]["largest_max_tokens"]) == (429, largest)
    fits = await ask(stack.edge, key.secret, steered("tokens=max", max_tokens=largest))
    assert fits.status == 200, fits.body
    found(lambda: tenant.spend(key) > LIMIT * 9 // 10)
    assert tenant.spend(key) <= LIMIT


async def test_a16_a_monthly_budget_names_its_reset(stack: Stack, tenant: Tenant) -> None:
    """The first moment of the next month, in UTC."""
    key = tenant.key(budget_nanousd=1_000, period=Period.PERIOD_MONTHLY)
    refusal = await ask(stack.edge, key.secret, spending())
    now = datetime.now(UTC)
    next_month = (now.replace(day=1) + timedelta(days=32)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    told = refusal.error["tollkeeper"]["reset_time"]
    assert datetime.fromisoformat(told.replace("Z", "+00:00")) == next_month


async def test_a16_a_raised_limit_serves_again(stack: Stack, tenant: Tenant) -> None:
    """Within seconds, at every worker that had remembered the refusal."""
    key = tenant.key(budget_nanousd=1_000)
    assert (await ask(stack.edge, key.secret, spending())).status == 429
    stack.cli_json("keys", "update", key.key_id, "--customer", tenant.customer_id, "--budget-usd", "0.01")
    await until(stack.edge, key.secret, spending(), 200, within_s=3)
    found(lambda: tenant.spend(key) > 1_000)


async def test_a_clamped_key_is_served_what_it_can_pay(stack: Stack, tenant: Tenant) -> None:
    """In place of a refusal the vendor gets a lower limit, and a header says which."""
    key = tenant.key(budget_nanousd=LIMIT, clamp_output=True)
    reply = await ask(stack.edge, key.secret, spending(max_tokens=100_000))
    assert reply.status == 200, reply.body
    clamped = int(reply.headers["x-tollkeeper-clamped-max-tokens"])
    assert json.loads(stack.captured(1)[0]["body"])["max_tokens"] == clamped
    assert reply.json()["usage"]["completion_tokens"] == clamped
    found(lambda: LIMIT * 9 // 10 < tenant.spend(key) <= LIMIT)


async def test_a_default_output_limit_is_sent_and_held_for(stack: Stack, tenant: Tenant) -> None:
    """Without it the model's own maximum would never fit this budget; the client's own limit stays."""
    poor = 1_000_000
    assert (await ask(stack.edge, tenant.key(budget_nanousd=poor).secret, chat())).status == 429
    key = tenant.key(budget_nanousd=poor, default_output_limit=50)
    assert (await ask(stack.edge, key.secret, chat())).status == 200
    assert json.loads(stack.captured(1)[0]["body"])["max_completion_tokens"] == 50
    assert (await ask(stack.edge, key.secret, chat(max_tokens=7))).status == 200
    sent = json.loads(stack.captured(1)[0]["body"])
    assert (sent["max_tokens"], sent.get("max_completion_tokens")) == (7, None)
