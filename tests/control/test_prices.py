"""PricesService over real gRPC, the counting of missing models, and the seeded catalogue."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from control.catalogue import catalogue_rows, seed_prices
from control.domain.identity import Role
from control.store import prices as store
from control.store.changes import price_book
from control.store.database import Database
from control.store.tables import PLATFORM_CUSTOMER_ID
from tests.control.gateway import authorize, changes, make_key, make_provider, make_router, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.v1.prices_pb2 import (
    CreatePriceRequest,
    DeletePriceRequest,
    GetPriceRequest,
    ListMissingModelsRequest,
    ListPricesRequest,
    Price,
    Rates,
)

# USD per million model tokens, in and out (A6).
SEEDED = {
    ("openai", "gpt-4o"): (2.50, 10.00),
    ("openai", "gpt-4o-mini"): (0.15, 0.60),
    ("openai", "gpt-3.5-turbo"): (0.50, 1.50),
    ("google", "gemini-1.5-pro"): (1.25, 5.00),
    ("google", "gemini-1.5-flash"): (0.075, 0.30),
    ("anthropic", "claude-3-opus"): (15, 75),
    ("anthropic", "claude-3-sonnet"): (3, 15),
    ("anthropic", "claude-3-haiku"): (0.25, 1.25),
}


def price(model: str = "m", input_rate: int = 1000, **fields: Any) -> CreatePriceRequest:
    return CreatePriceRequest(price=Price(model=model, rates=Rates(input=input_rate, output=2000), **fields))


async def counter(database: Database) -> int:
    async with database.read() as connection:
        return (await price_book(connection))[0]


async def test_a_global_price_supersedes_and_is_never_edited(control: RunningControl) -> None:
    """The former price ends where the new one begins; both stay readable, and edges see the book change."""
    cli = await control.cli()
    first = await cli.prices.CreatePrice(price(provider_type="gemini", max_output_tokens=5))
    assert (first.provider_type, first.customer_id, first.max_output_tokens) == ("google", "", 5)
    before = await counter(control.database)
    second = await cli.prices.CreatePrice(price(provider_type="google", input_rate=0))
    assert await counter(control.database) > before
    ended = await cli.prices.GetPrice(GetPriceRequest(price_id=first.price_id))
    assert ended.end_time == second.effective_time
    assert ended.rates == first.rates
    assert list((await cli.prices.ListPrices(ListPricesRequest())).prices) == [second]
    assert second.rates.HasField("input")
    shown = await cli.prices.ListPrices(ListPricesRequest(model="m", show_ended=True))
    assert list(shown.prices) == [ended, second]
    async with control.database.read() as connection:
        version, book = await price_book(connection)
    assert [entry.price_id for entry in book] == [second.price_id]
    assert version == await counter(control.database)


async def test_an_announced_price_waits_for_its_time(control: RunningControl) -> None:
    """L16: until then the present price stays, with its end known; one between ends where it begins."""
    cli = await control.cli()
    soon = datetime.now(UTC) + timedelta(hours=2)
    present = await cli.prices.CreatePrice(price(provider_type="openai"))
    later = await cli.prices.CreatePrice(price(provider_type="openai", effective_time=soon))
    async with control.database.read() as connection:
        _, book = await price_book(connection)
    assert [entry.price_id for entry in book] == [present.price_id, later.price_id]
    assert 7190 < book[0].ends_in.seconds <= 7200
    assert 7190 < book[1].starts_in.seconds <= 7200
    sooner = await cli.prices.CreatePrice(
        price(provider_type="openai", effective_time=soon - timedelta(hours=1))
    )
    assert sooner.end_time == later.effective_time
    assert not (await cli.prices.GetPrice(GetPriceRequest(price_id=later.price_id))).HasField("end_time")
    assert (
        await cli.prices.GetPrice(GetPriceRequest(price_id=present.price_id))
    ).end_time == sooner.effective_time
    await cli.prices.DeletePrice(DeletePriceRequest(price_id=later.price_id))
    assert not (await cli.prices.GetPrice(GetPriceRequest(price_id=sooner.price_id))).HasField("end_time")
    past = datetime(2020, 1, 1, tzinfo=UTC)
    now = await cli.prices.CreatePrice(price("other", provider_type="openai", effective_time=past))
    assert now.effective_time == now.create_time


async def test_own_prices_give_way_to_global_ones(control: RunningControl) -> None:
    """A7: refused where a global price exists, and closed when one appears; the customer's edges are told."""
    cli, edge = await control.cli(), await control.edge()
    acme = (await control.customer("acme")).customer_id
    provider = await make_provider(cli, "acme")
    router = await make_router(cli, "acme", provider.provider_id)
    key = await make_key(cli, "acme", router_id=router.router_id)
    owner = (await control.person(acme, Role.OWNER)).client
    await cli.prices.CreatePrice(price("gpt-4o", provider_type="openai"))
    with refused(Reason.GLOBAL_PRICE_EXISTS):
        await owner.prices.CreatePrice(price("gpt-4o", provider_id=provider.provider_id))

    async with changes(control, acme) as told:
        own = await owner.prices.CreatePrice(price("llama", provider_id=provider.provider_id, input_rate=0))
    assert told["changed"]
    assert (own.customer_id, own.provider_id) == (acme, provider.provider_id)
    (granted,) = (await authorize(edge, key.raw_key)).own_prices
    assert (granted.price_id, granted.rates) == (own.price_id, own.rates)
    with refused(Reason.ALREADY_EXISTS):
        await owner.prices.CreatePrice(price("llama", provider_id=provider.provider_id))
    listed = await owner.prices.ListPrices(ListPricesRequest(customer_id=acme))
    assert list(listed.prices) == [own]

    async with changes(control, acme) as told:
        replacing = await cli.prices.CreatePrice(price("llama", provider_type="groq"))
    assert told["changed"]
    closed = await owner.prices.GetPrice(GetPriceRequest(price_id=own.price_id))
    assert closed.end_time == replacing.effective_time
    assert not (await authorize(edge, key.raw_key)).own_prices


