"""`tollkeeper apply` and `tollkeeper export` against real control planes."""

import json
import os
import stat
from pathlib import Path

from control.domain.identity import Role
from control.store.tables import PLATFORM_CUSTOMER_ID
from tests.clients.tenants.conftest import tollkeeper
from tests.control.gateway import authorize, make_key, make_provider
from tests.control.harness import RunningControl
from tollkeeper.v1.budgets_pb2 import ListBudgetsRequest
from tollkeeper.v1.customers_pb2 import DeleteCustomerRequest
from tollkeeper.v1.keys_pb2 import ListKeysRequest
from tollkeeper.v1.price_plans_pb2 import CreatePricePlanRequest, PricePlan
from tollkeeper.v1.providers_pb2 import ListProvidersRequest
from tollkeeper.v1.routers_pb2 import CreateRouterRequest, Router, RoutingRule
from tollkeeper.v1.sessions_pb2 import CreateSessionRequest
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team

# In the form that an export has.
FILE = """\
customers:
- slug: acme
  name: Acme
  email: bills@acme.example
  plan: pro
  time_zone: Europe/Berlin
  allowed_models:
  - gpt-*
  - o3
  requests_per_minute: 600
  max_concurrent_requests: 40
  default_output_limit: 1000
  default_router: main
  key_defaults:
    requests_per_minute: 60
    max_concurrent_requests: 4
    model_limits:
    - model: o3*
      max_cost_usd: '0.50'
    clamp_output: true
    budget:
      limit_usd: '5.00'
      period: monthly
  budgets:
  - limit_usd: '100.00'
    period: monthly
    thresholds:
    - 80
    - 100
  - limit_usd: '20.00'
    period: daily
    soft: true
  teams:
  - name: Search
    requests_per_minute: 300
    budgets:
    - limit_usd: '30.00'
      period: monthly
  - name: Ops
    suspended: true
  users:
  - email: ada@acme.example
    name: Ada
    role: admin
    tokens_per_minute: 5000
    max_concurrent_requests: 3
    teams:
    - Ops
    - Search
  - email: bob@acme.example
    name: Bob
    suspended: true
    budgets:
    - limit_usd: '0.123456789'
  providers:
  - name: openai
    type: openai
    credential: env:ACME_OPENAI_CREDENTIAL
  - name: local
    type: custom
    base_url: https://llm.example.com/v1
    disabled: true
  routers:
  - name: main
    rules:
    - provider: openai
      allowed_models:
      - gpt-*
    - provider: local
      priority: 2
      condition: fallback
      model_rewrite: llama
  - name: spare
  keys:
  - name: app
  - name: app
    user: ada@acme.example
    team: Search
    router: spare
    disabled: true
    expire_time: '2099-01-01T00:00:00Z'
    allowed_models:
    - o3
    default_output_limit: 50
    clamp_output: false
    requests_per_minute: 0
    tokens_per_minute: 9
    model_limits: []
    max_cost_usd: '0.05'
    allowed_ips:
    - 10.0.0.0/8
    - 2001:db8::/32
    budgets: []
  - name: ci
    budgets:
    - limit_usd: '1.00'
      soft: true
      thresholds:
      - 50
    - limit_usd: '7.00'
      period: weekly
- slug: bolt
  name: Bolt
- slug: unbounded
  name: Unbounded
  suspended: true
  budgets: []
"""
VENDOR_SECRET = "sk-nobody-may-read-this"
VARIABLES = {"ACME_OPENAI_CREDENTIAL": VENDOR_SECRET}


def written(directory: Path, text: str = FILE, name: str = "tenants.yaml") -> str:
    """A file with this content."""
    (directory / name).write_text(text)
    return str(directory / name)


async def test_a_file_is_applied_and_exported_as_it_was(control: RunningControl, tmp_path: Path) -> None:
    """Everything in it is there; the export is the same file, and applying it or the file changes nothing."""
    file = written(tmp_path)
    ran = await tollkeeper(control, "apply", "-f", file, **VARIABLES)
    assert ran.code == 0, ran.err
    assert "14 made" in ran.out
    exported = await tollkeeper(control, "export")
    assert exported.out == FILE
    again = written(tmp_path, exported.out, "again.yaml")
    for each in (file, again):
        # Without the variable: a credential that is there isn't needed again.
        ran = await tollkeeper(control, "apply", "-f", each)
        assert (ran.code, ran.out) == (0, "Nothing to change: all 14 are as the file says.\n"), ran.err


