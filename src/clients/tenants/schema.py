"""What a tenants file may say. Fields are those of the contract; parts name each other, money is US dollars.

A field that is left out has the value that a new resource has by itself, so a file says all about what it
names.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from tollkeeper.money import format_usd, parse_usd
from tollkeeper.networks import network
from tollkeeper.provider_types import find_type, goes_direct

PLATFORM_PREFIX = "platform/"
_MAX_ITEMS = 10_000


def _usd(value: object) -> object:
    """Decimal text, however it was written. The YAML reader leaves decimals as text: no float comes here."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("an amount in US dollars is needed, such as 12.50")
    nanousd = parse_usd(str(value))
    if nanousd < 0:
        raise ValueError("an amount can't be less than nothing")
    return format_usd(nanousd)


def _positive(value: str) -> str:
    if not parse_usd(value):
        raise ValueError("a limit is more than nothing; leave the budget out for none")
    return value


def _unique(values: list[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _time(value: str) -> str:
    """RFC 3339 in UTC, as the contract writes it."""
    moment = Timestamp()
    try:
        moment.FromJsonString(value)
    except ValueError:
        raise ValueError("a time is needed, such as 2026-12-01T00:00:00Z") from None
    return moment.ToJsonString()


def _own_name(value: str) -> str:
    if value.startswith(PLATFORM_PREFIX):
        raise ValueError(f"names that begin with {PLATFORM_PREFIX} are the platform's")
    return value


def _type(value: str) -> str:
    """By the name that the control plane answers with."""
    found = find_type(value)
    return found.name if found is not None else value


def _reference(value: str) -> str:
    kind, _, name = value.partition(":")
    if kind not in ("env", "file") or not name:
        raise ValueError(
            "a secret is named as env:VARIABLE or file:PATH, and never stands in the file itself"
        )
    return value


Usd = Annotated[str, BeforeValidator(_usd)]
Limit = Annotated[Usd, AfterValidator(_positive)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
OwnName = Annotated[Name, AfterValidator(_own_name)]
Email = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=3, max_length=254)]
Models = Annotated[list[Name], AfterValidator(_unique)]
Networks = Annotated[
    list[Annotated[str, AfterValidator(lambda text: str(network(text)))]], AfterValidator(_unique)
]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Reference = Annotated[str, AfterValidator(_reference)]
Time = Annotated[str, AfterValidator(_time)]
Period = Literal["none", "daily", "weekly", "monthly"]
Role = Literal["member", "manager", "admin", "owner"]


class Part(BaseModel):
    """A mapping of the file. Unknown fields are errors, and nothing is guessed from another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Budget(Part):
    """On the customer, team, user or key it stands under."""

    limit_usd: Limit
    period: Period = "none"
    soft: bool = False
    thresholds: Annotated[
        list[Annotated[int, Field(ge=1, le=1000)]], AfterValidator(lambda given: sorted(set(given)))
    ] = []


class ModelLimit(Part):
    """Of a key, for models that match the pattern."""

    model: Name
    requests_per_minute: Count = 0
    tokens_per_minute: Count = 0
    max_cost_usd: Usd = "0.00"


class KeyBudget(Part):
    """Of keys to come."""

    limit_usd: Limit
    period: Period = "none"


class KeyDefaults(Part):
    """What new keys get, and what keys of this file have where they say nothing."""

    allowed_models: Models = []
    requests_per_minute: Count = 0
    tokens_per_minute: Count = 0
    max_concurrent_requests: Count = 0
    model_limits: list[ModelLimit] = []
    max_cost_usd: Usd = "0.00"
    clamp_output: bool = False
    budget: KeyBudget | None = None


class Team(Part):
    """By name."""

    name: Name
    suspended: bool = False
    requests_per_minute: Count = 0
    tokens_per_minute: Count = 0
    max_concurrent_requests: Count = 0
    budgets: list[Budget] = []


class User(Part):
    """By email. The password is only used when the user is made."""

    email: Email
    name: str = ""
    role: Role = "member"
    suspended: bool = False
    requests_per_minute: Count = 0
    tokens_per_minute: Count = 0
    max_concurrent_requests: Count = 0
    teams: Annotated[list[Name], AfterValidator(lambda names: sorted(set(names)))] = []
    password: Reference | None = None
    budgets: list[Budget] = []


class Provider(Part):
    """By name. A credential is never read back, so it is compared by whether there is one."""

    name: OwnName
    type: Annotated[Name, AfterValidator(_type)]
    base_url: str = ""
    credential: Reference | None = None
    stored_key_alias: str = ""
    disabled: bool = False
    direct: bool = False
    passthrough_paths: list[str] = []

    @field_validator("direct")
    @classmethod
    def _said(cls, value: bool, info: ValidationInfo) -> bool:
        """Where type and address say so by themselves, it needn't be said."""
        return value and not goes_direct(info.data.get("type", ""), info.data.get("base_url", ""), False)


class Rule(Part):
    """Of a router; its provider by name, `platform/NAME` for one of the platform's."""

    provider: Name
    priority: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    condition: Name = "primary"
    statuses: list[int] = []
    when: str = ""
    allowed_models: Models = []
    model_rewrite: str = ""
    weight: Annotated[int, Field(ge=0, le=1_000_000)] = 0


Milliseconds = Annotated[int, Field(ge=0, le=3_600_000)]


class Retries(Part):
    """Of a router; zeros are the defaults."""

    count: Annotated[int, Field(ge=0, le=5)] = 0
    backoff_ms: Milliseconds = 0
    max_backoff_ms: Milliseconds = 0


class Deadlines(Part):
    """Of a router; 0: as long as the edge's settings say."""

    connect_ms: Milliseconds = 0
    first_byte_ms: Milliseconds = 0
    idle_ms: Milliseconds = 0
    total_ms: Milliseconds = 0


class Router(Part):
    """By name. Its rules are replaced as a whole."""

    name: OwnName
    rules: Annotated[list[Rule], Field(max_length=100)] = []
    retries: Retries = Retries()
    deadlines: Deadlines = Deadlines()
    cache_ttl_s: Annotated[int, Field(ge=0, le=2_592_000)] = 0


class Key(Part):
    """By name; keys with the same name are told apart by their order. Without router: the customer's
    default."""

    name: Name
    user: Email | None = None
    team: Name | None = None
    router: Name | None = None
    disabled: bool = False
    expire_time: Time | None = None
    allowed_models: Models = []
    default_output_limit: Count = 0
    clamp_output: bool = False
    requests_per_minute: Count = 0
    tokens_per_minute: Count = 0
    max_concurrent_requests: Count = 0
    model_limits: list[ModelLimit] = []
    max_cost_usd: Usd = "0.00"
    allowed_ips: Networks = []
    budgets: list[Budget] = []

    def is_over(self) -> bool:
        """Whether its time has come, so that it couldn't be made again."""
        return self.expire_time is not None and datetime.fromisoformat(self.expire_time) <= datetime.now(UTC)


class Customer(Part):
    """By slug."""

    slug: Name
    name: Name
    email: Email | None = None
    plan: Name = "free"
    price_plan: Name | None = None
    time_zone: Name = "UTC"
    suspended: bool = False
    allowed_models: Models = []
    requests_per_minute: Count = 0
    tokens_per_minute: Count = 0
    max_concurrent_requests: Count = 0
    default_output_limit: Count = 0
    default_router: Name | None = None
    key_defaults: KeyDefaults | None = None
    # As CreateCustomer has it: a dollar for all time. An empty list: no limit.
    budgets: list[Budget] = [Budget(limit_usd="1.00")]
    teams: Annotated[list[Team], Field(max_length=_MAX_ITEMS)] = []
    users: Annotated[list[User], Field(max_length=_MAX_ITEMS)] = []
    providers: Annotated[list[Provider], Field(max_length=_MAX_ITEMS)] = []
    routers: Annotated[list[Router], Field(max_length=_MAX_ITEMS)] = []
    keys: Annotated[list[Key], Field(max_length=_MAX_ITEMS)] = []

    def names_platform(self) -> bool:
        """Whether it uses anything of the platform's."""
        named = [self.default_router, *(key.router for key in self.keys)]
        named += [rule.provider for router in self.routers for rule in router.rules]
        return any(name is not None and name.startswith(PLATFORM_PREFIX) for name in named)


class Tenants(Part):
    """The whole file."""

    customers: Annotated[list[Customer], Field(max_length=_MAX_ITEMS)] = []


# What a key that says nothing takes from its customer's defaults.
DEFAULTED = (
    "allowed_models",
    "requests_per_minute",
    "tokens_per_minute",
    "max_concurrent_requests",
    "model_limits",
    "max_cost_usd",
    "clamp_output",
)
Owner = Customer | Team | User | Key
Resource = Customer | Team | User | Provider | Router | Key


def implied(customer: Customer) -> dict[str, Any]:
    """What a key of this customer has where it says nothing."""
    values: dict[str, Any] = {"router": customer.default_router}
    if (defaults := customer.key_defaults) is not None:
        values |= {field: getattr(defaults, field) for field in DEFAULTED}
        if defaults.budget is not None:
            values["budgets"] = [Budget(limit_usd=defaults.budget.limit_usd, period=defaults.budget.period)]
    return values


def complete(key: Key, customer: Customer) -> Key:
    """The key with what it leaves to its customer filled in."""
    said = key.model_fields_set if key.router else key.model_fields_set - {"router"}
    left_out = {name: value for name, value in implied(customer).items() if name not in said}
    return key.model_copy(update=left_out)
