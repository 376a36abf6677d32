"""`tollkeeper` for people and access: memberships, states, passwords, sessions, API tokens, the audit log."""

from typing import Any

import pytest

from tests.clients.cli.conftest import Run

PASSWORD, OTHER = "correct horse battery", "staple battery horse"


def make_user(cli: Run, email: str, *more: str) -> dict[str, Any]:
    """A user of the demo customer who can sign in."""
    create = ("users", "create", "--customer", "demo", "--email", email, "--password-stdin", "--json")
    made: dict[str, Any] = cli(*create, *more, stdin=PASSWORD)
    return made


def sign_in(cli: Run, monkeypatch: pytest.MonkeyPatch, email: str, password: str) -> None:
    """Further commands are this user's."""
    secret = cli("login", "--print", "--email", email, "--password-stdin", stdin=password).strip()
    monkeypatch.setenv("TOLLKEEPER_CREDENTIAL", secret)


def test_members_of_a_team(cli: Run) -> None:
    """Put in, listed, taken out."""
    team = cli("teams", "create", "--customer", "demo", "--name", "ranking", "--json")["team_id"]
    user = make_user(cli, "mia@example.com")["user_id"]
    member = (team, "--customer", "demo", "--user", user, "--json")
    assert cli("teams", "add-member", *member)["team_ids"] == [team]
    listed = cli("users", "list", "--customer", "demo", "--team", team, "--json")
    assert [each["user_id"] for each in listed] == [user]
    assert cli("teams", "remove-member", *member)["team_ids"] == []
    assert cli("users", "list", "--customer", "demo", "--team", team, "--json") == []


def test_states_of_teams_and_users(cli: Run) -> None:
    """Suspended and resumed by verbs of their own; a suspended user can't sign in."""
    team = cli("teams", "create", "--customer", "demo", "--name", "ops", "--json")["team_id"]
    user = make_user(cli, "sam@example.com")["user_id"]
    for noun, each in (("teams", team), ("users", user)):
        assert cli(noun, "suspend", each, "--customer", "demo", "--json")["suspended"] is True
    login = ("login", "--print", "--email", "sam@example.com", "--password-stdin")
    assert cli(*login, stdin=PASSWORD, code=4).endswith("(INVALID_CREDENTIALS)")
    for noun, each in (("teams", team), ("users", user)):
        assert cli(noun, "resume", each, "--customer", "demo", "--json")["suspended"] is False
    assert cli(*login, stdin=PASSWORD).startswith("tks_")


def test_passwords_and_sessions(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset by an operator, changed by oneself, and each session listed, ended or signed out."""
    user = make_user(cli, "pia@example.com")["user_id"]
    reset = cli("users", "reset-password", user, "--customer", "demo", "--json")
    assert len(reset["password"]) == 24
    sign_in(cli, monkeypatch, "pia@example.com", reset["password"])
    line = cli("password", stdin="only one line", code=2)
    assert "two lines" in line
    cli("password", stdin=f"{reset['password']}\n{OTHER}\n")
    assert cli("password", stdin=f"{PASSWORD}\n{OTHER}\n", code=4).endswith("(INVALID_CREDENTIALS)")
    sign_in(cli, monkeypatch, "pia@example.com", OTHER)
    newest, oldest = cli("sessions", "list", "--json")
    assert newest["session_id"] == cli("whoami", "--json")["session_id"]
    assert cli("sessions", "revoke", oldest["session_id"], "--json")["session_id"] == oldest["session_id"]
    assert len(cli("sessions", "list", "--json")) == 1
    cli("logout", "--everywhere")
    assert cli("whoami", code=4).endswith("(UNAUTHENTICATED)")


def test_api_tokens(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made with a role and scopes, used as a credential, listed with its last use, and revoked."""
    made = cli(
        *("api-tokens", "create", "--customer", "demo", "--name", "reports", "--role", "manager"),
        *("--scope", "keys:read", "--scope", "usage:read", "--json"),
    )
    assert made["secret"].startswith("tkt_")
    assert (made["role"], made["scopes"]) == ("manager", ["keys:read", "usage:read"])
    with monkeypatch.context() as as_tool:
        as_tool.setenv("TOLLKEEPER_CREDENTIAL", made["secret"])
        assert cli("keys", "list", "--customer", "demo", "--json")
        line = cli("teams", "list", "--customer", "demo", code=4)
        assert line.endswith("(PERMISSION_DENIED)")
    token = made["api_token_id"]
    shown = cli("api-tokens", "show", token, "--customer", "demo", "--json")
    assert shown["last_use_time"] is not None
    assert "secret" not in shown
    cli("api-tokens", "revoke", token, "--customer", "demo")
    assert token not in [
        each["api_token_id"] for each in cli("api-tokens", "list", "--customer", "demo", "--json")
    ]
    with_ended = cli("api-tokens", "list", "--customer", "demo", "--revoked", "--json")
    assert token in [each["api_token_id"] for each in with_ended]
    bad = ("api-tokens", "create", "--customer", "demo", "--name", "x")
    assert "isn't a scope" in cli(*bad, "--scope", "everything", code=1)
    assert "not a time" in cli(*bad, "--expire-time", "soon", code=2)


def test_rates_of_teams_and_users(cli: Run) -> None:
    """Given when they are made or later, and taken back with 0."""
    rates = ("--requests-per-minute", "5", "--tokens-per-minute", "6", "--max-concurrent-requests", "7")
    names = ("requests_per_minute", "tokens_per_minute", "max_concurrent_requests")
    of = ("--customer", "demo", "--json")
    team = cli("teams", "create", "--name", "limited", *rates, *of)
    user = cli("users", "create", "--email", "limited@example.com", *of)
    changed = cli("users", "update", user["user_id"], *rates, *of)
    freed = cli("teams", "update", team["team_id"], "--requests-per-minute", "0", *of)
    assert [[each[name] for name in names] for each in (team, user, changed, freed)] == [
        [5, 6, 7],
        [0, 0, 0],
        [5, 6, 7],
        [0, 6, 7],
    ]


def test_the_audit_log(cli: Run) -> None:
    """Filtered as asked; one entry shows the resource before and after, without secrets."""
    team = cli("teams", "create", "--customer", "demo", "--name", "before", "--json")["team_id"]
    cli("teams", "update", team, "--customer", "demo", "--name", "after")
    newest, oldest = cli("audit", "list", "--customer", "demo", "--id", team, "--json")
    assert (newest["method"], oldest["method"]) == ("TeamsService/UpdateTeam", "TeamsService/CreateTeam")
    assert newest["changed_fields"] == ["name"]
    entry = cli("audit", "show", newest["audit_entry_id"], "--customer", "demo", "--json")
    assert (entry["before"]["name"], entry["after"]["name"]) == ("before", "after")
    assert "audit_entry_id" in entry
    listed = cli("audit", "list", "--type", "team", "--method", "TeamsService", "--limit", "3")
    assert "TeamsService/UpdateTeam" in listed
    assert cli("audit", "list", "--since", "2099-01-01T00:00:00Z", "--json") == []
    assert "not a time" in cli("audit", "list", "--until", "today", code=2)
