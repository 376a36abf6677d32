"""TemplatesService, and customers that are made with a template."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from clients.control import ControlClient
from control.domain.identity import Role
from control.store.tables import PLATFORM_CUSTOMER_ID
from tests.control.gateway import authorize, make_key, make_provider, make_router, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.budgets_pb2 import (
    PERIOD_DAILY,
    PERIOD_MONTHLY,
    PERIOD_NONE,
    Budget,
    InitialBudget,
    ListBudgetsRequest,
)
from tollkeeper.v1.customers_pb2 import (
    CreateCustomerRequest,
    Customer,
    GetCustomerRequest,
    ListCustomersRequest,
)
from tollkeeper.v1.keys_pb2 import CreateKeyRequest, Key, KeyDefaults, ModelLimit
from tollkeeper.v1.price_plans_pb2 import CreatePricePlanRequest, PricePlan
from tollkeeper.v1.providers_pb2 import GetProviderRequest, ListProvidersRequest
from tollkeeper.v1.routers_pb2 import ListRoutersRequest, RoutingRule
from tollkeeper.v1.templates_pb2 import (
    CreateTemplateRequest,
    DeleteTemplateRequest,
    GetTemplateRequest,
    ListTemplatesRequest,
    Template,
    TemplateBudget,
    UpdateTemplateRequest,
)

PRO = Template(
    name="pro",
    plan="pro",
    budgets=[
        TemplateBudget(limit_nanousd=100_000_000_000, period=PERIOD_MONTHLY, thresholds=[80, 100]),
        TemplateBudget(limit_nanousd=9_000_000_000, period=PERIOD_DAILY, soft=True),
    ],
    allowed_models=["gpt-*"],
    requests_per_minute=600,
    tokens_per_minute=100_000,
    max_concurrent_requests=50,
    default_output_limit=1000,
    key_defaults=KeyDefaults(
        requests_per_minute=60,
        max_concurrent_requests=4,
        model_limits=[ModelLimit(model="o3*", max_cost_nanousd=5)],
        budget=InitialBudget(limit_nanousd=7, period=PERIOD_DAILY),
    ),
)


async def make_template(client: ControlClient, **fields: Any) -> Template:
    """The template `pro`, or one with other fields."""
    template = Template()
    template.CopyFrom(PRO)
    template.MergeFrom(Template(**fields))
    return await client.templates.CreateTemplate(CreateTemplateRequest(template=template))


async def made_with(client: ControlClient, template: str, slug: str = "acme", **request: Any) -> Customer:
    """A customer made with a template."""
    customer = Customer(name=slug.title(), slug=slug, **request.pop("customer", {}))
    return await client.customers.CreateCustomer(
        CreateCustomerRequest(customer=customer, template=template, **request)
    )


async def budgets_of(client: ControlClient, customer: str) -> list[Budget]:
    """A customer's budgets."""
    return list((await client.budgets.ListBudgets(ListBudgetsRequest(customer_id=customer))).budgets)


