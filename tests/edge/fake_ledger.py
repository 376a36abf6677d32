"""An admission that always admits, for tests of the request path alone. It keeps what it was told."""

from dataclasses import dataclass, field
from typing import Any

from edge.admission import AttemptPlan, UsageState
from edge.grants import GrantView, RuleView
from edge.prices import PriceView
from edge.rates.ticket import Ticket
from tollkeeper.cost import UsageCounts, cost_nanousd
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2, prices_pb2

KEY = "aig_" + "k" * 43
IN_RATE, OUT_RATE = 150_000_000, 600_000_000


def price(model: str, **rates: int) -> prices_pb2.Price:
    """A global price of gpt-4o-mini's rates unless given others."""
    rates = {"input": IN_RATE, "output": OUT_RATE} | rates
    return prices_pb2.Price(
        price_id=f"price-{model}", provider_type="openai", model=model, rates=prices_pb2.Rates(**rates)
    )


def rule(name: str, **fields: object) -> edge_pb2.Rule:
    """A rule that leads to an enabled provider of type openai unless given another."""
    values: dict[str, object] = {
        "rule_id": f"rule-{name}",
        "priority": 1,
        "provider_id": f"provider-{name}",
        "provider_name": name,
        "provider_type": "openai",
        "provider_enabled": True,
        "credential": "sk-vendor",
    }
    return edge_pb2.Rule(**(values | fields))  # type: ignore[arg-type]


def grant(*rules: edge_pb2.Rule, **fields: object) -> GrantView:
    """A grant of these rules."""
    values: dict[str, object] = {"customer_id": "customer-1", "key_id": "key-1", "rules": rules, **fields}
    message = edge_pb2.Grant(**values)  # type: ignore[arg-type]
    return GrantView(b"h" * 32, message, 0.0, 0.0)


@dataclass
class Ended:
    """One call of end_attempt."""

    state: int
    status: int
    usage: UsageCounts | None
    why: str
    cost_nanousd: int


@dataclass
class FakeOpen:
    """What `Open` promises."""

    usage_id: str
    grant: GrantView
    plan: AttemptPlan
    plans: list[AttemptPlan]
    ended: list[Ended] = field(default_factory=list)
    attempt_number: int = 1
    status: int = 0
    response_model: str = ""
    finish_reason: str = ""
    first_byte_ms: int = 0
    cf_log_id: str = ""
    cached: bool = False
    finished: bool = False
    keeps: bool = False
    remaining_nanousd: int | None = 1_000_000_000
    end_user: str = ""
    tags: tuple[str, ...] = ()
    ticket: Ticket | None = None

    @property
    def event_id(self) -> str:
        return f"{self.usage_id}-{self.attempt_number}"

    def end_attempt(
        self, state: int, *, status: int = 0, usage: UsageCounts | None = None, why: str = ""
    ) -> int:
        assert not self.finished
        cost = 0
        if state == UsageState.USAGE_STATE_REPORTED:
            assert usage is not None
            cost = cost_nanousd(self.plan.price.rates, usage)
        elif state == UsageState.USAGE_STATE_ESTIMATED:
            cost = self.plan.hold_nanousd
            if usage is not None:
                cost = min(cost, cost_nanousd(self.plan.price.rates, usage))
        self.ended.append(Ended(state, status, usage, why, cost))
        return cost


@dataclass
class PriceNames:
    """What the list of models asks of the price book."""

    names: list[str]
    provider_type: str = "openai"

    def models(self) -> list[tuple[str, str]]:
        return [(self.provider_type, name) for name in self.names]

    def has(self, provider_type: str, model: str) -> bool:
        return (provider_type, model) in self.models()


@dataclass
class CountedModels:
    """Models refused for want of a price, in order."""

    names: list[str] = field(default_factory=list)

    def count(self, customer_id: str, model: str) -> None:
        self.names.append(model)


@dataclass
class NotedRefusals:
    """Requests that were refused with a key, in order: reason, and what was told of them."""

    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def note(self, view: GrantView, error: TollkeeperError, **told: Any) -> str:
        self.notes.append((error.reason_name, told))
        return f"refusal-{len(self.notes)}"


class FakeLedger:
    """What `Ledger` promises. `refuse` is raised by the next `begin`."""

    def __init__(self, view: GrantView, *prices: prices_pb2.Price) -> None:
        self.view = view
        self.opened: list[FakeOpen] = []
        self.refuse: list[TollkeeperError] = []
        self.keep = True
        self.missing_models = CountedModels()
        self.refusals = NotedRefusals()
        self._prices = {each.model: PriceView(each) for each in prices}
        self.prices = PriceNames(list(self._prices))

    async def authorize(self, secret: str) -> GrantView:
        if secret != KEY:
            raise TollkeeperError(Reason.INVALID_API_KEY, "Incorrect API key provided.")
        return self.view

    def price(self, view: GrantView, rule: RuleView, model: str) -> PriceView | None:
        return self._prices.get(model)

    def ready(self) -> str | None:
        return None

    async def begin(
        self,
        view: GrantView,
        plan: AttemptPlan,
        *,
        requested_model: str,
        stream: bool,
        end_user: str = "",
        tags: tuple[str, ...] = (),
        hold_nanousd: int | None = None,
    ) -> FakeOpen:
        if self.refuse:
            raise self.refuse.pop(0)
        opened = FakeOpen(str(uuid7()), view, plan, [plan])
        opened.end_user, opened.tags = end_user, tags
        if self.keep:
            self.opened.append(opened)
        return opened

    async def next_attempt(self, opened: FakeOpen, plan: AttemptPlan) -> None:
        if self.refuse:
            raise self.refuse.pop(0)
        opened.attempt_number += 1
        opened.plan = plan
        opened.plans.append(plan)

    def finish(self, opened: FakeOpen) -> int:
        opened.finished = True
        return sum(each.cost_nanousd for each in opened.ended)
