"""A14: the customer's own prices, and the global ones to read. Per million tokens, in US dollars."""

from typing import Any

from edge.answer import Answer
from edge.rest.calls import Control
from edge.rest.endpoint import (
    DONE,
    MADE,
    NUMBER,
    STRING,
    TEXT,
    USD_NUMBER,
    Endpoint,
    collect,
    list_of,
    object_of,
    read_fields,
    required,
)
from edge.rest.exchange import Exchange
from edge.rest.system_a.shapes import own_customer, usd_number
from tollkeeper.errors import Reason, TollkeeperError, invalid, not_found
from tollkeeper.v1.prices_pb2 import (
    CreatePriceRequest,
    DeletePriceRequest,
    GetPriceRequest,
    ListPricesRequest,
    Price,
    Rates,
)

_PATH = "/api/user-models"
_INPUT, _OUTPUT = "input_cost_per_mil_tokens", "output_cost_per_mil_tokens"
_COSTS = {_INPUT: NUMBER, _OUTPUT: NUMBER}
_OWN = object_of(id=STRING, user_id=STRING, provider_id=STRING, model_name=STRING, **_COSTS)
_GLOBAL = object_of(id=STRING, model_name=STRING, provider=STRING, **_COSTS)
_NEW = {
    "provider_id": required(TEXT),
    "model_name": required(TEXT),
    # A price left out isn't free: it is refused.
    _INPUT: required(USD_NUMBER),
    _OUTPUT: required(USD_NUMBER),
}


def endpoints(control: Control) -> list[Endpoint]:
    """/api/user-models."""
    service = control.prices

    async def listing(exchange: Exchange) -> Answer:
        customer_id = await own_customer(control, exchange.caller)
        request = ListPricesRequest(customer_id=customer_id)
        found = await collect(exchange.caller, service.ListPrices, request, "prices")
        return exchange.plain({"models": [_own(each) for each in found]})

    async def listing_global(exchange: Exchange) -> Answer:
        found = await collect(exchange.caller, service.ListPrices, ListPricesRequest(), "prices")
        found.sort(key=lambda price: (price.provider_type, price.model))
        return exchange.plain({"models": [_global(each) for each in found]})

    async def create(exchange: Exchange) -> Answer:
        sent = read_fields(exchange, _NEW)
        price = Price(
            provider_id=sent["provider_id"],
            model=sent["model_name"],
            rates=Rates(input=sent[_INPUT], output=sent[_OUTPUT]),
        )
        try:
            made = await exchange.caller.call(service.CreatePrice, CreatePriceRequest(price=price))
        except TollkeeperError as error:
            if error.reason == Reason.ALREADY_EXISTS:
                raise invalid("This model was added already.", field="model_name") from None
            raise
        return exchange.plain({"id": made.price_id, "message": "Model added"}, 201)

    async def delete(exchange: Exchange) -> Answer:
        price_id = exchange.variables["id"]
        customer_id = await own_customer(control, exchange.caller)
        price = await exchange.caller.call(service.GetPrice, GetPriceRequest(price_id=price_id))
        if price.customer_id != customer_id:
            # A global one, which an operator could end: not by this route.
            raise not_found("price", price_id)
        await exchange.caller.call(service.DeletePrice, DeletePriceRequest(price_id=price_id))
        return exchange.plain({"message": "Model deleted"})

    own, shared = object_of(models=list_of(_OWN)), object_of(models=list_of(_GLOBAL))
    return [
        Endpoint("GET", _PATH, listing, "The customer's own prices", own),
        Endpoint("GET", f"{_PATH}/global", listing_global, "Global prices, by provider and model", shared),
        Endpoint("POST", _PATH, create, "Add an own price", MADE, 201, _NEW),
        Endpoint("DELETE", f"{_PATH}/{{id}}", delete, "End an own price", DONE),
    ]


def _costs(price: Price) -> dict[str, Any]:
    return {_INPUT: usd_number(price.rates.input), _OUTPUT: usd_number(price.rates.output)}


def _own(price: Price) -> dict[str, Any]:
    return {
        "id": price.price_id,
        "user_id": price.customer_id,
        "provider_id": price.provider_id,
        "model_name": price.model,
        **_costs(price),
    }


def _global(price: Price) -> dict[str, Any]:
    return {
        "id": price.price_id,
        "model_name": price.model,
        "provider": price.provider_type,
        **_costs(price),
    }
