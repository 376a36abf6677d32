"""How commands are declared: a plain function of a Session, plus the options that all of them take."""

import functools
import inspect
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from clients.cli.failures import UsageProblem
from clients.cli.session import Session

Function = TypeVar("Function", bound=Callable[..., None])

_PANEL = "Every command"

_COMMON: dict[str, Any] = {
    "json": Annotated[bool, typer.Option("--json", help="Print JSON for programs.", rich_help_panel=_PANEL)],
    "control": Annotated[
        str | None,
        typer.Option(
            "--control",
            metavar="HOST:PORT",
            help="The control plane. Else TOLLKEEPER_CONTROL_ADDRESS, else the one that runs here.",
            rich_help_panel=_PANEL,
        ),
    ],
    "data_dir": Annotated[
        Path | None,
        typer.Option(
            "--data-dir", help="Where the credential is. Else TOLLKEEPER_DATA_DIR.", rich_help_panel=_PANEL
        ),
    ],
}
# Of lists only: what changes by itself is looked at again and again.
_WATCH: dict[str, Any] = {
    "watch": Annotated[
        float | None,
        typer.Option(
            "--watch", metavar="SECONDS", min=0.5, help="Show it again and again.", rich_help_panel=_PANEL
        ),
    ]
}
_CLEAR_SCREEN = "\x1b[H\x1b[2J"


HELP_SETTINGS = {"help_option_names": ["-h", "--help"]}


def noun() -> typer.Typer:
    """A group of commands about one kind of thing."""
    return typer.Typer(context_settings=HELP_SETTINGS)


def command(app: typer.Typer, name: str, hidden: bool = False) -> Callable[[Function], Function]:
    """Registers `function(session, ...)`; Typer sees its other parameters and the common ones."""

    def register(function: Function) -> Function:
        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        # A list may have a way of its own: usage shows what is new.
        watched = name == "list" and "watch" not in [each.name for each in own]
        extra = _WATCH if watched else {}

        @functools.wraps(function)
        def run(**arguments: Any) -> None:
            watch_s = arguments.pop("watch", None) if "watch" in extra else None
            common = {each: arguments.pop(each) for each in _COMMON}
            with Session(**common) as session:
                if watch_s is None:
                    function(session, **arguments)
                else:
                    repeat(lambda: function(session, **arguments), watch_s)

        shared = [
            inspect.Parameter(
                each,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if each == "json" else None,
                annotation=annotation,
            )
            for each, annotation in (_COMMON | extra).items()
        ]
        keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        run.__signature__ = inspect.Signature([*keywords, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in [*keywords, *shared]}
        app.command(name, hidden=hidden, context_settings=HELP_SETTINGS)(run)
        return function

    return register


def repeat(show: Callable[[], None], pause_s: float) -> NoReturn:
    """Shows it until Ctrl-C: on a terminal in place of what was there, else one after the other."""
    while True:
        if sys.stdout.isatty():
            sys.stdout.write(_CLEAR_SCREEN)
        show()
        sys.stdout.flush()
        time.sleep(pause_s)


def changes(**given: Any) -> dict[str, Any]:
    """The fields that were given, for an update. Raises UsageProblem when there are none."""
    found = {name: value for name, value in given.items() if value is not None}
    if not found:
        raise UsageProblem("nothing to change: name at least one field (--help lists them)")
    return found
