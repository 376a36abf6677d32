"""ImportPrices: lists of global prices, previewed, and taken over just as previewed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from clients.cli.prices import price_object
from clients.control import ControlClient
from control.catalogue.files import MAX_CONTENT_BYTES
from control.domain.identity import Role
from control.domain.price_list import MAX_LISTED
from tests.control.gateway import authorize, changes, make_key, make_provider, make_router, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.prices_pb2 import (
    CreatePriceRequest,
    GetPriceRequest,
    ImportPricesRequest,
    ImportPricesResponse,
    ListPricesRequest,
    Price,
    PriceChangeKind,
    PriceSource,
    Rates,
    RateStep,
    RateTier,
)

GENAI, JSON, CSV = (
    PriceSource.PRICE_SOURCE_GENAI_PRICES,
    PriceSource.PRICE_SOURCE_JSON,
    PriceSource.PRICE_SOURCE_CSV,
)
HEADING = "provider_type,model,input,output,cached_input,max_output_tokens,effective_time\n"


async def take(
    cli: ControlClient, content: str | bytes = b"", source: PriceSource = CSV, **fields: Any
) -> ImportPricesResponse:
    content = content.encode() if isinstance(content, str) else content
    return await cli.prices.ImportPrices(ImportPricesRequest(source=source, content=content, **fields))


def kinds(answer: ImportPricesResponse) -> dict[str, str]:
    return {
        each.model: PriceChangeKind.Name(each.kind).removeprefix("PRICE_CHANGE_KIND_")
        for each in answer.changes
    }


async def listed(cli: ControlClient, **fields: Any) -> list[Price]:
    return list((await cli.prices.ListPrices(ListPricesRequest(page_size=1000, **fields))).prices)


async def test_a_preview_tells_what_the_import_then_does(control: RunningControl) -> None:
    """Added, changed, unchanged, own prices that end; nothing before it is applied, and again nothing to
    do."""
    cli, edge = await control.cli(), await control.edge()
    acme = (await control.customer("acme")).customer_id
    provider = await make_provider(cli, "acme")
    router = await make_router(cli, "acme", provider.provider_id)
    key = await make_key(cli, "acme", router_id=router.router_id)
    own = await cli.prices.CreatePrice(
        CreatePriceRequest(
            price=Price(
                customer_id="acme",
                provider_id=provider.provider_id,
                model="added",
                rates=Rates(input=1, output=1),
            )
        )
    )
    content = HEADING + "openai,same,1,2,,,\nopenai,dearer,1,2,0.5,100,\n"
    await take(cli, content)
    kept = await listed(cli)
    content = HEADING + "openai,added,0.000000001,0,,,\nopenai,same,1.00,2,,,\nopenai,dearer,1,3,0.5,100,\n"
    preview = await take(cli, content, dry_run=True)
    assert kinds(preview) == {"added": "ADDED", "same": "UNCHANGED", "dearer": "CHANGED"}
    assert (preview.added_count, preview.changed_count, preview.unchanged_count) == (1, 1, 1)
    by_model = {each.model: each for each in preview.changes}
    assert by_model["dearer"].before.rates.output == 2_000_000_000
    assert by_model["dearer"].after.rates.output == 3_000_000_000
    assert [each.price_id for each in by_model["added"].closed_own_prices] == [own.price_id]
    assert preview.closed_own_count == 1
    assert await listed(cli) == kept
    async with changes(control, acme) as told:
        applied = await take(cli, content, digest=preview.digest)
    assert applied == preview
    assert told["changed"]
    assert not (await authorize(edge, key.raw_key)).own_prices
    prices = {each.model: each for each in await listed(cli)}
    assert prices["added"].rates == Rates(input=1, output=0)
    assert (prices["dearer"].max_output_tokens, prices["dearer"].rates.cached_input) == (100, 500_000_000)
    assert prices["same"] in kept
    ended = await cli.prices.GetPrice(GetPriceRequest(price_id=own.price_id))
    assert ended.end_time == prices["added"].effective_time
    again = await take(cli, content, dry_run=True)
    assert (again.unchanged_count, again.closed_own_count) == (3, 0)


async def test_a_stale_preview_is_refused(control: RunningControl) -> None:
    """What was looked at is what is done: a price made meanwhile, or another list, needs another look."""
    cli = await control.cli()
    content = HEADING + "openai,m,1,2,,,\n"
    preview = await take(cli, content, dry_run=True)
    with refused(Reason.ETAG_MISMATCH):
        await take(cli, HEADING + "openai,m,1,9,,,\n", digest=preview.digest)
    rates = Rates(input=5, output=5)
    price = Price(provider_type="openai", model="m", rates=rates)
    await cli.prices.CreatePrice(CreatePriceRequest(price=price))
    with refused(Reason.ETAG_MISMATCH):
        await take(cli, content, digest=preview.digest)
    assert [each.rates for each in await listed(cli)] == [rates]
    preview = await take(cli, content, dry_run=True)
    await take(cli, content, digest=preview.digest)
    assert (await listed(cli))[0].rates.output == 2_000_000_000


async def test_a_list_announces_prices(control: RunningControl) -> None:
    """L16: several lines of a model are its schedule; what was announced before stays where it is."""
    cli = await control.cli()
    soon = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    later = soon + timedelta(days=1)
    content = HEADING + f"openai,m,1,1,,,\nopenai,m,2,2,,,{soon.isoformat()}\n"
    assert kinds(await take(cli, content)) == {"m": "CHANGED"}
    await take(cli, HEADING + f"openai,m,3,3,,,{later.isoformat()}\n")
    now, next_, last = sorted(await listed(cli), key=lambda each: each.effective_time.seconds)
    assert (now.end_time, next_.end_time) == (next_.effective_time, last.effective_time)
    assert not last.HasField("end_time")
    await take(cli, HEADING + "openai,m,9,9,,,\n")
    assert [each.rates.input for each in await listed(cli)] == [2_000_000_000, 3_000_000_000, 9_000_000_000]
    again = await take(cli, HEADING + f"openai,m,9,9,,,\nopenai,m,2,2,,,{soon.isoformat()}\n", dry_run=True)
    assert again.unchanged_count == 2


async def test_what_the_command_line_prints_can_be_imported(control: RunningControl) -> None:
    """JSON of `prices list`, steps and tiers included, to the nano-dollar."""
    cli = await control.cli()
    step = RateStep(above_input_tokens=200_000, rates=Rates(input=3, output=4))
    tier = RateTier(service_tier="flex", rates=Rates(input=0, output=1, steps=[step]))
    rates = Rates(input=1, output=2, image=5, cache_write_1h=7, steps=[step], tiers=[tier])
    price = Price(provider_type="openai", model="m", rates=rates, context_tokens=9)
    made = await cli.prices.CreatePrice(CreatePriceRequest(price=price))
    printed = price_object(made)
    content = json.dumps([{**printed, "model": "copy"}, {**printed, "effective_time": None}])
    answer = await take(cli, content, JSON)
    assert kinds(answer) == {"copy": "ADDED", "m": "UNCHANGED"}
    (copy,) = await listed(cli, model="copy")
    assert (copy.rates, copy.context_tokens) == (rates, 9)


async def test_the_installed_package_can_be_imported(control: RunningControl) -> None:
    """A6: genai-prices with its version; the seeded prices are exact, what can't be billed is skipped with
    a reason; a second import changes nothing."""
    cli = await control.cli()
    preview = await take(cli, source=GENAI, dry_run=True)
    assert preview.source.startswith("genai-prices ")
    assert preview.added_count > 500
    assert preview.skipped_count
    assert all(each.why for each in preview.changes if not each.HasField("after"))
    await take(cli, source=GENAI, digest=preview.digest)
    (mini,) = await listed(cli, model="gpt-4o-mini")
    assert (mini.rates.input, mini.rates.cached_input, mini.rates.output) == (
        150_000_000,
        75_000_000,
        600_000_000,
    )
    again = await take(cli, source=GENAI, dry_run=True)
    assert (again.added_count, again.changed_count) == (0, 0)
    assert again.unchanged_count == preview.added_count + preview.changed_count


LINE = {"provider_type": "openai", "model": "m", "rates": {"input": "1", "output": "2"}}


UNUSABLE: list[tuple[PriceSource, str | bytes]] = [
    (PriceSource.PRICE_SOURCE_UNSPECIFIED, "x"),
    (CSV, ""),
    (CSV, HEADING),
    (CSV, b"\xff\xfe"),
    (CSV, HEADING + "openai,m,-1,2,,,\n"),
    (CSV, HEADING + "openai,m,,2,,,\n"),
    (CSV, HEADING + "openai,m,1e400,2,,,\n"),
    (CSV, HEADING + "openai,m,NaN,2,,,\n"),
    (CSV, HEADING + "openai,m,0.0000000001,2,,,\n"),
    (CSV, HEADING + "openai,m,1000001,2,,,\n"),
    (CSV, HEADING + "openai,m,1,2,,1.5,\n"),
    (CSV, HEADING + "openai,m,1,2,,99999999999,\n"),
    (CSV, HEADING + "openai,m,1,2,,,tomorrow\n"),
    (CSV, HEADING + "openai,m,1,2,,,,more\n"),
    (CSV, HEADING + "nobody,m,1,2,,,\n"),
    (CSV, HEADING + "openai,,1,2,,,\n"),
    (CSV, HEADING + "openai,m,1,2,,,\nopenai,m,1,3,,,\n"),
    (CSV, HEADING + "openai,m,1,2,,,2030-01-01\nopenai,m,1,3,,,2030-01-01T00:00:00Z\n"),
    (CSV, "provider_type,model,price\nopenai,m,1\n"),
    (CSV, HEADING + '"openai,m,1,2,,,\n'),
    (CSV, HEADING + "".join(f"openai,m{n},1,2,,,\n" for n in range(MAX_LISTED + 1))),
    (CSV, b" " * (MAX_CONTENT_BYTES + 1)),
    (JSON, "{"),
    (JSON, "{}"),
    (JSON, "[]"),
    (JSON, "[1]"),
    (JSON, "[" * 100_000),
    (JSON, json.dumps([{**LINE, "rates": None}])),
    (JSON, json.dumps([{**LINE, "rates": {"input": True, "output": 1}}])),
    (JSON, json.dumps([{**LINE, "rates": {"input": 1, "output": 1, "steps": 5}}])),
    (JSON, json.dumps([{**LINE, "rates": {"input": 1, "output": 1, "tiers": [{"service_tier": "x"}]}}])),
    (JSON, json.dumps([{**LINE, "rates": {"input": 1, "output": 1, "pages": 1}}])),
    (JSON, json.dumps([{**LINE, "provider_id": "mine"}])),
    (JSON, json.dumps([{**LINE, "surprise": 1}])),
    (JSON, json.dumps([{**LINE, "model": 5}])),
    (JSON, json.dumps([{**LINE, "max_output_tokens": -1}])),
    (JSON, json.dumps([{**LINE, "max_output_tokens": "²"}])),
    (JSON, json.dumps([{**LINE, "effective_time": 17}])),
]


async def test_unusable_lists_are_refused_whole(control: RunningControl) -> None:
    """Whatever one line has wrong, nothing of the list is taken over."""
    cli = await control.cli()

    async def reason_for(source: PriceSource, content: str | bytes) -> Reason | None:
        try:
            await take(cli, content, source)
        except TollkeeperError as refusal:
            return refusal.reason
        return None

    reasons = [(content[:200], await reason_for(source, content)) for source, content in UNUSABLE]
    assert [content for content, reason in reasons if reason != Reason.INVALID_ARGUMENT] == []
    assert not await listed(cli)


async def test_only_operators_import(control: RunningControl) -> None:
    """Not even a look: a preview names customers' own prices."""
    acme = (await control.customer("acme")).customer_id
    owner = (await control.person(acme, Role.OWNER)).client
    with refused(Reason.PERMISSION_DENIED):
        await take(owner, HEADING + "openai,m,1,2,,,\n", dry_run=True)
