"""`tollkeeper prices`: what models cost, in US dollars per million model tokens."""

from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.failures import UsageProblem
from clients.cli.options import AnyCustomer, Id, Limit, number, pairs, single, time, usd
from clients.cli.plain import Plain, plain, time_text
from clients.cli.session import Session, collect
from tollkeeper.money import format_usd
from tollkeeper.v1.prices_pb2 import (
    CreatePriceRequest,
    CustomerReRating,
    DeletePriceRequest,
    GetPriceRequest,
    ImportPricesRequest,
    ListPricesRequest,
    Price,
    PriceChange,
    PriceChangeKind,
    PriceSource,
    Rates,
    RateStep,
    RateTier,
    ReRateUsageRequest,
)
from tollkeeper.v1.prices_pb2_grpc import PricesServiceStub

app = noun()

COLUMNS = {
    "price_id": "ID",
    "provider": "PROVIDER",
    "model": "MODEL",
    "input": "INPUT",
    "cached_input": "CACHED",
    "output": "OUTPUT",
    "effective_time": "FROM",
    "end_time": "UNTIL",
}
RE_RATING_COLUMNS = {
    "customer_id": "CUSTOMER",
    "request_count": "REQUESTS",
    "changed_count": "CHANGED",
    "before_usd": "BEFORE",
    "after_usd": "AFTER",
    "difference_usd": "DIFFERENCE",
    "unpriced_count": "UNPRICED",
}
CHANGE_COLUMNS = {
    "change": "CHANGE",
    "provider": "PROVIDER",
    "model": "MODEL",
    "input": "INPUT",
    "output": "OUTPUT",
    "effective_time": "FROM",
    "closed_own": "OWN PRICES THAT END",
    "why": "WHY",
}
COMPONENTS = tuple(field.name for field in Rates.DESCRIPTOR.fields if not field.is_repeated)
_ONLY_FOR_EDGES = ("starts_in", "ends_in")


def _rate(component: str, what: str) -> object:
    flag = f"--{component.replace('_', '-')}-usd"
    return typer.Option(flag, metavar="USD", help=f"Per million {what}.")


Input = Annotated[str | None, _rate("input", "input tokens")]
CachedInput = Annotated[str | None, _rate("cached_input", "cached input tokens; else as input")]
CacheWrite = Annotated[str | None, _rate("cache_write", "tokens written to a cache; else as input")]
AudioInput = Annotated[str | None, _rate("audio_input", "audio input tokens; else as input")]
Output = Annotated[str | None, _rate("output", "output tokens")]
Reasoning = Annotated[str | None, _rate("reasoning", "reasoning tokens; else as output")]
AudioOutput = Annotated[str | None, _rate("audio_output", "audio output tokens; else as output")]
PerRequest = Annotated[str | None, _rate("request", "requests")]
WebSearch = Annotated[str | None, _rate("web_search", "web searches")]
CacheWrite1h = Annotated[
    str | None, _rate("cache_write_1h", "tokens written to a cache for an hour; else as cache-write")
]
ImageInput = Annotated[str | None, _rate("image_input", "image input tokens; else as input")]
ImageOutput = Annotated[str | None, _rate("image_output", "image output tokens; else as output")]
Image = Annotated[str | None, _rate("image", "images")]
Second = Annotated[str | None, _rate("second", "seconds")]
Character = Annotated[str | None, _rate("character", "characters")]
Tiers = Annotated[
    list[str] | None,
    typer.Option(
        "--tier",
        metavar="TIER",
        help="service_tier=NAME,input=USD,output=USD[,cached_input=USD]...: batch, flex; repeat for more.",
    ),
]
Steps = Annotated[
    list[str] | None,
    typer.Option(
        "--step",
        metavar="STEP",
        help="above=TOKENS,input=USD,output=USD[,cached_input=USD]...: for longer prompts; repeat for more.",
    ),
]
Effective = Annotated[str | None, typer.Option("--effective-time", metavar="TIME", help="Default: now.")]
MaxOutput = Annotated[
    int | None, typer.Option("--max-output-tokens", min=0, help="The model's largest output.")
]
Context = Annotated[int | None, typer.Option("--context-tokens", min=0, help="The model's largest context.")]


