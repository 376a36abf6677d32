"""ModelsService: what Cloudflare itself offers (B5)."""

from control.cloudflare.errors import not_configured
from control.cloudflare.models import ModelCatalogue
from tollkeeper.v1 import models_pb2, models_pb2_grpc


class ModelsService(models_pb2_grpc.ModelsServiceServicer):
    """Raises TollkeeperError as the contract says. `catalogue` None: no account is configured."""

    def __init__(self, catalogue: ModelCatalogue | None) -> None:
        self._catalogue = catalogue

    async def GetCloudflareModels(
        self, request: models_pb2.GetCloudflareModelsRequest, context: object
    ) -> models_pb2.CloudflareModels:
        """All models, by name."""
        if self._catalogue is None:
            raise not_configured()
        models = sorted(await self._catalogue.list(), key=lambda model: model.name)
        return models_pb2.CloudflareModels(
            models=[
                models_pb2.CloudflareModel(
                    id=model.model_id, name=model.name, description=model.description, task=model.task
                )
                for model in models
            ]
        )