async def test_an_own_price_can_be_ended_and_made_anew(control: RunningControl) -> None:
    """Ending is once; then the model may get another price."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    provider = await make_provider(cli, "acme")
    own = await cli.prices.CreatePrice(price(customer_id="acme", provider_id=provider.provider_id))
    async with changes(control, acme) as told:
        ended = await cli.prices.DeletePrice(DeletePriceRequest(price_id=own.price_id))
    assert told["changed"]
    assert ended.HasField("end_time")
    with refused(Reason.NOT_FOUND):
        await cli.prices.DeletePrice(DeletePriceRequest(price_id=own.price_id))
    again = await cli.prices.CreatePrice(price(customer_id="acme", provider_id=provider.provider_id))
    assert again.price_id != own.price_id


async def test_only_operators_set_global_prices(control: RunningControl) -> None:
    """Owners read global prices and set their own; another customer's are as good as none."""
    cli = await control.cli()
    acme, other = await control.customer("acme"), await control.customer("other")
    owner = (await control.person(acme.customer_id, Role.OWNER)).client
    stranger = (await control.person(other.customer_id, Role.OWNER)).client
    shared = await cli.prices.CreatePrice(price(provider_type="openai"))
    with refused(Reason.PERMISSION_DENIED):
        await owner.prices.CreatePrice(price("new", provider_type="openai"))
    with refused(Reason.PERMISSION_DENIED):
        await owner.prices.DeletePrice(DeletePriceRequest(price_id=shared.price_id))
    assert await owner.prices.GetPrice(GetPriceRequest(price_id=shared.price_id)) == shared
    provider = await make_provider(cli, "acme")
    own = await owner.prices.CreatePrice(price("own", provider_id=provider.provider_id))
    with refused(Reason.NOT_FOUND):
        await stranger.prices.GetPrice(GetPriceRequest(price_id=own.price_id))
    with refused(Reason.NOT_FOUND):
        await stranger.prices.ListPrices(ListPricesRequest(customer_id="acme"))
    with refused(Reason.NOT_FOUND):
        await stranger.prices.CreatePrice(price("x", provider_id=provider.provider_id))


async def test_unusable_prices_are_refused(control: RunningControl) -> None:
    """A price left out is never 0, and a price says whose it is one way only."""
    cli = await control.cli()
    await control.customer("acme")
    provider = await make_provider(cli, "acme")
    for request in (
        CreatePriceRequest(price=Price(model="m", provider_type="openai", rates=Rates(input=1))),
        CreatePriceRequest(price=Price(model="m", provider_type="openai")),
        price("", provider_type="openai"),
        price(provider_type="acme"),
        price(),
        price(customer_id="acme", provider_type="openai"),
        price(customer_id="acme", provider_id=provider.provider_id, provider_type="openai"),
        price(provider_type="openai", max_output_tokens=-1),
    ):
        with refused(Reason.INVALID_ARGUMENT):
            await cli.prices.CreatePrice(request)
    assert not (await cli.prices.ListPrices(ListPricesRequest())).prices


async def test_concurrent_prices_of_a_model_follow_each_other(control: RunningControl) -> None:
    """However many are made at once, one is in force in the end, and each row ends where the next begins."""
    cli = await control.cli()
    await asyncio.gather(*(cli.prices.CreatePrice(price(provider_type="openai")) for _ in range(8)))
    everything = (await cli.prices.ListPrices(ListPricesRequest(show_ended=True))).prices
    assert len(everything) == 8
    assert sum(not entry.HasField("end_time") for entry in everything) == 1


