"""Lists of what a vendor keeps: the customer's own objects, the newest first, each read where it is.

A vendor's own list would show what every customer of its credential keeps, so it is never asked for.
"""

import asyncio
from time import monotonic

import orjson
from sanic.request import Request

from edge import metrics
from edge.admission import Ledger
from edge.answer import Answer
from edge.call import invalid_field
from edge.errors import JSON
from edge.grants import GrantView
from edge.kept_objects import KeptObject
from edge.kept_proxy import ROUTE, KeptProxy, Place
from edge.pipeline import Pipeline

DEFAULT_LIMIT = 20
# Vendors list up to a hundred; here each one is a request.
MAX_LIMIT = 50
AT_ONCE = 8


class KeptLists:
    """Serves one worker."""

    def __init__(self, ledger: Ledger, pipeline: Pipeline, proxy: KeptProxy) -> None:
        self._ledger = ledger
        self._pipeline = pipeline
        self._proxy = proxy

    async def handle(self, request: Request, place: Place) -> Answer:
        """A page in OpenAI's form. `after` names an object to go on from, `limit` how many, `purpose` keeps
        files with this purpose. Raises like `Pipeline.grant_of`, and INVALID_ARGUMENT."""
        started = monotonic()
        with self._pipeline.admitted():
            grant = await self._pipeline.grant_of(request)
            limit = _limit_of(request)
            after = str(request.args.get("after") or "")
            found = await self._ledger.kept_objects.newest(grant, place.kind, after, limit + 1)
            gate = asyncio.Semaphore(AT_ONCE)
            read = await asyncio.gather(*(self._read(gate, grant, place, kept) for kept in found[:limit]))
            purpose = request.args.get("purpose")
            data = [each for each in read if each is not None and purpose in (None, each.get("purpose"))]
        page = {
            "object": "list",
            "data": data,
            "first_id": data[0].get("id") if data else None,
            "last_id": found[:limit][-1].object_id if found else None,
            "has_more": len(found) > limit,
        }
        metrics.request_ended(ROUTE, "", 200, False, monotonic() - started)
        return Answer(200, JSON, b"", orjson.dumps(page))

    async def _read(
        self, gate: asyncio.Semaphore, grant: GrantView, place: Place, kept: KeptObject
    ) -> dict[str, object] | None:
        async with gate:
            return await self._proxy.read(grant, place, kept)


def _limit_of(request: Request) -> int:
    text = str(request.args.get("limit") or DEFAULT_LIMIT)
    if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
        raise invalid_field("'limit' must be a whole number from 1 on.", "limit", "invalid_value")
    return min(int(text[:9]), MAX_LIMIT)