async def test_a_template_is_kept_found_listed_changed_and_ended(control: RunningControl) -> None:
    """By id and by name; a name is free again once its template is gone."""
    cli = await control.cli()
    made = await make_template(cli)
    for field, value in PRO.ListFields():
        assert getattr(made, field.name) == value
    for name in (made.template_id, made.template_id.upper(), "pro"):
        assert await cli.templates.GetTemplate(GetTemplateRequest(template_id=name)) == made
    with refused(Reason.ALREADY_EXISTS):
        await make_template(cli)
    other = await cli.templates.CreateTemplate(CreateTemplateRequest(template=Template(name="basic")))
    assert list((await cli.templates.ListTemplates(ListTemplatesRequest())).templates) == [made, other]

    changed = Template(template_id="pro", etag=made.etag, plan="gold", name="gold")
    mask = FieldMask(paths=["plan", "name", "budgets", "key_defaults"])
    updated = await cli.templates.UpdateTemplate(UpdateTemplateRequest(template=changed, update_mask=mask))
    assert (updated.name, updated.plan, updated.requests_per_minute) == ("gold", "gold", 600)
    assert (len(updated.budgets), updated.HasField("key_defaults")) == (0, False)
    with refused(Reason.ETAG_MISMATCH):
        stale = Template(template_id="gold", etag=made.etag, plan="x")
        await cli.templates.UpdateTemplate(UpdateTemplateRequest(template=stale))
    with refused(Reason.ALREADY_EXISTS):
        taken = Template(template_id="gold", name="basic")
        await cli.templates.UpdateTemplate(UpdateTemplateRequest(template=taken))

    ended = await cli.templates.DeleteTemplate(DeleteTemplateRequest(template_id="gold"))
    assert await cli.templates.GetTemplate(GetTemplateRequest(template_id=made.template_id)) == ended
    for request in (GetTemplateRequest(template_id="gold"), GetTemplateRequest(template_id=str(uuid7()))):
        with refused(Reason.NOT_FOUND):
            await cli.templates.GetTemplate(request)
    with refused(Reason.NOT_FOUND):
        await cli.templates.DeleteTemplate(DeleteTemplateRequest(template_id=made.template_id))
    assert (await make_template(cli, name="gold")).name == "gold"


async def test_a_customer_gets_what_its_template_says(control: RunningControl) -> None:
    """Plan, limits, budgets and defaults of keys; what the request says goes before."""
    cli = await control.cli()
    await make_template(cli)
    customer = await made_with(cli, "pro")
    assert (customer.plan, customer.template, customer.default_output_limit) == ("pro", "pro", 1000)
    assert (list(customer.allowed_models), customer.requests_per_minute) == (["gpt-*"], 600)
    assert customer.max_concurrent_requests == 50
    assert customer.key_defaults == PRO.key_defaults
    first, second = await budgets_of(cli, "acme")
    assert (first.limit_nanousd, first.period, list(first.thresholds)) == (
        100_000_000_000,
        PERIOD_MONTHLY,
        [80, 100],
    )
    assert (second.limit_nanousd, second.period, second.soft) == (9_000_000_000, PERIOD_DAILY, True)
    key = (await cli.keys.CreateKey(CreateKeyRequest(key=Key(customer_id="acme", name="k")))).key
    assert (key.requests_per_minute, key.budgets[0].limit_nanousd) == (60, 7)
    assert key.max_concurrent_requests == 4

    said = {"plan": "special", "allowed_models": ["o3"], "key_defaults": KeyDefaults(max_cost_nanousd=1)}
    budget = InitialBudget(limit_nanousd=5)
    own = await made_with(cli, "pro", "own", customer=said, budget=budget)
    assert (own.plan, list(own.allowed_models), own.requests_per_minute) == ("special", ["o3"], 600)
    assert own.key_defaults == KeyDefaults(max_cost_nanousd=1)
    assert [(each.limit_nanousd, each.period) for each in await budgets_of(cli, "own")] == [(5, PERIOD_NONE)]
    await cli.templates.CreateTemplate(CreateTemplateRequest(template=Template(name="open")))
    assert (await made_with(cli, "open", "open")).plan == "free"
    assert await budgets_of(cli, "open") == []


async def test_changing_a_template_changes_no_customer(control: RunningControl) -> None:
    """Nor does deleting it; only customers to come see it."""
    cli = await control.cli()
    made = await make_template(cli)
    customer = await made_with(cli, made.template_id)
    changed = Template(template_id="pro", plan="gold", requests_per_minute=1)
    await cli.templates.UpdateTemplate(UpdateTemplateRequest(template=changed))
    assert await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme")) == customer
    assert (await made_with(cli, "pro", "later")).plan == "gold"
    await cli.templates.DeleteTemplate(DeleteTemplateRequest(template_id="pro"))
    assert await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme")) == customer
    for name in ("pro", made.template_id, "nothing"):
        with refused(Reason.NOT_FOUND) as refusal:
            await made_with(cli, name, "never")
        assert refusal.metadata["resource"] == "template"
    listed = await cli.customers.ListCustomers(ListCustomersRequest())
    assert [each.slug for each in listed.customers] == ["acme", "later"]


