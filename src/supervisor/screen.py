"""What `up` says on standard output when all is ready: a screen for people, or one line for programs."""

import json
import sys
from dataclasses import dataclass

from supervisor.settings import Settings

DEMO_MODEL = "gpt-4o-mini"
_SHOWN_BEFORE = "shown at the first start"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the first start made; None later, when only hashes are left."""

    operator_email: str
    operator_password: str | None
    demo_key: str | None

    def __repr__(self) -> str:
        return f"Secrets(operator_email={self.operator_email!r})"


def json_line(settings: Settings, secrets: Secrets) -> str:
    """The one line of `--json` (docs/cli.md)."""
    return json.dumps(
        {
            "edge": settings.edge.url,
            "control": settings.control.reachable_address,
            "simulator": settings.simulator.url if settings.simulator else None,
            "data_dir": str(settings.data_dir),
            "operator": {"email": secrets.operator_email, "password": secrets.operator_password},
            "demo_key": secrets.demo_key,
        }
    )


def write_json(settings: Settings, secrets: Secrets) -> None:
    """Prints the line, and nothing else ever, on standard output."""
    sys.stdout.write(json_line(settings, secrets) + "\n")
    sys.stdout.flush()


def write_screen(settings: Settings, secrets: Secrets) -> None:
    """Prints the ready screen."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _facts(settings, secrets):
        table.add_row(name, Text(value))
    console.print()
    console.print("[bold green]Tollkeeper is ready.[/] Ctrl-C stops it; the data stay.")
    console.print()
    console.print(table)
    for title, text in snippets(settings.edge.url, secrets.demo_key):
        console.print()
        console.print(f"[bold]{title}[/]")
        console.print(Text(text))
    console.print()


def _facts(settings: Settings, secrets: Secrets) -> list[tuple[str, str]]:
    password = secrets.operator_password
    upstream = settings.simulator.url + " (the simulator)" if settings.simulator else "Cloudflare AI Gateway"
    login = (
        f"{secrets.operator_email}  {password}" if password else f"{secrets.operator_email} ({_SHOWN_BEFORE})"
    )
    facts = [
        ("Edge", f"{settings.edge.url}/v1"),
        ("Control", settings.control.reachable_address),
        ("Upstream", upstream),
        ("Data", str(settings.data_dir)),
        ("Operator", login),
        ("Demo key", secrets.demo_key or f"({_SHOWN_BEFORE})"),
    ]
    if password or secrets.demo_key:
        facts.append(("", "The password and the key are shown this once."))
    else:
        facts.append(("New key", "tollkeeper keys create --customer demo --name mine"))
        facts.append(
            ("New login", "tollkeeper users create --customer demo --email YOU --role owner --password-stdin")
        )
    return facts


def snippets(edge_url: str, demo_key: str | None) -> list[tuple[str, str]]:
    """A line for the shell and one for Python, each with its title; they work as they are pasted."""
    key = demo_key or "$TOLLKEEPER_KEY"
    python_key = f'"{demo_key}"' if demo_key else 'os.environ["TOLLKEEPER_KEY"]'
    imports = "from openai import OpenAI" if demo_key else "import os; from openai import OpenAI"
    base_url = f"{edge_url}/v1"
    body = json.dumps({"model": DEMO_MODEL, "messages": [{"role": "user", "content": "Hello"}]})
    curl = (
        f'curl {base_url}/chat/completions -H "authorization: Bearer {key}"'
        f" -H 'content-type: application/json' -d '{body}'"
    )
    python = (
        f'{imports}; print(OpenAI(base_url="{base_url}", api_key={python_key}).chat.completions'
        f'.create(model="{DEMO_MODEL}", messages=[{{"role": "user", "content": "Hello"}}])'
        ".choices[0].message.content)"
    )
    return [("Shell", curl), ("Python", python)]
