"""`tollkeeper usage`: what was used, and what it cost."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from clients.cli import options, output
from clients.cli.commands import command, noun
from clients.cli.failures import UsageProblem
from clients.cli.options import Customer, Id, Limit
from clients.cli.plain import Plain, plain
from clients.cli.session import Session, collect
from tollkeeper.v1 import usage_pb2
from tollkeeper.v1.usage_pb2 import UsageEntry
from tollkeeper.v1.usage_pb2_grpc import UsageServiceStub

app = noun()

COLUMNS = {
    "usage_id": "ID",
    "begin_time": "TIME",
    "key_id": "KEY",
    "requested_model": "MODEL",
    "status": "STATUS",
    "state": "STATE",
    "input_tokens": "IN",
    "output_tokens": "OUT",
    "cost_usd": "COST",
}
SUMS = {
    "cost_usd": "COST",
    "request_count": "REQUESTS",
    "refused_count": "REFUSED",
    "input_tokens": "IN",
    "output_tokens": "OUT",
}
FOLLOW_INTERVAL_S = 2.0
FOLLOWED_AT_ONCE = 200


class State(StrEnum):
    """How a request ended."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    VOIDED = "voided"
    REFUSED = "refused"


class Format(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    JSONL = "jsonl"


class Dimension(StrEnum):
    """What sums are kept by."""

    KEY = "key"
    USER = "user"
    TEAM = "team"
    END_USER = "end-user"
    TAG = "tag"
    MODEL = "model"
    PROVIDER = "provider"


class Interval(StrEnum):
    """The steps of a series."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


KeyId = Annotated[str | None, typer.Option("--key", metavar="ID", help="Of one key, by id or hash.")]
UserId = Annotated[str | None, typer.Option("--user", metavar="ID", help="Of one user.")]
TeamId = Annotated[str | None, typer.Option("--team", metavar="ID", help="Of one team.")]
EndUser = Annotated[str | None, typer.Option("--end-user", metavar="NAME", help="Of one user of the app.")]
Tag = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="With this tag.")]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Of one model, as asked for.")]
ProviderId = Annotated[str | None, typer.Option("--provider", metavar="ID", help="Of one provider.")]
StateIs = Annotated[State | None, typer.Option("--state", help="That ended so.")]
Status = Annotated[int | None, typer.Option("--status", min=100, max=599, help="With this HTTP status.")]
WithoutRefused = Annotated[bool, typer.Option("--without-refused", help="Without refused requests.")]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="From this time on (RFC 3339).")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before this time (RFC 3339).")]
GroupBy = Annotated[Dimension | None, typer.Option("--by", help="Sums for each of these.")]
Groups = Annotated[int, typer.Option("--groups", min=0, help="The dearest so many; 0: the default.")]


@command(app, "list")
def list_(
    session: Session,
    customer: Customer,
    key: KeyId = None,
    user: UserId = None,
    team: TeamId = None,
    end_user: EndUser = None,
    tag: Tag = None,
    model: Model = None,
    provider: ProviderId = None,
    state: StateIs = None,
    status: Status = None,
    without_refused: WithoutRefused = False,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new ones, until Ctrl-C.")] = False,
) -> None:
    """List requests, the newest first."""
    wanted = usage_pb2.ListUsageRequest(
        customer_id=customer,
        without_refused=without_refused,
        **_filter(key, user, team, end_user, tag, model, provider, state, status, since, until),
    )
    stub = UsageServiceStub(session.channel())
    if follow:
        _follow(session, stub, wanted)
        return

    def page(page_size: int, page_token: str) -> tuple[list[UsageEntry], str]:
        wanted.page_size, wanted.page_token = page_size, page_token
        answer = stub.ListUsage(wanted)
        return list(answer.usage), answer.next_page_token

    rows = [plain(each) for each in collect(page, limit)]
    output.listing(session, rows if session.json else _flat(rows), COLUMNS)


@command(app, "show")
def show(session: Session, usage: Id, customer: Customer) -> None:
    """Show one request with its attempts and ledger entries."""
    request = usage_pb2.GetUsageRequest(customer_id=customer, usage_id=usage)
    output.record(session, plain(UsageServiceStub(session.channel()).GetUsage(request)))


@command(app, "export")
def export(
    session: Session,
    customer: Annotated[
        str,
        typer.Option(
            "--customer", envvar="TOLLKEEPER_CUSTOMER", metavar="ID", help="By id or slug; - for all of them."
        ),
    ],
    format_: Annotated[Format, typer.Option("--format", help="What it is written as.")] = Format.CSV,
    to: Annotated[Path | None, typer.Option("--output", "-o", help="A file; else standard output.")] = None,
    key: KeyId = None,
    user: UserId = None,
    team: TeamId = None,
    end_user: EndUser = None,
    tag: Tag = None,
    model: Model = None,
    provider: ProviderId = None,
    state: StateIs = None,
    status: Status = None,
    without_refused: WithoutRefused = False,
    since: Since = None,
    until: Until = None,
) -> None:
    """Write requests as CSV or JSON lines, the newest first."""
    request = usage_pb2.ExportUsageRequest(
        customer_id=customer,
        format=f"EXPORT_FORMAT_{format_.name}",
        without_refused=without_refused,
        **_filter(key, user, team, end_user, tag, model, provider, state, status, since, until),
    )
    parts = UsageServiceStub(session.channel()).ExportUsage(request)
    with _opened(to) as file, _progress() as advance:
        for part in parts:
            file.write(part.text)
            advance(part)


@command(app, "summary")
def summary(
    session: Session,
    customer: Customer,
    key: KeyId = None,
    user: UserId = None,
    team: TeamId = None,
    since: Since = None,
    until: Until = None,
    by: GroupBy = None,
    groups: Groups = 0,
) -> None:
    """Sum up a customer, key, user or team: of all time or a period, and of the last day."""
    request = usage_pb2.GetUsageSummaryRequest(
        customer_id=customer,
        group_by=_dimension(by),
        group_limit=groups,
        **_filter(key, user, team, since=since, until=until),
    )
    answer = plain(UsageServiceStub(session.channel()).GetUsageSummary(request))
    if session.json or by is None:
        if not session.json:
            del answer["groups"]
        output.record(session, answer)
        return
    rows = [{**each, **each["totals"]} for each in answer["groups"]]
    output.listing(session, rows, {"value": by.value.upper(), "label": "NAME", **SUMS})


@command(app, "series")
def series(
    session: Session,
    customer: Customer,
    key: KeyId = None,
    user: UserId = None,
    team: TeamId = None,
    since: Since = None,
    until: Until = None,
    interval: Annotated[Interval, typer.Option("--interval", help="The steps.")] = Interval.DAY,
    zone: Annotated[str | None, typer.Option("--time-zone", help="Else the customer's.")] = None,
    by: GroupBy = None,
    groups: Groups = 0,
) -> None:
    """Sums by hour, day or month; the last 30 of them unless told otherwise."""
    request = usage_pb2.QueryUsageRequest(
        customer_id=customer,
        interval=f"USAGE_INTERVAL_{interval.name}",
        time_zone=zone or "",
        group_by=_dimension(by),
        group_limit=groups,
        **_filter(key, user, team, since=since, until=until),
    )
    answer = plain(UsageServiceStub(session.channel()).QueryUsage(request))
    if session.json:
        output.record(session, answer)
        return
    rows = [
        {"value": each["label"] or each["value"], "start_time": point["start_time"], **point["totals"]}
        for each in answer["series"]
        for point in each["points"]
    ]
    heading = {"value": by.value.upper()} if by is not None else {}
    output.listing(session, rows, {**heading, "start_time": "FROM", **SUMS})


def _filter(
    key: str | None = None,
    user: str | None = None,
    team: str | None = None,
    end_user: str | None = None,
    tag: str | None = None,
    model: str | None = None,
    provider: str | None = None,
    state: State | None = None,
    status: int | None = None,
    since: str | None = None,
    until: str | None = None,
) -> dict[str, Any]:
    """The fields of a request that were asked for."""
    given: dict[str, str | int | Timestamp | None] = {
        "key_id": key,
        "user_id": user,
        "team_id": team,
        "end_user": end_user,
        "tag": tag,
        "model": model,
        "provider_id": provider,
        "state": f"USAGE_STATE_{state.name}" if state else None,
        "status": status,
        "start_time": options.time(since) if since else None,
        "end_time": options.time(until) if until else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _dimension(by: Dimension | None) -> str:
    """The contract's name of it."""
    return f"USAGE_DIMENSION_{by.name if by else 'UNSPECIFIED'}"


def _flat(rows: Sequence[Plain]) -> list[Plain]:
    nothing = {"input_tokens": None, "output_tokens": None}
    return [{**row, **(row["usage"] or nothing)} for row in rows]


def _follow(session: Session, stub: UsageServiceStub, wanted: usage_pb2.ListUsageRequest) -> None:
    """Prints what is new every two seconds, the oldest first; ends with Ctrl-C."""
    wanted.page_size = FOLLOWED_AT_ONCE
    seen: set[str] = set()
    while True:
        page = stub.ListUsage(wanted).usage
        rows = [plain(each) for each in reversed(page) if each.usage_id not in seen]
        for row in rows if session.json else _flat(rows):
            output.line(session, row, COLUMNS)
        seen = {each.usage_id for each in page}
        time.sleep(FOLLOW_INTERVAL_S)


@contextmanager
def _opened(to: Path | None) -> Iterator[IO[str]]:
    """The file, or standard output; lines end as the text says. Raises UsageProblem."""
    if to is None:
        with nullcontext(sys.stdout) as file:
            yield file
        return
    try:
        opened = to.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageProblem(f"{to} can't be written: {error.strerror}") from None
    with opened:
        yield opened


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar on standard error, when somebody looks there; gets each part of an export."""
    if not sys.stderr.isatty():
        yield lambda part: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("requests", total=None)

        def advance(part: usage_pb2.ExportUsageResponse) -> None:
            if part.estimated_row_count:
                bar.update(task, total=part.estimated_row_count)
            bar.advance(task, part.row_count)

        yield advance
