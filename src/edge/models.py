"""The models a key may ask for: those with a price, admitted by the key's list and by some rule."""

from functools import lru_cache

from sanic.request import Request

from edge.admission import Ledger
from edge.grants import GrantView
from edge.pipeline import Pipeline
from edge.planning import Planner
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.provider_types import find_type

# OpenAI's list has a creation time for each model; we don't know it, and clients only want a number.
_CREATED = 1_700_000_000


class Models:
    """Answers for one worker."""

    def __init__(self, ledger: Ledger, pipeline: Pipeline, planner: Planner) -> None:
        self._ledger = ledger
        self._pipeline = pipeline
        self._planner = planner

    async def listed(self, request: Request) -> list[dict[str, object]]:
        """OpenAI's model objects, by name; with `?provider=` those of one provider type. Raises like
        `Pipeline.grant_of`."""
        grant = await self._pipeline.grant_of(request)
        wanted = request.args.get("provider")
        return [
            _model(name, owner)
            for name, owner in sorted(self._names(grant).items())
            if wanted is None or owner == wanted
        ]

    async def one(self, request: Request, name: str) -> dict[str, object]:
        """One model object. Raises NOT_FOUND for what the key may not ask for, as for what doesn't exist."""
        grant = await self._pipeline.grant_of(request)
        owner = self._names(grant).get(name)
        if owner is None:
            message = f"The model {name!r} does not exist or you do not have access to it."
            metadata = {"param": "model", "code": "model_not_found"}
            raise TollkeeperError(Reason.NOT_FOUND, message, metadata)
        return _model(name, owner)

    def names(self, grant: GrantView) -> list[str]:
        """All of a key's, by name."""
        return sorted(self._names(grant))

    def _names(self, grant: GrantView) -> dict[str, str]:
        """Model → provider type, of the first rule that takes it."""
        return self._planner.table(grant).offered(self._ledger.prices.models(), grant.own_prices)


def _model(name: str, owner: str) -> dict[str, object]:
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": owner,
        "operations": _operations(owner),
    }


@lru_cache(maxsize=64)
def _operations(provider_type: str) -> list[str]:
    """What the provider of a model serves; which of it the model is for, the vendor knows."""
    known = find_type(provider_type)
    return sorted(known.operations) if known is not None else []
