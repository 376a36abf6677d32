"""`tollkeeper export`: customers and all they own as a file that `tollkeeper apply` takes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from clients.cli import output
from clients.cli.commands import command
from clients.cli.failures import UsageProblem
from clients.cli.session import Session
from clients.services import SyncServices
from clients.tenants import text
from clients.tenants.present import AmbiguousName, all_customers, find, read
from clients.tenants.schema import Customer, Tenants
from tollkeeper.errors import not_found
from tollkeeper.v1.customers_pb2 import Customer as CustomerMessage

CUSTOMERS = typer.Option("--customer", metavar="SLUG", help="Only this one; repeat for more. Else all.")


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    command(app, "export")(export)


def export(
    session: Session,
    customer: Annotated[list[str] | None, CUSTOMERS] = None,
    to: Annotated[Path | None, typer.Option("--output", "-o", help="Else standard output.")] = None,
) -> None:
    """Write customers and all they own as a tenants file, which names credentials and has none."""
    stubs = SyncServices(session.channel())
    chosen = [_named(stubs, slug) for slug in customer] if customer else list(all_customers(stubs))
    tenants = Tenants(customers=[_exported(stubs, each) for each in chosen])
    written = json.dumps(text.plain(tenants)) if session.json else text.dump(tenants)
    if to is None:
        output.raw(written.rstrip("\n"))
        return
    try:
        to.write_text(written)
    except OSError as error:
        raise UsageProblem(f"{to}: {(error.strerror or str(error)).lower()}") from None


def _named(stubs: SyncServices, slug: str) -> CustomerMessage:
    found = find(stubs, slug)
    if found is None:
        raise not_found("customer", slug)
    return found


def _exported(stubs: SyncServices, customer: CustomerMessage) -> Customer:
    """Without keys whose time is over, which can't be made again."""
    try:
        part = read(stubs, customer).part
    except AmbiguousName as error:
        raise UsageProblem(f"customer {customer.slug}: {error}") from None
    return part.model_copy(update={"keys": [key for key in part.keys if not key.is_over()]})