async def test_missing_models_are_counted_within_bounds(control: RunningControl) -> None:
    """A8: name, count and time; past the bound new names are not taken up, known ones still count."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    async with control.database.write() as connection:
        for model in ("zeta", "alpha", "zeta", "x" * 500):
            await store.count_missing_model(connection, acme, model)
    listed = await cli.prices.ListMissingModels(ListMissingModelsRequest(customer_id="acme"))
    assert [(entry.model, entry.request_count) for entry in listed.models] == [
        ("alpha", 1),
        ("x" * store.MAX_MISSING_MODEL_CHARS, 1),
        ("zeta", 2),
    ]
    assert listed.models[0].HasField("last_seen_time")
    async with control.database.write() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO missing_models (customer_id, model)"
            " SELECT %s, 'n' || n FROM generate_series(1, %s) n",
            (acme, store.MAX_MISSING_MODELS - 3),
        )
        await store.count_missing_model(connection, acme, "one too many")
        await store.count_missing_model(connection, acme, "alpha")
    request = ListMissingModelsRequest(customer_id="acme", page_size=1000)
    models = {
        entry.model: entry.request_count for entry in (await cli.prices.ListMissingModels(request)).models
    }
    assert len(models) == store.MAX_MISSING_MODELS
    assert "one too many" not in models
    assert models["alpha"] == 2


async def test_missing_models_leave_the_list_once_they_are_priced(control: RunningControl) -> None:
    """A8: operators see those of all customers added up; a global price clears a name for everybody, an own
    one for its customer until somebody asks at another provider."""
    cli = await control.cli()
    acme, other = [(await control.customer(slug)).customer_id for slug in ("acme", "other")]
    provider = await make_provider(cli, "acme")

    async def missing(customer_id: str = "") -> list[tuple[str, int, int]]:
        request = ListMissingModelsRequest(customer_id=customer_id)
        models = (await cli.prices.ListMissingModels(request)).models
        return [(each.model, each.request_count, each.customer_count) for each in models]

    async def ask(*customer_ids: str) -> None:
        async with control.database.write() as connection:
            for customer_id in customer_ids:
                for model in ("one", "two"):
                    await store.count_missing_model(connection, customer_id, model)

    await ask(acme, acme, other)
    assert await missing() == [("one", 3, 2), ("two", 3, 2)]
    assert await missing("other") == [("one", 1, 1), ("two", 1, 1)]
    soon = datetime.now(UTC) + timedelta(hours=1)
    await cli.prices.CreatePrice(price("two", provider_type="openai", effective_time=soon))
    assert len(await missing()) == 2
    await cli.prices.CreatePrice(price("one", customer_id="acme", provider_id=provider.provider_id))
    assert await missing("acme") == [("two", 2, 1)]
    assert await missing("other") == [("one", 1, 1), ("two", 1, 1)]
    await ask(acme)
    assert await missing("acme") == [("one", 3, 1), ("two", 3, 1)]
    await cli.prices.CreatePrice(price("one", provider_type="openai"))
    assert await missing() == [("two", 4, 2)]
    member = (await control.person(acme, Role.MANAGER)).client
    (seen,) = (await member.prices.ListMissingModels(ListMissingModelsRequest())).models
    assert (seen.model, seen.request_count) == ("two", 3)


async def test_seeding_adds_what_is_missing_and_nothing_else(database: Database) -> None:
    """A second start changes nothing, and what an operator ended stays ended."""
    async with database.write() as connection:
        added = await seed_prices(connection)
    assert added == len(catalogue_rows(datetime.now(UTC)))
    before = await counter(database)
    async with database.write() as connection:
        rows = await store.list_prices(
            connection, PLATFORM_CUSTOMER_ID, None, 10, datetime.now(UTC), model="gpt-4o"
        )
        await store.end_global(connection, rows[0]["price_id"], datetime.now(UTC))
        assert await seed_prices(connection) == 0
    assert await counter(database) == before + 1
    async with database.read() as connection:
        _, book = await price_book(connection)
    assert "gpt-4o-mini" in {entry.model for entry in book}
    assert "gpt-4o" not in {entry.model for entry in book}


def test_the_catalogue_holds_the_known_table() -> None:
    """A6 to the cent, cached input of gpt-4o-mini, and no model of a type twice at a time."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    rows = {(row["provider_type"], row["model"]): row for row in reversed(catalogue_rows(now))}
    for model, (input_usd, output_usd) in SEEDED.items():
        rates = rows[model]["rates"]
        assert (rates["input"], rates["output"]) == (round(input_usd * 1e9), round(output_usd * 1e9))
    assert rows["openai", "gpt-4o-mini"]["rates"]["cached_input"] == 75_000_000
    in_force = [
        (row["provider_type"], row["model"]) for row in catalogue_rows(now) if row["effective_time"] <= now
    ]
    assert len(in_force) == len(set(in_force))


def test_announced_prices_of_the_catalogue_take_over() -> None:
    """A price that starts later ends the present one, and is the only one once its time has come."""
    model = "gemini-4-argon"
    before = [row for row in catalogue_rows(datetime(2026, 11, 22, tzinfo=UTC)) if row["model"] == model]
    assert before[0]["end_time"] == before[1]["effective_time"] == datetime(2026, 12, 1, tzinfo=UTC)
    (after,) = [row for row in catalogue_rows(datetime(2026, 12, 2, tzinfo=UTC)) if row["model"] == model]
    assert after["rates"] == before[1]["rates"]
