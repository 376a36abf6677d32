"""Options and arguments that several nouns share, and how their text is read."""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from clients.cli import completion
from clients.cli.failures import UsageProblem
from tollkeeper.money import parse_usd
from tollkeeper.v1.budgets_pb2 import InitialBudget, Period


class PeriodName(StrEnum):
    """When a budget starts over."""

    NONE = "none"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


_PERIODS = {
    PeriodName.NONE: Period.PERIOD_NONE,
    PeriodName.DAILY: Period.PERIOD_DAILY,
    PeriodName.WEEKLY: Period.PERIOD_WEEKLY,
    PeriodName.MONTHLY: Period.PERIOD_MONTHLY,
}


_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MAX_DIGITS = 9


def signed_usd(text: str) -> int:
    """Nano-dollars of an option that may take something away. Raises UsageProblem."""
    try:
        return parse_usd(text)
    except ValueError as error:
        raise UsageProblem(str(error)) from None


def usd(text: str) -> int:
    """Nano-dollars of an option. Raises UsageProblem."""
    amount = signed_usd(text)
    if amount < 0:
        raise UsageProblem(f"{text!r} is less than nothing")
    return amount


def time(text: str) -> Timestamp:
    """RFC 3339, such as 2026-12-01T00:00:00Z. Raises UsageProblem."""
    moment = Timestamp()
    try:
        moment.FromJsonString(text)
    except ValueError:
        raise UsageProblem(f"{text!r} is not a time such as 2026-12-01T00:00:00Z") from None
    return moment


def duration(text: str) -> Duration:
    """A number with s, m, h or d. Raises UsageProblem."""
    amount, unit = text[:-1], text[-1:]
    if unit not in _UNITS_S or not amount.isascii() or not amount.isdigit() or len(amount) > _MAX_DIGITS:
        raise UsageProblem(f"{text!r} is not a time such as 90s, 15m, 24h or 7d")
    return Duration(seconds=int(amount) * _UNITS_S[unit])


def period(name: PeriodName | None) -> Period:
    """The contract's value; unspecified without a name."""
    return _PERIODS[name] if name else Period.PERIOD_UNSPECIFIED


def initial_budget(
    limit_usd: str | None, reset: PeriodName | None, unlimited: bool = False
) -> InitialBudget | None:
    """The budget made together with its owner; None when nothing was said about it. Raises UsageProblem."""
    if unlimited:
        if limit_usd is not None or reset is not None:
            raise UsageProblem("no limit and a limit can't both be asked for")
        return InitialBudget()
    if limit_usd is None:
        if reset is not None:
            raise UsageProblem("a reset needs an amount: add --budget-usd")
        return None
    return InitialBudget(limit_nanousd=usd(limit_usd), period=period(reset or PeriodName.NONE))


def secret(from_stdin: bool, variable: str, prompt: str) -> str | None:
    """A secret that never stands in the command line: from standard input (asked for at a terminal), or from
    the environment. None when neither has one. Raises UsageProblem for an empty one."""
    if not from_stdin:
        return os.environ.get(variable) or None
    if sys.stdin.isatty():
        import getpass

        text = getpass.getpass(f"{prompt}: ")
    else:
        text = sys.stdin.read(MAX_SECRET_CHARS + 1)
    text = text.strip()
    if not text or len(text) > MAX_SECRET_CHARS:
        raise UsageProblem(f"{prompt.lower()}: standard input must hold 1 to {MAX_SECRET_CHARS} characters")
    return text


def two_secrets(first: str, second: str) -> tuple[str, str]:
    """Two secrets, a line each, from standard input (asked for at a terminal). Raises UsageProblem."""
    if sys.stdin.isatty():
        import getpass

        given = [getpass.getpass(f"{prompt}: ") for prompt in (first, second)]
    else:
        given = sys.stdin.read(2 * MAX_SECRET_CHARS).splitlines()
    if len(given) != 2 or not all(given):
        raise UsageProblem(f"standard input must hold two lines: {first.lower()} and {second.lower()}")
    return given[0], given[1]


def pairs(text: str, known: frozenset[str]) -> dict[str, list[str]]:
    """`a=1,b=2,b=3` as lists of values. Raises UsageProblem for a name that isn't known."""
    found: dict[str, list[str]] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or not value or name not in known:
            raise UsageProblem(
                f"{part.strip()!r} in {text!r} is none of {', '.join(sorted(known))} with a value"
            )
        found.setdefault(name, []).append(value)
    return found


def single(values: dict[str, list[str]], name: str, default: str = "") -> str:
    """The only value of a name. Raises UsageProblem when there are more."""
    given = values.get(name, [default])
    if len(given) != 1:
        raise UsageProblem(f"{name} can be given once only")
    return given[0]


def number(text: str, name: str) -> int:
    """A whole number from 0 on. Raises UsageProblem."""
    if not text.isascii() or not text.isdigit():
        raise UsageProblem(f"{name} must be a whole number, not {text!r}")
    return int(text)


MAX_SECRET_CHARS = 16_384

Id = Annotated[
    str,
    typer.Argument(metavar="ID", help="Its id.", show_default=False, autocompletion=completion.ids),
]
Customer = Annotated[
    str,
    typer.Option(
        "--customer",
        envvar="TOLLKEEPER_CUSTOMER",
        metavar="ID",
        help="The customer, by id or slug.",
        show_default=False,
        autocompletion=completion.customers,
    ),
]
AnyCustomer = Annotated[
    str | None,
    typer.Option(
        "--customer",
        envvar="TOLLKEEPER_CUSTOMER",
        metavar="ID",
        help="The customer, by id or slug.",
        autocompletion=completion.customers,
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many; else all.")]
Name = Annotated[str, typer.Option("--name", help="For people.", show_default=False)]
NewName = Annotated[str | None, typer.Option("--name")]
Force = Annotated[bool, typer.Option("--force", help="Also when something still refers to it.")]
Usd = Annotated[str | None, typer.Option("--budget-usd", metavar="USD", help="A hard limit, such as 0.01.")]
Reset = Annotated[PeriodName | None, typer.Option("--budget-reset", help="When the spend starts over.")]
Suspended = Annotated[bool | None, typer.Option("--suspended/--active", help="Refuse all its requests.")]
Models = Annotated[
    list[str] | None, typer.Option("--allow-model", metavar="PATTERN", help="Repeat for more; else all.")
]
RequestRate = Annotated[int | None, typer.Option("--requests-per-minute", min=0, help="0: no limit.")]
TokenRate = Annotated[
    int | None, typer.Option("--tokens-per-minute", min=0, help="Model tokens; 0: no limit.")
]
ConcurrentRequests = Annotated[
    int | None, typer.Option("--max-concurrent-requests", min=0, help="At once; 0: no limit.")
]
