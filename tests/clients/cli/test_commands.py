"""Commands against a running `up`."""

import json
import os
import re
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from clients import signin
from clients.cli import app
from clients.signin import SignIn
from control import postgres
from control.store.database import Database
from control.store.prices import count_missing_model
from tests.clients.cli.conftest import Run
from tests.supervisor.stack import Up, environment, eventually

KEY_FIELDS = [
    *("id", "key_hash", "name", "user_id", "team_id", "user_email", "user_name", "team_name"),
    *("budget_usd", "budget_reset", "spend_usd", "allowed_models", "disabled", "created_at"),
]
NOUNS = list(app.NOUNS)
CLI = "from clients.cli.app import main; main()"


def _complete(up: Up, key: str, content: str = "Hello", max_tokens: int = 16) -> int:
    body = {
        "model": "gpt-4o-mini",
        "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": content}],
    }
    request = urllib.request.Request(
        f"{up.ready['edge']}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_key_from_creation_to_revocation(cli: Run, up: Up) -> None:
    """The key object with its secret, what it spends, and its end at the edge."""
    created = cli(
        *("keys", "create", "--customer", "demo", "--name", "tiny"),
        *("--budget-usd", "0.01", "--budget-reset", "monthly", "--json"),
    )
    assert list(created)[: len(KEY_FIELDS)] == KEY_FIELDS
    assert (created["budget_usd"], created["budget_reset"]) == ("0.01", "monthly")
    assert created["spend_usd"] == "0.00"
    assert re.fullmatch(r"aig_[A-Za-z0-9_-]{43}", created["raw_key"])

    assert _complete(up, created["raw_key"]) == 200
    shown = cli("keys", "show", created["id"], "--json")
    eventually(lambda: cli("keys", "show", created["id"], "--json")["spend_usd"] != "0.00")
    assert list(shown) == [name for name in created if name != "raw_key"]
    assert cli("keys", "show", created["key_hash"], "--json")["id"] == created["id"]

    cli("keys", "revoke", created["id"], "--json")
    eventually(lambda: _complete(up, created["raw_key"]) == 401)
    listed = cli("keys", "list", "--customer", "demo", "--json")
    assert created["id"] not in [key["id"] for key in listed]
    listed = cli("keys", "list", "--customer", "demo", "--revoked", "--json")
    assert created["id"] in [key["id"] for key in listed]


def test_changing_a_key(cli: Run) -> None:
    """Name, state, models and budget; what isn't named stays."""
    key = cli("keys", "create", "--customer", "demo", "--name", "a", "--budget-usd", "1", "--json")
    changed = cli("keys", "update", key["id"], "--budget-reset", "daily", "--disabled", "--json")
    assert (changed["budget_usd"], changed["budget_reset"]) == ("1.00", "daily")
    assert (changed["disabled"], changed["name"]) == (True, "a")
    changed = cli("keys", "update", key["id"], "--no-budget", "--allow-model", "gpt-*", "--json")
    assert (changed["budget_usd"], changed["budget_reset"]) == (None, None)
    assert changed["allowed_models"] == ["gpt-*"]
    assert cli("keys", "update", key["id"], "--all-models", "--json")["allowed_models"] is None
    assert "nothing to change" in cli("keys", "update", key["id"], code=2)


def test_topping_a_budget_up(cli: Run) -> None:
    """The present window gets more, or less again; lists show it; amounts are exact."""
    cli("customers", "create", "--name", "Topped", "--slug", "topped", "--unlimited", "--json")
    of = ("--customer", "topped")
    budget = cli(
        *("budgets", "create", *of, "--scope", "customer", "--limit-usd", "5", "--period", "monthly"),
        *("--threshold", "80", "--json"),
    )
    shown = cli("budgets", "top-up", budget["budget_id"], *of, "--amount-usd", "2.5", "--json")
    assert (shown["limit_usd"], shown["top_up_usd"], shown["window"]["limit_usd"]) == ("5.00", "2.50", "7.50")
    less = ("--amount-usd", "-0.000000001", "--note", "too much")
    cli("budgets", "top-up", budget["budget_id"], *of, *less, "--json")
    rows = cli("budgets", "top-ups", budget["budget_id"], *of, "--json")
    assert [(row["amount_usd"], row["total_usd"]) for row in rows] == [
        ("-0.000000001", "2.499999999"),
        ("2.50", "2.50"),
    ]
    assert "RESETS" in cli("budgets", "list", *of)
    assert cli("budgets", "alerts", *of, "--json") == []
    again = ("budgets", "top-up", budget["budget_id"], *of)
    assert "no more than" in cli(*again, "--amount-usd", "-3", code=1)
    assert "nine decimals" in cli(*again, "--amount-usd", "0.0000000001", code=2)


def test_limits_and_rotation_of_a_key(cli: Run, up: Up) -> None:
    """Given and taken back by options; a new secret beside the old one, which then ends early."""
    key = cli(
        *("keys", "create", "--customer", "demo", "--name", "limited", "--requests-per-minute", "60"),
        *("--tokens-per-minute", "1000", "--max-cost-usd", "0.05", "--allow-ip", "127.0.0.1"),
        *("--model-limit", "model=o3*,requests_per_minute=1,max_cost_usd=0.01", "--json"),
    )
    assert (key["requests_per_minute"], key["tokens_per_minute"], key["max_cost_usd"]) == (60, 1000, "0.05")
    assert key["allowed_ips"] == ["127.0.0.1/32"]
    [limit] = key["model_limits"]
    assert (limit["model"], limit["requests_per_minute"], limit["max_cost_usd"]) == ("o3*", 1, "0.01")
    cleared = cli(
        *("keys", "update", key["id"], "--any-ip", "--no-model-limits", "--requests-per-minute", "0"),
        *("--max-cost-usd", "0", "--json"),
    )
    for name in ("allowed_ips", "model_limits", "requests_per_minute", "max_cost_usd"):
        assert cleared[name] is None

    rotated = cli("keys", "rotate", key["id"], "--overlap", "1h", "--json")
    assert rotated["previous_key_hash"] == key["key_hash"]
    assert [_complete(up, each["raw_key"]) for each in (key, rotated)] == [200, 200]
    ended = cli("keys", "end-overlap", key["key_hash"], "--json")
    assert ended["previous_key_hash"] is None
    eventually(lambda: _complete(up, key["raw_key"]) == 401)
    assert _complete(up, rotated["raw_key"]) == 200
    assert "not a time" in cli("keys", "rotate", key["id"], "--overlap", "soon", code=2)
    assert cli("keys", "disable", key["id"], "--json")["disabled"]
    assert not cli("keys", "enable", key["id"], "--json")["disabled"]


def test_a_template_and_a_customer_made_with_it(cli: Run) -> None:
    """Every option of a template, found by name; what was made with it stays as it is."""
    provider = cli(
        *("providers", "create", "--customer", "platform", "--name", "shared", "--type", "openai"),
        *("--credential-stdin", "--json"),
        stdin="sk-test\n",
    )
    template = cli(
        *("templates", "create", "--name", "gold", "--plan", "premium", "--allow-model", "gpt-*"),
        *("--budget", "limit_usd=100,period=monthly,threshold=80", "--budget", "limit_usd=5,soft=yes"),
        *("--requests-per-minute", "600", "--rule", f"provider={provider['provider_id']},models=gpt-*"),
        *("--key-requests-per-minute", "60", "--key-budget-usd", "5", "--key-budget-reset", "monthly"),
        *("--model-limit", "model=o3,max_cost_usd=0.5", "--json"),
    )
    assert [each["limit_usd"] for each in template["budgets"]] == ["100.00", "5.00"]
    assert template["key_defaults"]["model_limits"][0]["max_cost_usd"] == "0.50"
    assert cli("templates", "show", "gold", "--json") == template
    assert "gold" in cli("templates", "list")
    customer = cli("customers", "create", "--name", "Golden", "--template", "gold", "--json")
    assert (customer["plan"], customer["template"], customer["requests_per_minute"]) == (
        "premium",
        "gold",
        600,
    )
    key = cli("keys", "create", "--customer", "golden", "--name", "k", "--json")
    assert (key["requests_per_minute"], key["budget_usd"], key["budget_reset"]) == (60, "5.00", "monthly")
    changed = cli("templates", "update", "gold", "--no-budgets", "--all-models", "--json")
    assert (changed["budgets"], changed["allowed_models"], changed["plan"]) == ([], [], "premium")
    assert cli("customers", "show", "golden", "--json")["allowed_models"] == ["gpt-*"]
    assert cli("templates", "delete", "gold", "--json")["delete_time"]
    assert "NOT_FOUND" in cli("templates", "show", "gold", code=3)
    assert "soft is yes or no" in cli(
        *("templates", "create", "--name", "x", "--budget", "limit_usd=1,soft=maybe"), code=2
    )


def test_finding_and_suspending_customers(cli: Run) -> None:
    """Filters for operators with many, limits, and the two states."""
    cli("customers", "create", "--name", "Finder", "--plan", "gold", "--tokens-per-minute", "9")
    suspended = cli("customers", "suspend", "finder", "--json")
    assert (suspended["suspended"], suspended["tokens_per_minute"]) == (True, 9)

    def found(*filters: str) -> list[str]:
        return [each["slug"] for each in cli("customers", "list", *filters, "--json")]

    assert found("--prefix", "FIND") == found("--plan", "gold") == found("--suspended") == ["finder"]
    assert "finder" not in found("--active")
    updated = cli("customers", "update", "finder", "--allow-model", "gpt-*", "--json")
    assert updated["allowed_models"] == ["gpt-*"]
    assert cli("customers", "update", "finder", "--all-models", "--json")["allowed_models"] == []
    assert not cli("customers", "resume", "finder", "--json")["suspended"]


def test_a_period_is_booked_again(cli: Run, up: Up) -> None:
    """The preview posts nothing, `--apply` does, and then nothing is left to do."""
    key = cli("keys", "create", "--customer", "demo", "--name", "rerated", "--json")
    assert _complete(up, key["raw_key"]) == 200
    eventually(lambda: cli("usage", "list", "--customer", "demo", "--key", key["id"], "--json"))
    price = next(row for row in cli("prices", "history", "gpt-4o-mini", "--json") if row["end_time"] is None)
    cli("prices", "update", price["price_id"], "--output-usd", "60")
    when = ("--since", "2026-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z", "--model", "gpt-4o-mini")
    [before] = cli("prices", "rerate", *when, "--json")
    assert before["changed_count"] > 0
    assert float(before["difference_usd"]) > 0
    assert cli("prices", "rerate", *when, "--apply", "--json") == [before]
    assert "Nothing was posted" in cli("prices", "rerate", *when)
    [after] = cli("prices", "rerate", *when, "--json")
    assert after["changed_count"] == 0
    for row in cli("prices", "history", "gpt-4o-mini", "--json"):
        if row["end_time"] is None:
            cli("prices", "update", row["price_id"], "--output-usd", "0.6")
    cli("prices", "rerate", *when, "--apply")


def test_importing_prices(cli: Run, tmp_path: Path) -> None:
    """A file is shown, then taken over; what the list command prints can be imported; so can the package."""
    file = tmp_path / "prices.csv"
    file.write_text("provider_type,model,input,output\nopenai,imported,1,2\n")
    shown = cli("prices", "import", str(file))
    assert "added" in shown
    assert "Nothing was changed" in shown
    cli("prices", "import", str(file), "--apply")
    file.write_text("provider_type,model,input,output\nopenai,imported,1,3\n")
    [change] = cli("prices", "import", str(file), "--json")
    assert (change["change"], change["output"]) == ("changed", "2.00 -> 3.00")
    printed = tmp_path / "prices.json"
    printed.write_text(json.dumps(cli("prices", "list", "--model", "imported", "--json")))
    assert cli("prices", "import", str(printed), "--json") == []
    assert len(cli("prices", "import", str(printed), "--unchanged", "--json")) == 1
    assert "0 added, 0 changed" in cli("prices", "import")
    assert ".json or a .csv" in cli("prices", "import", "prices.txt", code=2)
    assert "No such file" in cli("prices", "import", str(tmp_path / "none.csv"), code=2)


def test_price_plans(cli: Run) -> None:
    """Markups in per cent, exact to four decimals; given to a customer, and taken back."""
    plan = cli(
        *("price-plans", "create", "--name", "resale", "--markup", "12.5%"),
        *("--model-markup", "o3*=-100", "--model-markup", "a=b=0.0001", "--json"),
    )
    assert (plan["markup_percent"], plan["model_markups"]) == ("12.5", {"o3*": "-100", "a=b": "0.0001"})
    changed = cli("price-plans", "update", plan["price_plan_id"], "--no-model-markups", "--json")
    assert (changed["markup_percent"], changed["model_markups"]) == ("12.5", {})
    cli("customers", "create", "--name", "Resold", "--slug", "resold", "--json")
    of = ("customers", "update", "resold", "--price-plan")
    assert cli(*of, plan["price_plan_id"], "--json")["price_plan_id"] == plan["price_plan_id"]
    assert "IN_USE" in cli("price-plans", "delete", plan["price_plan_id"], code=1)
    assert cli(*of, "", "--json")["price_plan_id"] == ""
    assert "resale" in cli("price-plans", "list")
    cli("price-plans", "delete", plan["price_plan_id"])
    for markup in ("much", "1.00001", "NaN", "1e30"):
        assert markup in cli("price-plans", "create", "--name", "x", "--markup", markup, code=2)


def test_registering_a_customer(cli: Run) -> None:
    """It gets an owner and a gateway of its own, and can be sent back to the shared one."""
    customer = cli("customers", "register", "--name", "Reg", "--email", "reg@example.com", "--json")
    assert customer["gateway_state"] == "ready"
    shown = cli("gateways", "show", "reg", "--json")
    assert (shown["gateway_id"], shown["state"]) == (customer["cf_gateway_id"], "ready")
    assert "reg" in cli("gateways", "list", "--state", "ready")
    assert cli("gateways", "provision", "reg", "--json")["state"] == "ready"
    assert cli("gateways", "release", "reg", "--json")["state"] == "deleting"
    assert cli("gateways", "check", "--json")["missing"] == []
    assert "@cf/meta/llama-3.1-8b-instruct" in cli("models", "list")


def test_setting_a_customer_up(cli: Run, up: Up) -> None:
    """Customer, provider, router and key by commands alone; then a request is served and counted."""
    customer = cli("customers", "create", "--name", "Acme", "--slug", "acme", "--unlimited", "--json")
    assert (customer["slug"], customer["plan"], customer["suspended"]) == ("acme", "free", False)
    provider = cli(
        *("providers", "create", "--customer", "acme", "--name", "openai", "--type", "openai"),
        *("--credential-stdin", "--json"),
        stdin="sk-test\n",
    )
    assert provider["has_credential"] is True
    assert "credential" not in provider
    rule = f"provider={provider['provider_id']},priority=1,models=gpt-*"
    router = cli("routers", "create", "--customer", "acme", "--name", "r", "--rule", rule, "--json")
    assert router["rules"][0]["allowed_models"] == ["gpt-*"]
    cli("customers", "update", "acme", "--default-router", router["router_id"])
    key = cli("keys", "create", "--customer", "acme", "--name", "k", "--json")
    assert _complete(up, key["raw_key"]) == 200
    eventually(lambda: len(cli("usage", "list", "--customer", "acme", "--json")) == 1)
    [entry] = cli("usage", "list", "--customer", "acme", "--json")
    assert (entry["requested_model"], entry["state"]) == ("gpt-4o-mini", "reported")
    shown = cli("usage", "show", entry["usage_id"], "--customer", "acme", "--json")
    assert [part["amount_usd"] for part in shown["entries"]] == [entry["cost_usd"]]
    summary = cli("usage", "summary", "--customer", "acme", "--json")
    assert (summary["total_requests"], summary["total_cost_usd"]) == (1, entry["cost_usd"])
    _check_usage(cli, entry)

    assert cli("customers", "update", "acme", "--suspended", "--json")["suspended"] is True
    eventually(lambda: _complete(up, key["raw_key"]) == 403)


def _check_usage(cli: Run, entry: dict[str, Any]) -> None:
    """Filters, an export to a program and to a file, groups and a series of the one request."""
    of_customer = ("--customer", "acme")
    for filters, count in (
        (("--model", "gpt-4o-mini", "--state", "reported", "--status", "200"), 1),
        (("--model", "o3"), 0),
        (("--until", "2026-01-01T00:00:00Z"), 0),
        (("--state", "refused"), 0),
    ):
        assert len(cli("usage", "list", *of_customer, *filters, "--json")) == count
    heading, row = cli("usage", "export", *of_customer).splitlines()
    assert dict(zip(heading.split(","), row.split(","), strict=False))["cost_usd"] == entry["cost_usd"]
    lines = cli("usage", "export", *of_customer, "--format", "jsonl", "--key", entry["key_id"])
    assert json.loads(lines)["usage_id"] == entry["usage_id"]
    [group] = cli("usage", "summary", *of_customer, "--by", "model", "--json")["groups"]
    assert (group["value"], group["totals"]["cost_usd"]) == ("gpt-4o-mini", entry["cost_usd"])
    assert "gpt-4o-mini" in cli("usage", "summary", *of_customer, "--by", "model")
    [series] = cli("usage", "series", *of_customer, "--interval", "hour", "--json")["series"]
    assert [point["totals"]["request_count"] for point in series["points"]] == [1]
    assert entry["cost_usd"] in cli("usage", "series", *of_customer, "--time-zone", "Asia/Kolkata")


def test_people_and_teams(cli: Run) -> None:
    """A team, a user in it, and what that user may do after signing in."""
    team = cli("teams", "create", "--customer", "demo", "--name", "search", "--json")
    password = "correct horse battery"
    user = cli(
        *("users", "create", "--customer", "demo", "--email", "Ada@example.com", "--role", "member"),
        *("--team", team["team_id"], "--password-stdin", "--json"),
        stdin=password,
    )
    assert (user["email"], user["role"], user["team_ids"]) == (
        "ada@example.com",
        "member",
        [team["team_id"]],
    )
    assert (
        cli("users", "update", user["user_id"], "--customer", "demo", "--no-teams", "--json")["team_ids"]
        == []
    )
    assert cli("teams", "show", team["team_id"], "--customer", "demo", "--json") == team
    cli("teams", "delete", team["team_id"], "--customer", "demo")
    line = cli("login", "--email", "ada@example.com", "--password-stdin", stdin="wrong password", code=4)
    assert line.endswith("(INVALID_CREDENTIALS)")


def test_a_credential_for_scripts(cli: Run, up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    """`login --print` prints a credential that works where it is put; a member isn't an operator."""
    operator = up.ready["operator"]
    monkeypatch.setenv("TOLLKEEPER_PASSWORD", operator["password"])
    monkeypatch.setenv("TOLLKEEPER_CREDENTIAL", cli("login", "--print", "--email", operator["email"]).strip())
    session = cli("whoami", "--json")
    assert (session["user"]["email"], session["operator"]) == (operator["email"], True)
    assert cli("customers", "show", "demo", "--json")["slug"] == "demo"


def test_signing_in_and_out(cli: Run, up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `login` commands act as the user, after `logout` as before, and what was kept opens nothing."""
    operator = up.ready["operator"]
    before = cli("whoami", "--json")
    assert before["user"] is None
    cli("login", "--email", operator["email"], "--password-stdin", stdin=operator["password"])
    kept = signin.file()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert cli("whoami", "--json")["user"]["email"] == operator["email"]
    secret = json.loads(kept.read_text())["secret"]
    assert secret not in cli(
        "login", "--email", operator["email"], "--password-stdin", stdin=operator["password"]
    )

    assert cli("logout", "--everywhere") == "Signed out.\n"
    assert not kept.exists()
    assert cli("whoami", "--json") == before
    monkeypatch.setenv("TOLLKEEPER_CREDENTIAL", secret)
    assert cli("whoami", code=4).endswith("(UNAUTHENTICATED)")
    monkeypatch.delenv("TOLLKEEPER_CREDENTIAL")
    assert "Only sessions can be signed out" in cli("logout", code=1)


def test_a_sign_in_that_is_over(cli: Run, up: Up) -> None:
    """It is said, and who it was; nothing falls back to another credential silently."""
    control = up.ready["control"]
    signin.save(SignIn(control, "ada@example.com", "tks_gone", "2020-01-01T00:00:00Z"))
    line = cli("whoami", code=4)
    assert "sign-in of ada@example.com has ended" in line
    cli("logout")
    signin.save(SignIn("127.0.0.1:1", "ada@example.com", "tks_gone", "2020-01-01T00:00:00Z"))
    assert cli("whoami", "--json")["user"] is None, "a sign-in elsewhere is none here"


def test_budgets(cli: Run) -> None:
    """A soft budget of a key, beside its own."""
    key = cli("keys", "create", "--customer", "demo", "--name", "b", "--budget-usd", "1", "--json")
    budget = cli(
        *("budgets", "create", "--customer", "demo", "--scope", "key", "--scope-id", key["id"]),
        *("--limit-usd", "5", "--period", "monthly", "--soft", "--threshold", "80", "--json"),
    )
    assert (budget["limit_usd"], budget["period"], budget["soft"]) == ("5.00", "monthly", True)
    changed = cli(
        *("budgets", "update", budget["budget_id"], "--customer", "demo"),
        *("--limit-usd", "7.5", "--hard", "--json"),
    )
    assert (changed["limit_usd"], changed["soft"], changed["thresholds"]) == ("7.50", False, [80])
    listed = cli(
        *("budgets", "list", "--customer", "demo", "--scope", "key", "--scope-id", key["id"], "--json")
    )
    assert sorted(each["limit_usd"] for each in listed) == ["1.00", "7.50"]
    cli("budgets", "delete", budget["budget_id"], "--customer", "demo")
    assert cli("keys", "show", key["id"], "--json")["budget_usd"] == "1.00"


def test_prices(cli: Run) -> None:
    """A price, its successor, and its end; rates are exact decimal strings."""
    price = cli(
        *("prices", "create", "--model", "m-1", "--provider-type", "openai"),
        *("--input-usd", "2.5", "--cached-input-usd", "0.000000001", "--output-usd", "10"),
        *("--step", "above=200000,input=5,output=20", "--json"),
    )
    assert price["rates"]["input"] == "2.50"
    assert price["rates"]["cached_input"] == "0.000000001"
    assert price["rates"]["steps"][0]["rates"]["output"] == "20.00"
    later = cli("prices", "update", price["price_id"], "--output-usd", "12", "--json")
    assert later["price_id"] != price["price_id"]
    assert (later["rates"]["input"], later["rates"]["output"]) == ("2.50", "12.00")
    assert later["rates"]["steps"] == price["rates"]["steps"]
    listed = cli("prices", "list", "--model", "m-1", "--json")
    assert [each["price_id"] for each in listed] == [later["price_id"]]
    assert len(cli("prices", "list", "--model", "m-1", "--ended", "--json")) == 2
    assert cli("prices", "delete", later["price_id"], "--json")["end_time"] is not None
    line = cli("prices", "create", "--model", "m-2", "--provider-type", "openai", "--input-usd", "1", code=1)
    assert line.endswith("(INVALID_ARGUMENT)")


async def test_models_without_a_price(cli: Run, up: Up) -> None:
    """What was asked for in vain is listed, with how often."""
    customer_id = cli("customers", "show", "demo", "--json")["customer_id"]
    database = Database(postgres.url(up.data_dir), pool_size=2)
    for _ in range(2):
        async with database.write() as connection:
            await count_missing_model(connection, customer_id, "no-such-model")
    await database.close()
    [missing] = cli("models", "missing", "--customer", "demo", "--json")
    assert (missing["model"], missing["request_count"]) == ("no-such-model", 2)


def test_lists_go_through_all_pages(cli: Run) -> None:
    """More prices than one page holds, and exactly as many as asked for."""
    everything = cli("prices", "list", "--json")
    assert len(everything) == len({price["price_id"] for price in everything})
    assert len(cli("prices", "list", "--limit", "7", "--json")) == 7


def test_tables_are_for_people(cli: Run) -> None:
    """Headings, a row, words for flags."""
    lines = cli("customers", "list").splitlines()
    assert lines[0].split() == ["ID", "SLUG", "NAME", "PLAN", "SUSPENDED"]
    assert any(line.split()[1:] == ["demo", "Demo", "free", "no"] for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("keys", "show", "nope"), 3, r"tollkeeper: No key 'nope'\. \(NOT_FOUND\)"),
        (("keys", "list"), 2, r"tollkeeper: Missing option '--customer'.*"),
        (("keys", "fly"), 2, r"tollkeeper: No such command 'fly'\."),
        (("nouns",), 2, r"tollkeeper: No such command 'nouns'\."),
        (("customers", "create", "--name", "Demo", "--slug", "demo"), 1, r".*\(ALREADY_EXISTS\)"),
        (("customers", "show", "demo", "--control", "here"), 2, r".*must be host:port.*"),
        (("customers", "show", "demo", "--control", "127.0.0.1:1"), 5, r".*\(UNAVAILABLE\)"),
        (("customers", "show", "demo", "--data-dir", "/nowhere"), 4, r".*\(UNAUTHENTICATED\)"),
        (("keys", "create", "--customer", "demo", "--name", "x", "--budget-usd", "1e-10"), 2, r".*decimals"),
    ],
)
def test_failures_are_one_line(cli: Run, arguments: tuple[str, ...], code: int, line: str) -> None:
    """Message and reason, and an exit code by kind."""
    assert re.fullmatch(line, cli(*arguments, code=code))


def test_a_wrong_credential(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4, and the credential isn't repeated."""
    monkeypatch.setenv("TOLLKEEPER_CREDENTIAL", "tkc_wrong")
    line = cli("customers", "list", code=4)
    assert line.endswith("(UNAUTHENTICATED)")
    assert "tkc_wrong" not in line


@pytest.mark.parametrize("noun", [*NOUNS, "ledger"])
def test_every_noun_explains_itself(cli: Run, noun: str) -> None:
    """Without a verb its verbs are shown."""
    assert "Usage: tollkeeper" in cli(noun)


def test_the_version(cli: Run) -> None:
    """Of what is installed."""
    assert re.match(r"tollkeeper (\d|\()", cli("--version"))


def _shell(up: Up, *arguments: str, code: str = CLI) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(TOLLKEEPER_DATA_DIR=str(up.data_dir)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_ledger_holds_after_all_this(up: Up) -> None:
    """`ledger verify` becomes the audit, with its exit code."""
    verified = _shell(up, "ledger", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_up_becomes_the_supervisor(up: Up) -> None:
    """`tollkeeper up` hands its options on: here the directory is taken."""
    refused = _shell(up, "up", "--json")
    assert refused.returncode == 2
    assert f"in use by process {up.process.pid}" in refused.stderr


def _used_s(up: Up, *arguments: str, code: str = CLI) -> float:
    """CPU time of the quicker of two: wall time would measure the machine's other work."""
    took_s = []
    for _ in range(2):
        before = os.times()
        assert _shell(up, *arguments, code=code).returncode == 0
        after = os.times()
        took_s.append(sum(after[2:4]) - sum(before[2:4]))
    return min(took_s)


def test_commands_start_fast(up: Up) -> None:
    """Until the answer is there, little more is done than importing what it takes to ask."""
    libraries_s = _used_s(up, code="import grpc.aio, typer, pydantic")
    assert _used_s(up, "customers", "show", "demo", "--json") < 2.5 * libraries_s


def test_the_address_of_a_stopped_up(tmp_path: Path, cli: Run) -> None:
    """Without `up` the default address is tried, at once and in vain."""
    (tmp_path / "cli.credential").write_text("tkc_x")
    started = time.monotonic()
    line = cli("customers", "list", "--data-dir", str(tmp_path), "--control", "127.0.0.1:2", code=5)
    assert "127.0.0.1:2" in line
    assert time.monotonic() - started < 5
