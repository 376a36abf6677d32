"""POST /v1/files and /v1/batches, and those that a vendor keeps: listed, read, cancelled, deleted. The same
under /v1/ai."""

from functools import partial
from typing import Any

from sanic.request import Request

from edge.answer import Answer
from edge.families.batches import BATCHES
from edge.families.files import FILES
from edge.formats import Reading
from edge.formats.batches_openai import KIND as BATCH
from edge.formats.batches_openai import read_batch
from edge.formats.files_openai import KIND as FILE
from edge.kept_lists import KeptLists
from edge.kept_proxy import Fetch, KeptProxy, Place
from edge.pipeline import Pipeline
from edge.routes import App, add_inference
from tollkeeper.operations import Operation


async def _read_file(file: dict[str, Any], fetch: Fetch) -> Reading:
    return Reading()


_FILES = Place(FILE, Operation.FILES, _read_file)
BATCH_PLACE = Place(BATCH, Operation.BATCHES, read_batch)
# Place, method, and what follows the id.
_PATHS = (
    (_FILES, "GET", ""),
    (_FILES, "DELETE", ""),
    (_FILES, "GET", "/content"),
    (BATCH_PLACE, "GET", ""),
    (BATCH_PLACE, "POST", "/cancel"),
)


def add_routes(app: App, pipeline: Pipeline, proxy: KeptProxy, lists: KeptLists) -> None:
    """Registers all of them."""
    add_inference(app, pipeline, FILES, "files")
    add_inference(app, pipeline, BATCHES, "batches")
    for root, suffix in (("/v1", ""), ("/v1/ai", "_ai")):
        for place in (_FILES, BATCH_PLACE):
            name = f"{place.kind}_list{suffix}"
            app.add_route(
                partial(_list, lists, place), f"{root}/{place.operation}", methods=["GET"], name=name
            )
        for place, method, rest in _PATHS:
            name = f"{place.kind}_{method.lower()}{rest.replace('/', '_')}{suffix}"
            path = f"{root}/{place.operation}/<object_id:str>{rest}"
            app.add_route(partial(_pass, proxy, place, rest), path, methods=[method], name=name)


async def _list(lists: KeptLists, place: Place, request: Request) -> Answer:
    return await lists.handle(request, place)


async def _pass(proxy: KeptProxy, place: Place, rest: str, request: Request, object_id: str) -> Answer | None:
    return await proxy.handle(request, place, object_id, rest)