async def test_an_export_goes_to_an_empty_installation(
    control: RunningControl, other: RunningControl, tmp_path: Path
) -> None:
    """And its export is equal; so is the JSON form, which apply takes as well."""
    await tollkeeper(control, "apply", "-f", written(tmp_path), **VARIABLES)
    copy = str(tmp_path / "copy.yaml")
    assert (await tollkeeper(control, "export", "-o", copy)).code == 0
    ran = await tollkeeper(other, "apply", "-f", copy, **VARIABLES)
    assert ran.code == 0, ran.err
    assert (await tollkeeper(other, "export")).out == Path(copy).read_text() == FILE
    as_json = await tollkeeper(other, "export", "--customer", "acme", "--json")
    assert [each["slug"] for each in as_json.json()["customers"]] == ["acme"]
    ran = await tollkeeper(control, "apply", "-f", written(tmp_path, as_json.out, "acme.json"))
    assert "Nothing to change" in ran.out, ran.err


async def test_what_is_made_works(control: RunningControl, tmp_path: Path) -> None:
    """The secret that is printed opens the key; its grant has rules, limits and the vendor's credential."""
    ran = await tollkeeper(control, "apply", "-f", written(tmp_path), "--json", **VARIABLES)
    report = ran.json()
    assert (report["made"], report["changed"], report["failures"], report["not_done"]) == (14, 1, [], 0)
    first = report["keys"][0]
    assert (first["customer"], first["key"]) == ("acme", "app")
    grant = await authorize(await control.edge(), first["raw_key"])
    assert [rule.provider_name for rule in grant.rules] == ["openai", "local"]
    assert grant.rules[0].credential == VENDOR_SECRET
    assert grant.clamp_output
    assert [(limit.scope, limit.requests_per_minute) for limit in grant.rate_limits] == [
        ("key", 60),
        ("customer", 600),
    ]
    assert VENDOR_SECRET not in ran.out + ran.err


async def test_a_dry_run_shows_a_diff_and_changes_nothing(control: RunningControl, tmp_path: Path) -> None:
    """The same steps as the run after it, fields with what they are and will be."""
    await tollkeeper(control, "apply", "-f", written(tmp_path), **VARIABLES)
    text = FILE.replace("requests_per_minute: 600", "requests_per_minute: 700").replace(
        "limit_usd: '30.00'", "limit_usd: '31.00'"
    )
    text = text.replace("  - name: ci\n", "  - name: cd\n")
    file = written(tmp_path, text)
    dry = await tollkeeper(control, "apply", "-f", file, "--dry-run", **VARIABLES)
    assert dry.code == 0, dry.err
    for line in (
        "customer acme",
        "  ~ customer acme",
        "      requests_per_minute: 600 → 700",
        "  ~ team Search",
        "        - limit_usd 30.00, period monthly",
        "        + limit_usd 31.00, period monthly",
        "  + key cd",
        "customer acme: left alone, not in the file: key ci",
        "1 would be made, 2 would be changed, 11 are as the file says.",
    ):
        assert line in dry.out.splitlines(), dry.out
    assert (await tollkeeper(control, "export")).out == FILE
    planned = (await tollkeeper(control, "apply", "-f", file, "--dry-run", "--json")).json()
    done = (await tollkeeper(control, "apply", "-f", file, "--json")).json()
    assert planned["steps"] == done["steps"]
    assert [(each["kind"], each["name"]) for each in done["steps"]] == [
        ("customer", "acme"),
        ("team", "Search"),
        ("key", "cd"),
    ]
    assert done["left_alone"] == {"acme": ["key ci"]}


