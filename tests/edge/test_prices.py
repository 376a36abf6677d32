"""The price book as the edge keeps it (L16)."""

from edge.prices import MAX_KEPT_MARKUPS, PriceBook, PriceView
from tests.edge.fake_ledger import price
from tollkeeper.cost import UsageCounts
from tollkeeper.v1 import edge_pb2, prices_pb2


def a_price(provider_type: str, model: str, rate: int, price_id: str) -> prices_pb2.Price:
    made = price(model, input=rate, output=rate)
    made.provider_type, made.price_id = provider_type, price_id
    return made


def book(*prices: prices_pb2.Price) -> PriceBook:
    made = PriceBook()
    made.apply(edge_pb2.PriceBook(version=1, prices=prices, full=True, last=True), 0.0)
    return made


def price_id(prices: PriceBook, provider_type: str, model: str, now_s: float = 0.0) -> str | None:
    found = prices.lookup(provider_type, model, now_s)
    return found.price_id if found is not None else None


def test_the_type_s_own_price_comes_first() -> None:
    """Another vendor's dearer price for the name changes nothing."""
    prices = book(a_price("openai", "gpt-4o", 10, "mine"), a_price("azure-openai", "gpt-4o", 90, "dear"))
    assert price_id(prices, "openai", "gpt-4o") == "mine"


def test_a_name_priced_elsewhere_costs_the_dearest() -> None:
    """A custom endpoint that serves gpt-4o is billed as the dearest gpt-4o; an unknown name has no price."""
    prices = book(a_price("openai", "gpt-4o", 10, "cheap"), a_price("azure-openai", "gpt-4o", 90, "dear"))
    assert price_id(prices, "custom", "gpt-4o") == "dear"
    assert price_id(prices, "custom", "gpt-5o") is None


def test_the_next_price_takes_over_by_itself() -> None:
    """A price that was announced is in force from its time, without another push."""
    old, new = a_price("openai", "gpt-4o", 10, "old"), a_price("openai", "gpt-4o", 20, "new")
    old.ends_in.FromSeconds(60)
    new.starts_in.FromSeconds(60)
    prices = book(old, new)
    assert [price_id(prices, "openai", "gpt-4o", now_s) for now_s in (0.0, 59.9, 60.1)] == [
        "old",
        "old",
        "new",
    ]


def test_nothing_shows_before_the_last_part() -> None:
    """A book comes in parts, and replaces the one before as a whole."""
    prices = book(a_price("openai", "gpt-4o", 10, "old"))
    first, last = a_price("openai", "gpt-4o", 20, "new"), a_price("openai", "gpt-5", 30, "five")
    prices.apply(edge_pb2.PriceBook(version=2, prices=[first], full=True), 0.0)
    assert price_id(prices, "openai", "gpt-4o") == "old"
    prices.apply(edge_pb2.PriceBook(version=2, prices=[last], last=True), 0.0)
    assert price_id(prices, "openai", "gpt-4o") == "new"
    assert price_id(prices, "custom", "gpt-5") == "five"


def test_a_markup_is_in_hold_and_cost() -> None:
    """The same price with something on top: its worst case and its costs rise, its id stays."""
    view = PriceView(a_price("openai", "gpt-4o", 1_000_000, "p"))
    dearer = view.marked_up(250_000)
    assert (dearer.price_id, dearer.markup_ppm) == ("p", 250_000)
    assert (view.cost_nanousd(UsageCounts(10)), dearer.cost_nanousd(UsageCounts(10))) == (10, 13)
    assert (view.worst.cost_nanousd(10, 0), dearer.worst.cost_nanousd(10, 0)) == (10, 13)
    assert view.marked_up(250_000) is dearer
    assert view.marked_up(0) is view
    many = [view.marked_up(ppm) for ppm in range(1, 2 * MAX_KEPT_MARKUPS)]
    assert [each.markup_ppm for each in many] == list(range(1, 2 * MAX_KEPT_MARKUPS))


def test_tiers_are_priced_and_held() -> None:
    """What the vendor says it used counts; the hold is for the dearest tier (L15)."""
    made = a_price("openai", "gpt-4o", 1_000_000, "p")
    made.rates.tiers.add(service_tier="flex", rates=prices_pb2.Rates(input=500_000, output=500_000))
    made.rates.tiers.add(service_tier="priority", rates=prices_pb2.Rates(input=2_000_000, output=2_000_000))
    view = PriceView(made)
    costs = [view.cost_nanousd(UsageCounts(10, service_tier=tier)) for tier in ("", "flex", "priority")]
    assert costs == [10, 5, 20]
    assert view.worst.cost_nanousd(10, 0) == 20