async def test_rules_become_a_router_over_the_platform_s_providers(control: RunningControl) -> None:
    """Granted to the customer with it: its keys are served, and it sees no credential."""
    cli, edge = await control.cli(), await control.edge()
    first = await make_provider(cli, PLATFORM_CUSTOMER_ID, "first", credential="sk-platform")
    second = await make_provider(cli, PLATFORM_CUSTOMER_ID, "second")
    rules = [
        RoutingRule(provider_id=first.provider_id, allowed_models=["gpt-*"]),
        RoutingRule(provider_id=second.provider_id, priority=2, model_rewrite="gpt-4o"),
    ]
    await make_template(cli, rules=rules)
    customer = await made_with(cli, "pro")
    [router] = (await cli.routers.ListRouters(ListRoutersRequest(customer_id="acme"))).routers
    assert (router.name, router.router_id) == ("default", customer.default_router_id)
    assert [(rule.provider_id, rule.priority) for rule in router.rules] == [
        (first.provider_id, 1),
        (second.provider_id, 2),
    ]
    grant = await authorize(edge, (await make_key(cli, "acme")).raw_key)
    assert [rule.provider_name for rule in grant.rules] == ["first", "second"]
    assert grant.rules[0].credential == "sk-platform"
    owner = await control.person(customer.customer_id, Role.OWNER)
    shown = (await owner.client.providers.ListProviders(ListProvidersRequest())).providers
    assert [(each.name, each.platform, each.has_credential) for each in shown] == [
        ("first", True, False),
        ("second", True, False),
    ]
    request = GetProviderRequest(customer_id=PLATFORM_CUSTOMER_ID, provider_id=first.provider_id)
    assert list((await cli.providers.GetProvider(request)).granted_customer_ids) == [customer.customer_id]


async def test_a_router_of_the_platform_becomes_the_default(control: RunningControl) -> None:
    """Granted, and shared: changing it reaches all customers of the template at once."""
    cli, edge = await control.cli(), await control.edge()
    provider = await make_provider(cli, PLATFORM_CUSTOMER_ID, "vendor")
    router = await make_router(cli, PLATFORM_CUSTOMER_ID, provider.provider_id, name="standard")
    await make_template(cli, router_id=router.router_id)
    for slug in ("acme", "bolt"):
        assert (await made_with(cli, "pro", slug)).default_router_id == router.router_id
        grant = await authorize(edge, (await make_key(cli, slug)).raw_key)
        assert [rule.provider_name for rule in grant.rules] == ["vendor"]


async def test_a_price_plan_comes_with_the_template(control: RunningControl) -> None:
    """Unless the request names another; one that isn't there is refused."""
    cli = await control.cli()
    plans = [
        await cli.price_plans.CreatePricePlan(CreatePricePlanRequest(price_plan=PricePlan(name=name)))
        for name in ("Resale", "Partner")
    ]
    await make_template(cli, price_plan_id=plans[0].price_plan_id)
    assert (await made_with(cli, "pro")).price_plan_id == plans[0].price_plan_id
    own = await made_with(cli, "pro", "own", customer={"price_plan_id": plans[1].price_plan_id})
    assert own.price_plan_id == plans[1].price_plan_id
    for unknown in (str(uuid7()), "resale"):
        with refused(Reason.NOT_FOUND):
            await make_template(cli, name="other", price_plan_id=unknown)