async def test_changed_budgets_keep_what_was_spent(control: RunningControl, tmp_path: Path) -> None:
    """A budget that changes stays the same budget; others come and go, also those of a new period."""
    cli = await control.cli()
    file = written(
        tmp_path,
        "customers: [{slug: acme, name: Acme, budgets: [{limit_usd: 5}, {limit_usd: 9, period: daily}]}]",
    )
    await tollkeeper(control, "apply", "-f", file)
    before = (await cli.budgets.ListBudgets(ListBudgetsRequest(customer_id="acme"))).budgets
    budgets = "[{limit_usd: 10, period: daily}, {limit_usd: 2, period: weekly}]"
    file = written(tmp_path, f"customers: [{{slug: acme, name: Acme, budgets: {budgets}}}]")
    assert (await tollkeeper(control, "apply", "-f", file)).code == 0
    after = (await cli.budgets.ListBudgets(ListBudgetsRequest(customer_id="acme"))).budgets
    daily = next(each for each in before if each.limit_nanousd == 9_000_000_000)
    kept = next(each for each in after if each.budget_id == daily.budget_id)
    assert kept.limit_nanousd == 10_000_000_000
    assert sorted(each.limit_nanousd for each in after) == [2_000_000_000, 10_000_000_000]
    assert "Nothing to change" in (await tollkeeper(control, "apply", "-f", file)).out


async def test_secrets_go_to_a_file_of_their_own(control: RunningControl, tmp_path: Path) -> None:
    """Mode 600, a line each, nothing printed; one that others can read is refused before anything is made."""
    open_file = tmp_path / "open"
    open_file.touch(0o644)
    os.chmod(open_file, 0o644)
    file = written(tmp_path)
    refused = await tollkeeper(control, "apply", "-f", file, "--secrets-file", str(open_file), **VARIABLES)
    assert (refused.code, "others may read it" in refused.err) == (2, True)
    assert (await tollkeeper(control, "export")).out == "customers: []\n"
    kept = tmp_path / "secrets.jsonl"
    ran = await tollkeeper(control, "apply", "-f", file, "--secrets-file", str(kept), **VARIABLES)
    assert (ran.code, "aig_" in ran.out + ran.err) == (0, False)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    keys = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [each["key"] for each in keys] == ["app", "app", "ci"]
    assert (await authorize(await control.edge(), keys[2]["raw_key"])).key_id == keys[2]["id"]


async def test_a_run_that_failed_half_way_is_run_again(control: RunningControl, tmp_path: Path) -> None:
    """The failure names its place in the file; other customers go on; mended, only the rest is done."""
    cli = await control.cli()
    taken = await control.customer("taken")
    await control.person(taken.customer_id, Role.MEMBER, "bob@acme.example")
    file = written(tmp_path)
    ran = await tollkeeper(control, "apply", "-f", file, "--json", **VARIABLES)
    assert ran.code == 1
    report = ran.json()
    [failure] = report["failures"]
    assert failure["path"] == "customers[0].users[1]" or failure["path"] == "customers[0].users[1].email"
    assert failure["reason"] == "ALREADY_EXISTS"
    assert f"{file}: customers[0].users[1]" in ran.err
    assert report["not_done"] > 0
    assert {each["customer"] for each in report["steps"]} == {"acme", "bolt", "unbounded"}
    await cli.customers.DeleteCustomer(DeleteCustomerRequest(customer_id="taken", force=True))
    again = await tollkeeper(control, "apply", "-f", file, "--json", **VARIABLES)
    assert (again.code, again.json()["made"]) == (0, 14 - report["made"]), again.err
    assert (await tollkeeper(control, "export")).out == FILE


