"""`tollkeeper apply`: makes customers and all they own as a file says (docs/tenants-file.md)."""

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli import failures, output
from clients.cli.commands import command
from clients.cli.export import CUSTOMERS
from clients.cli.failures import UsageProblem, one_line
from clients.cli.session import Session
from clients.services import SyncServices
from clients.tenants import text
from clients.tenants.apply import Applier, Failure
from clients.tenants.plan import CustomerPlan, Step, plan_customer
from clients.tenants.present import AmbiguousName, find, read
from clients.tenants.schema import Customer, Tenants
from clients.tenants.secrets import SecretFile, SecretProblem, resolve
from clients.tenants.show import plain, step_lines
from clients.tenants.text import FileProblem


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    command(app, "apply")(apply)


def apply(
    session: Session,
    file: Annotated[Path, typer.Option("--file", "-f", metavar="FILE", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    customer: Annotated[list[str] | None, CUSTOMERS] = None,
    secrets_file: Annotated[
        Path | None,
        typer.Option(
            "--secrets-file", help="Append new keys' secrets here (mode 600), and don't print them."
        ),
    ] = None,
    set_credentials: Annotated[
        bool, typer.Option("--set-credentials", help="Set every provider's credential again.")
    ] = False,
) -> None:
    """Make customers and all they own as a file says; a second run changes nothing."""
    stubs = SyncServices(session.channel())
    try:
        plans = _plans(stubs, _chosen(text.load(file), customer or []), set_credentials)
        secrets = _secrets(file.parent, plans)
    except FileProblem as error:
        for problem in error.problems:
            sys.stderr.write(f"tollkeeper: {file}: {one_line(problem)}\n")
        raise typer.Exit(failures.USAGE) from None
    report = Report(session, file, plans, dry_run)
    with ExitStack() as stack:
        kept = stack.enter_context(_secret_file(secrets_file)) if secrets_file and not dry_run else None
        # Whatever happens next: what was made, and above all its secrets, is told.
        stack.callback(report.show)
        if dry_run:
            report.show_plan()
        else:
            applier = Applier(stubs, secrets, report.step_done, kept.add if kept else report.keys.append)
            _run(applier, plans, report)
    if report.failures:
        raise typer.Exit(failures.REFUSED)


@dataclass(slots=True)
class Report:
    """What was done, and how it is told."""

    session: Session
    file: Path
    plans: list[CustomerPlan]
    dry_run: bool
    keys: list[dict[str, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    done: list[tuple[CustomerPlan, Step]] = field(default_factory=list)
    _shown: str = ""

    def show_plan(self) -> None:
        """Every step, as if it were done."""
        for plan in self.plans:
            for step in plan.steps:
                self.step_done(plan, step)

    def step_done(self, plan: CustomerPlan, step: Step) -> None:
        """Says it at once, but for programs."""
        self.done.append((plan, step))
        if self.session.json:
            return
        if self._shown != plan.slug:
            self._shown = plan.slug
            output.raw(f"customer {plan.slug}")
        for line in step_lines(step):
            output.raw(line)

    def failed(self, failure: Failure) -> None:
        """On standard error, with its place in the file."""
        self.failures.append(failure)
        reason = f" ({failure.reason})" if failure.reason else ""
        line = one_line(f"{self.file}: {failure.path} ({failure.name}): {failure.message}{reason}")
        sys.stderr.write(f"tollkeeper: {line}\n")

    def show(self) -> None:
        """The sum of it."""
        if self.session.json:
            output.record(self.session, self._plain())
            return
        for key in self.keys:
            output.raw(f"\nkey {one_line(key['key'])} of {key['customer']}: {key['raw_key']}")
        if self.keys:
            output.raw("\nKeep these secrets now: they can't be shown again.")
        for plan in self.plans:
            if plan.left_alone:
                names = ", ".join(one_line(each) for each in plan.left_alone)
                output.raw(f"customer {plan.slug}: left alone, not in the file: {names}")
        output.raw(self._summary())

    def _summary(self) -> str:
        made, changed, unchanged, left = self._counts()
        would = "would be " if self.dry_run else ""
        if not (made or changed or left or self.failures):
            return f"Nothing to change: all {unchanged} are as the file says."
        text = f"{made} {would}made, {changed} {would}changed, {unchanged} are as the file says."
        return f"{text} {left} not done; run it again once that is mended." if self.failures else text

    def _counts(self) -> tuple[int, int, int, int]:
        made = sum(step.present is None for _, step in self.done)
        planned = sum(len(plan.steps) for plan in self.plans)
        unchanged = sum(plan.unchanged_count for plan in self.plans)
        return made, len(self.done) - made, unchanged, planned - len(self.done)

    def _plain(self) -> dict[str, Any]:
        made, changed, unchanged, left = self._counts()
        return {
            "file": str(self.file),
            "dry_run": self.dry_run,
            "made": made,
            "changed": changed,
            "unchanged": unchanged,
            "not_done": left,
            "steps": [_plain_step(plan, step) for plan, step in self.done],
            "failures": [
                {"path": each.path, "name": each.name, "message": each.message, "reason": each.reason or None}
                for each in self.failures
            ],
            "left_alone": {plan.slug: plan.left_alone for plan in self.plans if plan.left_alone},
            "keys": self.keys,
        }


def _plain_step(plan: CustomerPlan, step: Step) -> dict[str, Any]:
    return {
        "customer": plan.slug,
        "path": step.path,
        "kind": step.kind,
        "name": step.name,
        "action": "make" if step.present is None else "change",
        "changes": {
            name: {"before": plain(before), "after": plain(after)}
            for name, (before, after) in step.changes.items()
        },
    }


def _run(applier: Applier, plans: list[CustomerPlan], report: Report) -> None:
    for plan in plans:
        failure = applier.run(plan)
        if failure is not None:
            report.failed(failure)
            if failure.hopeless:
                return


def _chosen(tenants: Tenants, slugs: list[str]) -> list[tuple[int, Customer]]:
    """The customers of the file with their place in it; only these, where some are named."""
    numbered = list(enumerate(tenants.customers))
    known = [each.slug for _, each in numbered]
    problems = [f"there is no customer {slug!r} in the file" for slug in slugs if slug not in known]
    problems += [
        f"customers[{place}]: {slug!r} is there twice"
        for place, slug in enumerate(known)
        if slug in known[:place]
    ]
    if problems:
        raise FileProblem(problems)
    return [(place, each) for place, each in numbered if not slugs or each.slug in slugs]


def _plans(
    stubs: SyncServices, customers: list[tuple[int, Customer]], set_credentials: bool
) -> list[CustomerPlan]:
    """Raises FileProblem naming all that can't be done."""
    plans, problems = [], []
    for place, wanted in customers:
        found = find(stubs, wanted.slug)
        try:
            present = read(stubs, found) if found is not None else None
        except AmbiguousName as error:
            problems.append(f"customers[{place}]: in the control plane {error}")
            continue
        plan = plan_customer(wanted, present, place, set_credentials)
        problems += plan.problems
        plans.append(plan)
    if problems:
        raise FileProblem(problems)
    return plans


def _secrets(directory: Path, plans: list[CustomerPlan]) -> dict[str, str]:
    """All that the plans need, by place, before anything is done. Raises FileProblem."""
    found: dict[str, str] = {}
    problems = []
    for path, reference in [each for plan in plans for each in plan.secrets()]:
        try:
            found[path] = resolve(reference, directory, os.environ)
        except SecretProblem as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise FileProblem(problems)
    return found


def _secret_file(path: Path) -> SecretFile:
    try:
        return SecretFile(path)
    except SecretProblem as error:
        raise UsageProblem(str(error)) from None