@command(app, "create")
def create(
    session: Session,
    model: Annotated[str, typer.Option("--model", show_default=False)],
    provider_type: Annotated[
        str | None, typer.Option("--provider-type", metavar="TYPE", help="For a global price: openai, ...")
    ] = None,
    customer: AnyCustomer = None,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="ID", help="For a customer's own price.")
    ] = None,
    input_usd: Input = None,
    cached_input_usd: CachedInput = None,
    cache_write_usd: CacheWrite = None,
    audio_input_usd: AudioInput = None,
    output_usd: Output = None,
    reasoning_usd: Reasoning = None,
    audio_output_usd: AudioOutput = None,
    request_usd: PerRequest = None,
    web_search_usd: WebSearch = None,
    cache_write_1h_usd: CacheWrite1h = None,
    image_input_usd: ImageInput = None,
    image_output_usd: ImageOutput = None,
    image_usd: Image = None,
    second_usd: Second = None,
    character_usd: Character = None,
    step: Steps = None,
    tier: Tiers = None,
    max_output_tokens: MaxOutput = None,
    context_tokens: Context = None,
    effective_time: Effective = None,
) -> None:
    """Create a price; a model's later price supersedes the earlier one. An input or output of 0 is free."""
    if (provider is None) == (provider_type is None):
        raise UsageProblem("name either --provider-type (a global price) or --customer and --provider")
    price = Price(
        customer_id=(customer or "") if provider else "",
        provider_id=provider or "",
        provider_type=provider_type or "",
        model=model,
        rates=_rates(
            input=input_usd,
            cached_input=cached_input_usd,
            cache_write=cache_write_usd,
            audio_input=audio_input_usd,
            output=output_usd,
            reasoning=reasoning_usd,
            audio_output=audio_output_usd,
            request=request_usd,
            web_search=web_search_usd,
            cache_write_1h=cache_write_1h_usd,
            image_input=image_input_usd,
            image_output=image_output_usd,
            image=image_usd,
            second=second_usd,
            character=character_usd,
        ),
        max_output_tokens=max_output_tokens or 0,
        context_tokens=context_tokens or 0,
        effective_time=time(effective_time) if effective_time else None,
    )
    price.rates.steps.extend(parse_step(each) for each in step or [])
    price.rates.tiers.extend(parse_tier(each) for each in tier or [])
    answer = PricesServiceStub(session.channel()).CreatePrice(CreatePriceRequest(price=price))
    output.record(session, price_object(answer))


@command(app, "list")
def list_(
    session: Session,
    customer: AnyCustomer = None,
    model: Annotated[str | None, typer.Option("--model")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Superseded and ended ones too.")] = False,
    limit: Limit = None,
) -> None:
    """List global prices, and a customer's own with --customer."""
    stub = PricesServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[Price], str]:
        answer = stub.ListPrices(
            ListPricesRequest(
                customer_id=customer or "",
                model=model or "",
                show_ended=ended,
                page_size=page_size,
                page_token=page_token,
            )
        )
        return list(answer.prices), answer.next_page_token

    rows = [price_object(each) for each in collect(page, limit)]
    output.listing(session, rows if session.json else [_flat(row) for row in rows], COLUMNS)


@command(app, "show")
def show(session: Session, price: Id) -> None:
    """Show one price."""
    answer = PricesServiceStub(session.channel()).GetPrice(GetPriceRequest(price_id=price))
    output.record(session, price_object(answer))


