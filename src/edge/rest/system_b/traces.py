"""POST /v1/traces (B7): not built yet, and says so in the way that exporters understand."""

from edge.answer import Answer
from edge.rest.endpoint import Endpoint, object_of
from edge.rest.exchange import Exchange
from tollkeeper.errors import Reason, TollkeeperError


def endpoints() -> list[Endpoint]:
    """Always 503: nothing can be configured to take traces in."""

    async def refuse(exchange: Exchange) -> Answer:
        raise TollkeeperError(Reason.UNAVAILABLE, "Trace ingest is not configured.")

    return [Endpoint("POST", "/v1/traces", refuse, "OTLP traces: not configured", object_of())]
