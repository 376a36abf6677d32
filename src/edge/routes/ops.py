"""What operators and load balancers ask: is it there, is it ready, what did it count."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import orjson
from sanic.request import Request

from edge import metrics
from edge.answer import Answer
from edge.errors import JSON
from edge.health import breakers_of
from edge.rest.cors import Cors
from edge.routes import App

HOME_METHODS = ("GET", "HEAD", "OPTIONS")


def add_routes(
    app: App, unready: Callable[[], str | None], data_dir: Path, with_metrics: bool, cors: Cors
) -> None:
    """`unready` says in a few words why requests can't be admitted, None when they can. `with_metrics` is off
    where metrics have an address of their own, for edges that strangers can reach."""

    async def home(request: Request) -> Answer:
        if request.method == "OPTIONS":
            return Answer(204, JSON, cors.preflight_lines(request, HOME_METHODS), b"")
        answer = _json({"message": "Tollkeeper AI gateway", "version": _version(), "status": "healthy"})
        answer.lines = cors.lines(request)
        return answer

    async def alive(_: Request) -> Answer:
        return _json({"status": "ok"})

    async def ready(_: Request) -> Answer:
        why = unready()
        return _json({"status": "ready"}) if why is None else _json({"status": "unready", "why": why}, 503)

    async def scrape(_: Request) -> Answer:
        return Answer(200, metrics.CONTENT_TYPE.encode(), b"", metrics.exposition())

    async def status(_: Request) -> Answer:
        return Answer(200, JSON, b"", orjson.dumps({"breakers": breakers_of(data_dir)}))

    app.add_route(home, "/", methods=HOME_METHODS, name="home")
    app.add_route(alive, "/healthz", methods=["GET"], name="healthz")
    app.add_route(ready, "/readyz", methods=["GET"], name="readyz")
    if with_metrics:
        app.add_route(scrape, "/metrics", methods=["GET"], name="metrics")
        app.add_route(status, "/statusz", methods=["GET"], name="statusz")


def _json(body: dict[str, str], status: int = 200) -> Answer:
    return Answer(status, JSON, b"", orjson.dumps(body))


def _version() -> str:
    try:
        return version("tollkeeper")
    except PackageNotFoundError:  # run from a checkout that isn't installed
        return "0"
