"""The commands as a whole, generated over the tree: the same verbs, options and exit codes everywhere."""

import io
import os
import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest
import typer

from clients.cli import app, failures
from clients.cli.commands import repeat
from clients.cli.run import run
from tests.control.contract.methods import SERVICES, methods_of, short
from tests.supervisor.stack import Up

Run = Callable[..., Any]
VERBS = {
    "Create": "create",
    "Get": "show",
    "List": "list",
    "Update": "update",
    "Delete": "delete",
    "Revoke": "revoke",
}
# Methods that no command of the noun stands for, and why.
WITHOUT_COMMAND = {
    "CreateSession": "login",
    "GetSession": "whoami",
    "DeleteSession": "logout",
    "CreateGateway": "gateways are made for customers",
}


def groups() -> Iterator[tuple[str, Any]]:
    """Each noun with its commands."""
    for noun in app.NOUNS:
        root: Any = typer.main.get_command(app.build(noun))
        yield noun, root.commands[noun]


def commands() -> dict[str, Any]:
    """Each visible command by `noun verb`."""
    return {
        f"{noun} {verb}": command
        for noun, group in groups()
        for verb, command in group.commands.items()
        if not command.hidden
    }


COMMANDS = commands()
# Sessions are a user's, and the operator of this machine is none (test_people has them).
LISTS = sorted(name for name in COMMANDS if name.endswith(" list") and name != "sessions list")


def test_verbs_are_those_of_the_services() -> None:
    """What a service can, the noun of its name can, by the usual verb."""
    missing = []
    for service in SERVICES:
        noun = re.sub(r"(?<!^)(?=[A-Z])", "-", service.removesuffix("Service")).lower()
        if noun not in app.NOUNS:
            continue
        group = dict(groups())[noun]
        singular = service.removesuffix("Service").removesuffix("s")
        for method in methods_of(service):
            for prefix, verb in VERBS.items():
                of_noun = re.fullmatch(rf"{prefix}{singular}s?", short(method))
                if of_noun and short(method) not in WITHOUT_COMMAND and verb not in group.commands:
                    missing.append(f"{noun} {verb} ({short(method)})")
    assert missing == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained(name: str) -> None:
    """A sentence, and the options that all take."""
    command = COMMANDS[name]
    assert command.help, name
    assert command.help.strip()[0].isupper()
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "--control", "--data-dir"} <= options
    assert ("--watch" in options) == name.endswith(" list")


@pytest.mark.parametrize("name", COMMANDS)
def test_exit_codes(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown option is 2; a control plane that isn't there 5, in one line."""
    for variable in [each for each in os.environ if each.startswith("TOLLKEEPER_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("TOLLKEEPER_CREDENTIAL", "tkc_x")
    monkeypatch.setattr("clients.calls.ATTEMPTS", 1)
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\nanother"))
    noun, verb = name.split()
    built = app.build(noun)
    assert run(built, [noun, verb, "--no-such-option"]) == failures.USAGE
    capsys.readouterr()
    code = run(built, [noun, verb, *_needed(COMMANDS[name]), "--control", "127.0.0.1:1"])
    said = capsys.readouterr()
    # Some see first that what was given makes no sense.
    assert code in (failures.UNAVAILABLE, failures.USAGE), said
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("tollkeeper: ")
    if verb in ("list", "show") and code == failures.USAGE:
        assert "127.0.0.1" not in said.err


def _needed(command: Any) -> list[str]:
    """Something for each parameter that has to be given."""
    given = []
    for parameter in command.params:
        if not parameter.required:
            continue
        kind = parameter.type_descriptor.annotation
        value = str(next(iter(kind))) if isinstance(kind, type) and issubclass(kind, Enum) else "1"
        given += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return given


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_json(cli: Run, name: str) -> None:
    """An array, whatever is in it."""
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    customer = ["--customer", "demo"] if "--customer" in options else []
    assert isinstance(cli(*name.split(), *customer, "--json"), list)


def test_watching(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Shown again after each pause, until it is interrupted."""
    pauses: list[float] = []

    def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        repeat(lambda: print("shown"), 2.0)  # noqa: T201
    assert capsys.readouterr().out == "shown\n" * 3
    assert pauses == [2.0] * 3


def test_completion(cli: Run, up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nouns, verbs, customers and ids, as bash asks for them."""

    def offered(line: str) -> list[str]:
        monkeypatch.setenv("_TOLLKEEPER_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        said: str = cli()
        monkeypatch.delenv("_TOLLKEEPER_COMPLETE")
        return said.split()

    key = cli("keys", "create", "--customer", "demo", "--name", "completed", "--json")["id"]
    assert "customers" in offered("tollkeeper cust")
    assert {"list", "show", "create"} <= set(offered("tollkeeper keys "))
    assert "demo" in offered("tollkeeper keys list --customer de")
    assert key in offered("tollkeeper keys show --customer demo ")
    assert offered("tollkeeper keys show --customer demo nothing-begins-so") == []
    monkeypatch.setenv("TOLLKEEPER_CONTROL_ADDRESS", "127.0.0.1:1")
    assert offered("tollkeeper keys list --customer de") == []
    assert "_tollkeeper_completion" in cli("--show-completion", "bash")
