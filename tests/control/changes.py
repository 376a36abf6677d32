"""One request for each RPC that changes something, in an order in which all of them can be sent.

`$name` stands for an id that an earlier Create answered: `$team_id` is what CreateTeam made.
A new RPC gets its line here; tests over the whole contract fail until it has one.
"""

from base64 import b64encode
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from clients.control import ControlClient
from tests.control.contract import METHODS

PASSWORD = "a password of mine"
SECRET = "sk-nobody-may-read-this"
_CUSTOMER = {"customer_id": "$customer_id"}
_RATES = {"input": 1, "output": 1}


def _of(resource: str, **fields: Any) -> dict[str, Any]:
    return {**_CUSTOMER, f"{resource}_id": f"${resource}_id", **fields}


REQUESTS: dict[str, dict[str, Any]] = {
    "CustomersService/CreateCustomer": {"customer": {"name": "Acme", "slug": "acme"}},
    "CustomersService/RegisterCustomer": {"email": "first@example.com", "name": "First"},
    "GatewaysService/ProvisionGateway": _CUSTOMER,
    "GatewaysService/ReleaseGateway": _CUSTOMER,
    "UsersService/CreateUser": {
        "user": {**_CUSTOMER, "email": "ann@example.com", "role": "ROLE_ADMIN"},
        "password": PASSWORD,
    },
    "SessionsService/CreateSession": {"email": "ann@example.com", "password": PASSWORD},
    "ApiTokensService/CreateApiToken": {"api_token": {**_CUSTOMER, "name": "reports", "scopes": ["*:read"]}},
    "TeamsService/CreateTeam": {"team": {**_CUSTOMER, "name": "Search"}},
    "ProvidersService/CreateProvider": {
        "provider": {**_CUSTOMER, "name": "openai", "provider_type": "openai", "credential": SECRET}
    },
    "RoutersService/CreateRouter": {
        "router": {**_CUSTOMER, "name": "default", "rules": [{"provider_id": "$provider_id"}]}
    },
    "KeysService/CreateKey": {"key": {**_CUSTOMER, "name": "app"}, "budget": {"limit_nanousd": 5}},
    "BudgetsService/CreateBudget": {
        "budget": {
            **_CUSTOMER,
            "scope": "SCOPE_TEAM",
            "scope_id": "$team_id",
            "limit_nanousd": 5,
            "period": "PERIOD_DAILY",
        }
    },
    "PricesService/CreatePrice": {
        "price": {**_CUSTOMER, "provider_id": "$provider_id", "model": "own", "rates": _RATES}
    },
    "PricePlansService/CreatePricePlan": {"price_plan": {"name": "Resale", "markup_ppm": 200_000}},
    "TemplatesService/CreateTemplate": {"template": {"name": "pro", "plan": "pro"}},
    "TemplatesService/UpdateTemplate": {"template": {"template_id": "$template_id", "plan": "gold"}},
    "TemplatesService/DeleteTemplate": {"template_id": "$template_id"},
    "CustomersService/UpdateCustomer": {"customer": {**_CUSTOMER, "name": "Acme & Sons"}},
    "UsersService/UpdateUser": {"user": _of("user", name="Ann")},
    "TeamsService/UpdateTeam": {"team": _of("team", name="Ranking")},
    "ProvidersService/UpdateProvider": {"provider": _of("provider", credential=SECRET)},
    "RoutersService/UpdateRouter": {"router": _of("router", name="main")},
    "KeysService/UpdateKey": {"key": _of("key", name="other")},
    "KeysService/RotateKey": _of("key", overlap="60s"),
    "KeysService/EndKeyOverlap": _of("key"),
    "BudgetsService/UpdateBudget": {"budget": _of("budget", limit_nanousd=7)},
    "PricePlansService/UpdatePricePlan": {
        "price_plan": {"price_plan_id": "$price_plan_id", "markup_ppm": 100_000}
    },
    "PricesService/ImportPrices": {
        "source": "PRICE_SOURCE_CSV",
        "content": b64encode(b"provider_type,model,input,output\nopenai,listed,1,2\n").decode(),
    },
    "PricesService/ReRateUsage": {
        **_CUSTOMER,
        "start_time": "2026-01-01T00:00:00Z",
        "end_time": "2026-02-01T00:00:00Z",
    },
    "BudgetsService/TopUpBudget": _of("budget", amount_nanousd=3, note="more"),
    "TeamsService/AddTeamMember": {**_of("team"), "user_id": "$user_id"},
    "TeamsService/RemoveTeamMember": {**_of("team"), "user_id": "$user_id"},
    "ApiTokensService/RevokeApiToken": _of("api_token"),
    "PricesService/DeletePrice": {"price_id": "$price_id"},
    "BudgetsService/DeleteBudget": _of("budget"),
    "KeysService/RevokeKey": _of("key"),
    "RoutersService/DeleteRouter": {**_of("router"), "force": True},
    "ProvidersService/DeleteProvider": {**_of("provider"), "force": True},
    "TeamsService/DeleteTeam": _of("team"),
    "SessionsService/RevokeSession": _of("user", session_id="$session_id"),
    "UsersService/ChangePassword": {"old_password": PASSWORD, "new_password": PASSWORD + "!"},
    "UsersService/ResetPassword": _of("user", password=PASSWORD),
    "PricePlansService/DeletePricePlan": {"price_plan_id": "$price_plan_id"},
    "SessionsService/DeleteSession": {},
    "UsersService/DeleteUser": _of("user"),
    "CustomersService/DeleteCustomer": {**_CUSTOMER, "force": True},
}
# These are of people; an operator sends all others.
OF_PEOPLE = frozenset(
    {"SessionsService/CreateSession", "SessionsService/DeleteSession", "UsersService/ChangePassword"}
)


async def send(client: ControlClient, name: str, ids: dict[str, str]) -> Message:
    """Sends the method's request; remembers the id of what it made."""
    method = f"/tollkeeper.v1.{name}"
    request = ParseDict(_filled(REQUESTS[name], ids), GetMessageClass(METHODS[method].input_type)())
    answer_type = GetMessageClass(METHODS[method].output_type)
    call: Any = client.channel.unary_unary(
        method,
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=answer_type.FromString,
    )
    answer: Message = await call(request, timeout=10)
    verb, _, noun = name.partition("/")[2].replace("Provision", "Create").partition("Create")
    if name.endswith("/ReRateUsage"):
        verb, noun = "", "ReRating"
    if not verb:
        made = f"{_snake(noun)}_id"
        for message in (answer, *(value for _, value in answer.ListFields() if isinstance(value, Message))):
            if made in message.DESCRIPTOR.fields_by_name:
                ids[made] = getattr(message, made)
    return answer


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, ids) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, ids) for each in value]
    return ids[value[1:]] if isinstance(value, str) and value.startswith("$") else value


def _snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")