@command(app, "update")
def update(
    session: Session,
    price: Id,
    input_usd: Input = None,
    cached_input_usd: CachedInput = None,
    cache_write_usd: CacheWrite = None,
    audio_input_usd: AudioInput = None,
    output_usd: Output = None,
    reasoning_usd: Reasoning = None,
    audio_output_usd: AudioOutput = None,
    request_usd: PerRequest = None,
    web_search_usd: WebSearch = None,
    cache_write_1h_usd: CacheWrite1h = None,
    image_input_usd: ImageInput = None,
    image_output_usd: ImageOutput = None,
    image_usd: Image = None,
    second_usd: Second = None,
    character_usd: Character = None,
    max_output_tokens: MaxOutput = None,
    context_tokens: Context = None,
    effective_time: Effective = None,
) -> None:
    """Supersede a price with one that differs in what is given; what was booked keeps the old one."""
    rates = changes(
        input=input_usd,
        cached_input=cached_input_usd,
        cache_write=cache_write_usd,
        audio_input=audio_input_usd,
        output=output_usd,
        reasoning=reasoning_usd,
        audio_output=audio_output_usd,
        request=request_usd,
        web_search=web_search_usd,
        cache_write_1h=cache_write_1h_usd,
        image_input=image_input_usd,
        image_output=image_output_usd,
        image=image_usd,
        second=second_usd,
        character=character_usd,
        max_output_tokens=max_output_tokens,
        context_tokens=context_tokens,
    )
    stub = PricesServiceStub(session.channel())
    present = stub.GetPrice(GetPriceRequest(price_id=price))
    later = Price(
        customer_id=present.customer_id if present.provider_id else "",
        provider_id=present.provider_id,
        provider_type=present.provider_type,
        model=present.model,
        rates=present.rates,
        max_output_tokens=rates.pop("max_output_tokens", present.max_output_tokens),
        context_tokens=rates.pop("context_tokens", present.context_tokens),
        effective_time=time(effective_time) if effective_time else None,
    )
    later.rates.MergeFrom(_rates(**rates))
    output.record(session, price_object(stub.CreatePrice(CreatePriceRequest(price=later))))


@command(app, "delete")
def delete(session: Session, price: Id) -> None:
    """End a price now: the model can't be used until it has another."""
    answer = PricesServiceStub(session.channel()).DeletePrice(DeletePriceRequest(price_id=price))
    output.record(session, price_object(answer))


@command(app, "history")
def history(
    session: Session,
    model: Annotated[str, typer.Argument(help="A model's name.", show_default=False)],
    customer: AnyCustomer = None,
) -> None:
    """List all prices that a model has had and will have, oldest first."""
    list_(session, customer, model, ended=True, limit=None)


@command(app, "rerate")
def rerate(
    session: Session,
    start: Annotated[str, typer.Option("--since", metavar="TIME", show_default=False)],
    end: Annotated[str, typer.Option("--until", metavar="TIME", show_default=False)],
    customer: AnyCustomer = None,
    provider_type: Annotated[str | None, typer.Option("--provider-type", metavar="TYPE")] = None,
    model: Annotated[str | None, typer.Option("--model")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Post it; else it only tells.")] = False,
) -> None:
    """Book a period again at today's prices: shows what would change, and posts corrections with --apply."""
    stub = PricesServiceStub(session.channel())
    request = ReRateUsageRequest(
        customer_id=customer or "",
        start_time=time(start),
        end_time=time(end),
        provider_type=provider_type or "",
        model=model or "",
        dry_run=not apply,
    )
    totals: dict[str, CustomerReRating] = {}
    while True:
        answer = stub.ReRateUsage(request)
        for each in answer.customers:
            _add(totals.setdefault(each.customer_id, CustomerReRating(customer_id=each.customer_id)), each)
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    rows = [_with_difference(each) for each in totals.values()]
    output.listing(session, rows, RE_RATING_COLUMNS)
    if not apply:
        output.note(session, "Nothing was posted: add --apply.")


@command(app, "import")
def import_(
    session: Session,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="JSON or CSV; else the genai-prices package.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Take it over; else it only tells.")] = False,
    unchanged: Annotated[bool, typer.Option("--unchanged", help="Show unchanged ones too.")] = False,
) -> None:
    """Take global prices over from a list: shows what would change, and does just that with --apply."""
    stub = PricesServiceStub(session.channel())
    request = ImportPricesRequest(source=PriceSource.PRICE_SOURCE_GENAI_PRICES, dry_run=True)
    if file is not None:
        request.source = _source(file)
        request.content = _content(file)
    answer = stub.ImportPrices(request)
    rows = [
        _change_object(change)
        for change in answer.changes
        if unchanged or change.kind != PriceChangeKind.PRICE_CHANGE_KIND_UNCHANGED
    ]
    output.listing(session, rows, CHANGE_COLUMNS)
    output.note(
        session,
        f"{answer.source}: {answer.added_count} added, {answer.changed_count} changed, "
        f"{answer.unchanged_count} unchanged, {answer.skipped_count} skipped, "
        f"{answer.closed_own_count} own prices end.",
    )
    if apply:
        request.dry_run, request.digest = False, answer.digest
        stub.ImportPrices(request)
    else:
        output.note(session, "Nothing was changed: add --apply.")