async def test_a_customer_is_made_whole_or_not_at_all(control: RunningControl) -> None:
    """What a template names may be gone by then: one refusal, and nothing of the customer is there."""
    cli = await control.cli()
    provider = await make_provider(cli, PLATFORM_CUSTOMER_ID, "vendor")
    await make_template(cli, rules=[RoutingRule(provider_id=provider.provider_id)])
    async with control.database.write() as connection:
        await connection.exec_driver_sql("UPDATE providers SET delete_time = now()")
    with refused(Reason.NOT_FOUND) as refusal:
        await made_with(cli, "pro")
    assert refusal.metadata == {"resource": "provider", "resource_id": provider.provider_id}
    with refused(Reason.NOT_FOUND):
        await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme"))
    assert (await control.customer("acme")).slug == "acme"


async def test_unusable_templates_are_refused(control: RunningControl) -> None:
    """By field; nothing is made."""
    cli = await control.cli()
    own = await make_provider(cli, (await control.customer("acme")).customer_id)
    router = await make_router(cli, "acme", own.provider_id)
    platform = await make_provider(cli, PLATFORM_CUSTOMER_ID, "vendor")
    rule = RoutingRule(provider_id=platform.provider_id)
    unusable: list[tuple[dict[str, Any], Reason, str]] = [
        ({"name": ""}, Reason.INVALID_ARGUMENT, "name"),
        ({"name": str(uuid7())}, Reason.INVALID_ARGUMENT, "name"),
        ({"plan": "x" * 51}, Reason.INVALID_ARGUMENT, "plan"),
        ({"budgets": [TemplateBudget()]}, Reason.INVALID_ARGUMENT, "limit_nanousd"),
        ({"budgets": [TemplateBudget(limit_nanousd=-1)]}, Reason.INVALID_ARGUMENT, "limit_nanousd"),
        ({"budgets": [TemplateBudget(limit_nanousd=1)] * 9}, Reason.INVALID_ARGUMENT, "budgets"),
        (
            {"budgets": [TemplateBudget(limit_nanousd=1, thresholds=[0])]},
            Reason.INVALID_ARGUMENT,
            "thresholds",
        ),
        ({"allowed_models": [""]}, Reason.INVALID_ARGUMENT, "model"),
        ({"requests_per_minute": -1}, Reason.INVALID_ARGUMENT, "requests_per_minute"),
        ({"max_concurrent_requests": -1}, Reason.INVALID_ARGUMENT, "max_concurrent_requests"),
        ({"tokens_per_minute": 2**62}, Reason.INVALID_ARGUMENT, "tokens_per_minute"),
        ({"default_output_limit": -1}, Reason.INVALID_ARGUMENT, "default_output_limit"),
        (
            {"key_defaults": KeyDefaults(max_cost_nanousd=-1)},
            Reason.INVALID_ARGUMENT,
            "key_defaults.max_cost_nanousd",
        ),
        ({"router_id": str(uuid7()), "rules": [rule]}, Reason.INVALID_ARGUMENT, "rules"),
        (
            {"rules": [RoutingRule(provider_id=platform.provider_id, priority=-1)]},
            Reason.INVALID_ARGUMENT,
            "rules.priority",
        ),
        ({"rules": [RoutingRule(provider_id=own.provider_id)]}, Reason.NOT_FOUND, ""),
        ({"router_id": router.router_id}, Reason.NOT_FOUND, ""),
        ({"router_id": "main"}, Reason.NOT_FOUND, ""),
    ]
    for fields, reason, field in unusable:
        template = Template(**{"name": "t", **fields})
        with refused(reason) as refusal:
            await cli.templates.CreateTemplate(CreateTemplateRequest(template=template))
        assert refusal.metadata.get("field", "") == field
    assert not (await cli.templates.ListTemplates(ListTemplatesRequest())).templates


async def test_templates_are_for_operators(control: RunningControl) -> None:
    """Owners of customers neither see nor use them."""
    acme = (await control.customer("acme")).customer_id
    owner = await control.person(acme, Role.OWNER)
    with refused(Reason.PERMISSION_DENIED):
        await owner.client.templates.ListTemplates(ListTemplatesRequest())
    with refused(Reason.PERMISSION_DENIED):
        await made_with(owner.client, "pro")