async def test_credentials_come_from_outside(control: RunningControl, tmp_path: Path) -> None:
    """From variables and files, asked for before anything is done; set again only when told to, or gone."""
    (tmp_path / "key.txt").write_text("sk-from-file\n")
    text = """\
customers:
- slug: acme
  name: Acme
  users:
  - {email: ada@acme.example, password: 'env:ADA_PASSWORD'}
  providers:
  - {name: a, type: openai, credential: 'file:key.txt'}
  - {name: b, type: openai, credential: 'env:B'}
  routers:
  - {name: r, rules: [{provider: a}]}
  default_router: r
  keys: [{name: k}]
"""
    file = written(tmp_path, text)
    missing = await tollkeeper(control, "apply", "-f", file)
    assert missing.code == 2
    assert "customers[0].providers[1].credential: the environment variable B isn't set" in missing.err
    assert "customers[0].users[0].password: the environment variable ADA_PASSWORD isn't set" in missing.err
    assert (await tollkeeper(control, "export")).out == "customers: []\n"
    variables = {"B": "sk-b", "ADA_PASSWORD": "a password of hers"}
    ran = await tollkeeper(control, "apply", "-f", file, "--json", **variables)
    assert ran.code == 0, ran.err
    secret = ran.json()["keys"][0]["raw_key"]
    edge = await control.edge()
    assert (await authorize(edge, secret)).rules[0].credential == "sk-from-file"
    login = CreateSessionRequest(email="ada@acme.example", password="a password of hers")
    assert (await (await control.client()).sessions.CreateSession(login)).secret

    (tmp_path / "key.txt").write_text("sk-second")
    assert "Nothing to change" in (await tollkeeper(control, "apply", "-f", file)).out
    again = await tollkeeper(control, "apply", "-f", file, "--set-credentials", "--json", **variables)
    assert again.json()["changed"] == 2
    assert (await authorize(edge, secret)).rules[0].credential == "sk-second"
    written(tmp_path, text.replace(", credential: 'env:B'", ""))
    assert (await tollkeeper(control, "apply", "-f", file, "--json")).json()["changed"] == 1
    providers = await (await control.cli()).providers.ListProviders(ListProvidersRequest(customer_id="acme"))
    assert [each.has_credential for each in providers.providers] == [True, False]


async def test_mistakes_are_told_before_anything_is_done(control: RunningControl, tmp_path: Path) -> None:
    """Names that lead nowhere, names twice, and what can't be changed: all of them, with their places."""
    await control.customer("acme")
    cli = await control.cli()
    for _ in range(2):
        await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="Twin")))
    text = """\
customers:
- slug: bolt
  name: Bolt
  default_router: nowhere
  users: [{email: a@b.example, teams: [none]}]
  providers: [{name: p, type: openai}, {name: p, type: openai}]
  routers: [{name: r, rules: [{provider: q}]}]
  keys: [{name: k, user: x@y.example, team: t, router: s}]
- slug: acme
  name: Acme
"""
    ran = await tollkeeper(control, "apply", "-f", written(tmp_path, text))
    assert ran.code == 2
    for problem in (
        "customers[0].default_router: there is no router 'nowhere'",
        "customers[0].users[0].teams: there is no team 'none'",
        "customers[0].providers[1]: 'p' is there twice",
        "customers[0].routers[0].rules[0].provider: there is no provider 'q'",
        "customers[0].keys[0].user: there is no user 'x@y.example'",
        "customers[0].keys[0].team: there is no team 't'",
        "customers[0].keys[0].router: there is no router 's'",
        "customers[1]: in the control plane two teams are called 'Twin': rename one of them",
    ):
        assert problem in ran.err
    assert (await tollkeeper(control, "export", "--customer", "bolt")).code == 3


async def test_members_of_a_customer_apply_what_their_role_allows(
    control: RunningControl, tmp_path: Path
) -> None:
    """An admin changes keys and not the plan: the refusal is the control plane's, at its place."""
    acme = (await control.customer("acme")).customer_id
    admin = await control.person(acme, Role.ADMIN, "admin@acme.example")
    text = "customers: [{slug: acme, name: Acme, budgets: [], keys: [{name: app}]}]"
    ran = await tollkeeper(
        control, "apply", "-f", written(tmp_path, text), TOLLKEEPER_CREDENTIAL=admin.secret
    )
    assert ran.code == 0, ran.err
    keys = (await admin.client.keys.ListKeys(ListKeysRequest())).keys
    assert [(key.name, key.created_by) for key in keys] == [("app", admin.user_id)]
    text = text.replace("name: Acme,", "name: Acme, plan: gold,")
    ran = await tollkeeper(
        control, "apply", "-f", written(tmp_path, text), TOLLKEEPER_CREDENTIAL=admin.secret
    )
    assert (ran.code, "customers[0]" in ran.err, "PERMISSION_DENIED" in ran.err) == (1, True, True)


