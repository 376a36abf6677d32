"""B1: registering a customer."""

from edge.answer import Answer
from edge.rest.calls import Control
from edge.rest.endpoint import (
    STRING,
    TEXT,
    TIME,
    Endpoint,
    object_of,
    or_null,
    read_fields,
    required,
)
from edge.rest.exchange import Exchange
from tollkeeper.v1.customers_pb2 import RegisterCustomerRequest

_FIELDS = {"email": required(TEXT), "name": required(TEXT)}
_CUSTOMER = object_of(
    id=STRING,
    email=STRING,
    name=STRING,
    slug=STRING,
    plan=STRING,
    cf_gateway_id=or_null(STRING),
    created_at=TIME,
)


def endpoints(control: Control) -> list[Endpoint]:
    """POST /v1/customers/register."""

    async def register(exchange: Exchange) -> Answer:
        sent = read_fields(exchange, _FIELDS)
        request = RegisterCustomerRequest(email=sent["email"], name=sent["name"])
        made = await exchange.caller.call(control.customers.RegisterCustomer, request)
        customer = {
            "id": made.customer_id,
            "email": made.email,
            "name": made.name,
            "slug": made.slug,
            "plan": made.plan,
            "cf_gateway_id": made.cf_gateway_id or None,
            "created_at": made.create_time.ToJsonString(),
        }
        return exchange.plain(customer, 201)

    return [
        Endpoint(
            "POST",
            "/v1/customers/register",
            register,
            "Register a customer: operators, or anyone where that is open",
            _CUSTOMER,
            201,
            _FIELDS,
        )
    ]
