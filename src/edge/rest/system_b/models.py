"""GET /v1/ai/models (B5) of somebody signed in: Cloudflare's models. With a virtual key the path is
inference's."""

from edge.answer import Answer
from edge.rest.calls import Control
from edge.rest.endpoint import STRING, Endpoint, list_of, object_of
from edge.rest.exchange import Exchange
from tollkeeper.v1.models_pb2 import GetCloudflareModelsRequest

PATH = "/v1/ai/models"
_MODEL = object_of(id=STRING, name=STRING, description=STRING, task=STRING)


def endpoints(control: Control) -> list[Endpoint]:
    """GET /v1/ai/models."""

    async def listing(exchange: Exchange) -> Answer:
        listed = await exchange.caller.call(control.models.GetCloudflareModels, GetCloudflareModelsRequest())
        models = [
            {"id": each.id, "name": each.name, "description": each.description, "task": each.task}
            for each in listed.models
        ]
        return exchange.plain({"models": models})

    shape = object_of(models=list_of(_MODEL))
    return [Endpoint("GET", PATH, listing, "Cloudflare's models", shape)]