async def test_only_the_named_customers(control: RunningControl, tmp_path: Path) -> None:
    """Of the file, and of an export; one that isn't there is said."""
    file = written(tmp_path)
    ran = await tollkeeper(control, "apply", "-f", file, "--customer", "bolt", "--json")
    assert [each["customer"] for each in ran.json()["steps"]] == ["bolt"]
    ran = await tollkeeper(control, "apply", "-f", file, "--customer", "gone")
    assert (ran.code, "no customer 'gone' in the file" in ran.err) == (2, True)
    assert (await tollkeeper(control, "export")).out == "customers:\n- slug: bolt\n  name: Bolt\n"


async def test_keys_that_ended_are_not_exported(control: RunningControl, tmp_path: Path) -> None:
    """They couldn't be made again; revoked ones neither. Applying the rest leaves them alone."""
    cli = await control.cli()
    await control.customer("acme")
    await make_key(cli, "acme", name="over")
    async with control.database.write() as connection:
        await connection.exec_driver_sql("UPDATE keys SET expire_time = now() - interval '1 hour'")
    await make_key(cli, "acme", name="live")
    exported = await tollkeeper(control, "export")
    assert ("name: over" in exported.out, "name: live" in exported.out) == (False, True)
    ran = await tollkeeper(control, "apply", "-f", written(tmp_path, exported.out))
    assert "Nothing to change" in ran.out


async def test_an_unreachable_control_plane_ends_it(control: RunningControl, tmp_path: Path) -> None:
    """With its own exit code, as for every command."""
    ran = await tollkeeper(
        control, "apply", "-f", written(tmp_path), TOLLKEEPER_CONTROL_ADDRESS="127.0.0.1:1"
    )
    assert (ran.code, len(ran.err.splitlines())) == (5, 1)


async def test_what_the_platform_owns_is_named(control: RunningControl, tmp_path: Path) -> None:
    """Providers and routers of the platform by `platform/NAME`, for new customers too; gone ones are told."""
    cli = await control.cli()
    provider = await make_provider(
        cli, PLATFORM_CUSTOMER_ID, "shared", credential="sk-platform", granted_to_all=True
    )
    router = Router(
        customer_id=PLATFORM_CUSTOMER_ID,
        name="standard",
        rules=[RoutingRule(provider_id=provider.provider_id)],
        granted_to_all=True,
    )
    await cli.routers.CreateRouter(CreateRouterRequest(router=router))
    await cli.price_plans.CreatePricePlan(CreatePricePlanRequest(price_plan=PricePlan(name="Resale")))
    text = """\
customers:
- slug: acme
  name: Acme
  price_plan: Resale
  default_router: platform/standard
  budgets: []
  routers:
  - name: own
    rules:
    - provider: platform/shared
      when: '"batch" in tags'
      weight: 3
    - provider: platform/shared
      condition: on_status
      statuses:
      - 400
      - 503
    retries:
      count: 2
      backoff_ms: 100
    deadlines:
      total_ms: 60000
  keys:
  - name: first
  - name: second
    router: own
"""
    file = written(tmp_path, text)
    ran = await tollkeeper(control, "apply", "-f", file, "--json")
    assert ran.code == 0, ran.err
    edge = await control.edge()
    for key in ran.json()["keys"]:
        grant = await authorize(edge, key["raw_key"])
        assert {rule.provider_name for rule in grant.rules} == {"shared"}
        assert (grant.retries.count, grant.deadlines.total_ms) in ((2, 60_000), (0, 0))
    assert (await tollkeeper(control, "export")).out == text
    assert "Nothing to change" in (await tollkeeper(control, "apply", "-f", file)).out
    other = text.replace("acme", "other").replace("platform/standard", "platform/gone")
    ran = await tollkeeper(control, "apply", "-f", written(tmp_path, other, "other.yaml"))
    assert (ran.code, "there is no router 'platform/gone'" in ran.err) == (1, True)
    written(tmp_path, text.replace("  price_plan: Resale\n", ""))
    changed = (await tollkeeper(control, "apply", "-f", file, "--json")).json()
    assert [each["changes"] for each in changed["steps"]] == [
        {"price_plan": {"before": "Resale", "after": None}}
    ]