def _source(file: Path) -> PriceSource:
    match file.suffix.lower():
        case ".json":
            return PriceSource.PRICE_SOURCE_JSON
        case ".csv":
            return PriceSource.PRICE_SOURCE_CSV
    raise UsageProblem(f"{file}: a list of prices is a .json or a .csv file")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageProblem(f"{file}: {error.strerror}") from None


def _change_object(change: PriceChange) -> Plain:
    kind = PriceChangeKind.Name(change.kind).removeprefix("PRICE_CHANGE_KIND_").lower()
    before = rates_object(change.before.rates) if change.HasField("before") else None
    after = rates_object(change.after.rates) if change.HasField("after") else None
    return {
        "change": kind,
        "provider": change.provider_type,
        "model": change.model,
        "input": _from_to(before, after, "input"),
        "output": _from_to(before, after, "output"),
        "effective_time": time_text(change.after.effective_time) or "now",
        "closed_own": [f"{each.customer_id}/{each.price_id}" for each in change.closed_own_prices],
        "why": change.why,
        "before": before,
        "after": after,
    }


def _from_to(before: Plain | None, after: Plain | None, component: str) -> str:
    old = before[component] if before else None
    new = after[component] if after else None
    return new or "" if old in (None, new) else f"{old} -> {new}"


def _add(total: CustomerReRating, part: CustomerReRating) -> None:
    for field, value in part.ListFields():
        if isinstance(value, int):
            setattr(total, field.name, getattr(total, field.name) + value)


def _with_difference(total: CustomerReRating) -> Plain:
    return {**plain(total), "difference_usd": format_usd(total.after_nanousd - total.before_nanousd)}


def price_object(price: Price) -> Plain:
    """A price with its rates as decimal strings, per million units."""
    values = plain(price)
    values["rates"] = rates_object(price.rates)
    for name in _ONLY_FOR_EDGES:
        del values[name]
    return values


def parse_step(text: str) -> RateStep:
    """`above=200000,input=4,output=18`. Raises UsageProblem."""
    values = pairs(text, frozenset({"above", *COMPONENTS}))
    if "above" not in values:
        raise UsageProblem(f"a step needs above=TOKENS: {text!r}")
    rates = {name: single(values, name) for name in COMPONENTS if name in values}
    return RateStep(above_input_tokens=number(single(values, "above"), "above"), rates=_rates(**rates))


def parse_tier(text: str) -> RateTier:
    """`service_tier=batch,input=1.25,output=5`. Raises UsageProblem."""
    values = pairs(text, frozenset({"service_tier", *COMPONENTS}))
    if "service_tier" not in values:
        raise UsageProblem(f"a tier needs service_tier=NAME: {text!r}")
    rates = {name: single(values, name) for name in COMPONENTS if name in values}
    return RateTier(service_tier=single(values, "service_tier"), rates=_rates(**rates))


def _rates(**usd_texts: str | None) -> Rates:
    found: dict[str, Any] = {name: usd(text) for name, text in usd_texts.items() if text is not None}
    return Rates(**found)


def rates_object(rates: Rates) -> Plain:
    """Decimal strings per million units, with steps and tiers."""
    values: Plain = {
        name: format_usd(getattr(rates, name)) if rates.HasField(name) else None for name in COMPONENTS
    }
    values["steps"] = [
        {"above_input_tokens": step.above_input_tokens, "rates": rates_object(step.rates)}
        for step in rates.steps
    ]
    values["tiers"] = [
        {"service_tier": tier.service_tier, "rates": rates_object(tier.rates)} for tier in rates.tiers
    ]
    return values


def _flat(row: Plain) -> Plain:
    return {**row, **row["rates"], "provider": row["provider_id"] or row["provider_type"]}
