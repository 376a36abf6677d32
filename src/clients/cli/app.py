"""The console script: `tollkeeper NOUN VERB`, or a part of Tollkeeper to run."""

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from clients.cli import completion, output, parts
from clients.cli.commands import HELP_SETTINGS
from clients.cli.run import run

NOUNS = {
    "customers": "Tenants with their own keys, budgets and providers.",
    "templates": "What customers of a plan start with.",
    "teams": "Users and keys that belong together.",
    "users": "People of a customer, with a role.",
    "providers": "Vendors, with the credential used there.",
    "routers": "Ordered rules that choose the provider of a request.",
    "keys": "What apps present, with budgets of their own.",
    "prices": "What models cost, in US dollars per million model tokens.",
    "price-plans": "What customers pay on top of global prices.",
    "budgets": "Limits on what a customer, team, user or key may spend.",
    "usage": "What was used, and what it cost.",
    "models": "Which models Cloudflare offers, and which were asked for and can't be served.",
    "api-tokens": "Credentials for internal tools.",
    "sessions": "Where people are signed in.",
    "audit": "Who changed what, and when.",
    "gateways": "Customers' own gateways at Cloudflare.",
}
# Module and summary of the commands that are no noun.
COMMANDS = {
    "login": ("login", "Sign in, for the commands that follow."),
    "whoami": ("login", "Show who the control plane takes you for."),
    "logout": ("login", "Sign out."),
    "password": ("login", "Change your password."),
    "apply": ("apply", "Make customers and all they own as a file says."),
    "export": ("export", "Write customers and all they own as such a file."),
}
LEDGER = "The audit of the books."
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its code (docs/cli.md); no failure shows a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # A shell that completes a line tells it in the environment.
    named = [*given, *completion.words(), ""][0]
    # What gRPC would write about a connection that failed is said by our own one line.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if (part := parts.module_of(given)) is not None:
        parts.become(*part)
    sys.exit(run(build(named), given))


def build(named: str) -> typer.Typer:
    """All commands by name and summary; the named noun in full, since each loads its part of the contract."""
    app = typer.Typer(
        help="Virtual keys, hard budgets and an exact ledger in front of AI providers.",
        context_settings=HELP_SETTINGS,
        rich_markup_mode=None,
        invoke_without_command=True,
    )
    app.callback()(_version)
    for part, summary in parts.SUMMARIES.items():
        app.command(part, help=summary, context_settings=_PASSED_ON, rich_help_panel="Run")(_passed_on)
    for noun, summary in NOUNS.items():
        group = _module(noun).app if noun == named else _empty()
        app.add_typer(group, name=noun, help=summary)
    ledger = _empty()
    ledger.command("verify", help="Recompute every balance from the rows alone; name each violation.")(
        _passed_on
    )
    app.add_typer(ledger, name="ledger", help=LEDGER)
    for command, (module, summary) in COMMANDS.items():
        if command == named:
            importlib.import_module(f"clients.cli.{module}").add_to(app)
        elif named not in COMMANDS or COMMANDS[named][0] != module:
            app.command(command, help=summary)(_passed_on)
    return app


def _module(noun: str) -> Any:
    return importlib.import_module(f"clients.cli.{noun.replace('-', '_')}")


def _version(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if version:
        try:
            number = importlib.metadata.version("tollkeeper")
        except importlib.metadata.PackageNotFoundError:
            number = "(run from its sources)"
        output.raw(f"tollkeeper {number}")
        raise typer.Exit


def _empty() -> typer.Typer:
    group = typer.Typer(context_settings=HELP_SETTINGS)
    group.callback()(_passed_on)
    return group


def _passed_on() -> None:
    """Only its name is needed, for the help: `main` runs the command itself."""
