"""Providers and routers by commands: types, tests, dry runs, and what the platform grants."""

from tests.clients.cli.conftest import Run


def test_types_and_tests(cli: Run) -> None:
    """The table of types; a saved provider and settings that aren't, called for real; a failure's code."""
    types = {each["provider_type"]: each for each in cli("providers", "types", "--json")}
    assert types["google"]["aliases"] == ["gemini", "google-ai-studio"]
    assert "UNIFIED BILLING" in cli("providers", "types")
    cli("customers", "create", "--name", "Prober", "--slug", "prober", "--unlimited", "--json")
    of = ("--customer", "prober")
    provider = cli(
        *("providers", "create", *of, "--name", "main", "--type", "openai", "--credential-stdin", "--json"),
        stdin="sk-good-1234567\n",
    )
    told = cli("providers", "test", provider["provider_id"], *of, "--json")
    assert (told["ok"], told["http_status"]) == (True, 200)
    assert "gpt-4o-mini" in told["models"]
    refused = cli(
        *("providers", "test", *of, "--type", "groq", "--credential-stdin"),
        code=1,
        stdin="sk-invalid-0123456789\n",
    )
    assert "status 401" in refused
    assert "sk-invalid" not in refused
    assert "saved provider" in cli("providers", "test", *of, code=2)
    assert "a format of its own" in cli(
        *("providers", "create", *of, "--name", "x", "--type", "parallel", "--direct"), code=1
    )
    assert "exists" in cli("providers", "create", *of, "--name", "main", "--type", "openai", code=1)


def test_dry_run_and_grants(cli: Run) -> None:
    """A platform's provider is granted by slug, named in a customer's rule, and shown in its dry run."""
    cli("customers", "create", "--name", "Granted", "--slug", "granted", "--unlimited", "--json")
    shared = cli(
        *("providers", "create", "--customer", "platform", "--name", "house", "--type", "openai", "--json"),
        *("--grant", "granted", "--credential-stdin"),
        stdin="sk-good-1234567\n",
    )
    assert shared["platform"] is True
    of = ("--customer", "granted")
    [seen] = cli("providers", "list", *of, "--json")
    assert (seen["name"], seen["platform"], seen["has_credential"]) == ("house", True, False)
    rule = f"provider={shared['provider_id']},weight=3"
    router = cli("routers", "create", *of, "--name", "r", "--rule", rule, "--json")
    planned = cli("routers", "dry-run", router["router_id"], *of, "--model", "gpt-4o-mini", "--json")
    [attempt] = planned["attempts"]
    assert (attempt["provider_name"], attempt["weight"], attempt["first_share"]) == ("house", 3, 1.0)
    assert attempt["price"]["price_id"]
    settings = ("--retries", "count=2", "--deadlines", "total=5000")
    changed = cli("routers", "update", router["router_id"], *of, *settings, "--json")
    assert changed["rules"] == router["rules"]
    assert (changed["retries"]["count"], changed["deadlines"]["total_ms"]) == (2, 5000)
    conditional = f"{rule},when=prompt_bytes < 10"
    cli("routers", "update", router["router_id"], *of, "--rule", conditional, "--json")
    big = cli(
        "routers", "dry-run", router["router_id"], *of, "--model", "gpt-4o-mini", "--prompt-bytes", "99"
    )
    assert "MODEL_NOT_ALLOWED" in big
    cli("routers", "update", router["router_id"], *of, "--rule", rule, "--json")
    table = cli("routers", "dry-run", router["router_id"], *of, "--model", "nobody-sells-this")
    assert "not_priced" in table
    assert "MODEL_NOT_PRICED" in table
    assert "--key" in cli("routers", "dry-run", *of, "--model", "m", code=2)

    update = ("providers", "update", shared["provider_id"], "--customer", "platform", "--grant-none")
    assert "IN_USE" in cli(*update, code=1)
    assert cli(*update, "--force", "--json")["granted_customer_ids"] == []
    assert cli("routers", "show", router["router_id"], *of, "--json")["rules"] == []
    gone = cli("providers", "delete", shared["provider_id"], "--customer", "platform", "--json")
    assert gone["removed"]["routing_rule_count"] == 0
