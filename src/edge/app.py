"""The Sanic application of one worker: routes, limits, and errors in the shape each path's clients expect."""

import structlog
from sanic import Sanic
from sanic.exceptions import MethodNotAllowed, NotFound, RequestCancelled, SanicException
from sanic.handlers import ErrorHandler
from sanic.request import Request

from edge.admission import Ledger
from edge.answer import Answer, error_answer, header_lines
from edge.client_connection import ClientLimits
from edge.client_framing import EdgeRequest
from edge.config import EdgeSettings
from edge.errors import render_plain
from edge.follower import Follower
from edge.inference import dialect_of, is_inference, is_unserved
from edge.kept_lists import KeptLists
from edge.kept_proxy import KeptProxy
from edge.models import Models
from edge.own_key import OwnKey
from edge.pipeline import Pipeline
from edge.planning import Planner
from edge.rest.cors import Cors
from edge.rest.facade import Facade
from edge.routes import App, ops
from edge.routes import chat as chat_routes
from edge.routes import content as content_routes
from edge.routes import files as file_routes
from edge.routes import key as key_routes
from edge.routes import media as media_routes
from edge.routes import messages as messages_routes
from edge.routes import models as model_routes
from edge.routes import passthrough as passthrough_routes
from edge.routes import responses as response_routes
from edge.routes import rest as rest_routes
from edge.routes import texts as text_routes
from tollkeeper.errors import Reason, TollkeeperError

log = structlog.get_logger()

HEADER_BYTES = 16_384

_REASONS = {
    400: Reason.INVALID_ARGUMENT,
    404: Reason.NOT_FOUND,
    405: Reason.METHOD_NOT_ALLOWED,
    408: Reason.DEADLINE_EXCEEDED,
    413: Reason.REQUEST_TOO_LARGE,
    414: Reason.REQUEST_TOO_LARGE,
    417: Reason.INVALID_ARGUMENT,
    503: Reason.UNAVAILABLE,
}


def create_app(
    settings: EdgeSettings,
    ledger: Ledger,
    planner: Planner,
    pipeline: Pipeline,
    facade: Facade | None = None,
) -> App:
    """Doesn't start anything. What it is given belongs to the caller; without a facade nothing
    but inference and operations is there."""
    app: App = Sanic(
        "tollkeeper-edge", error_handler=EdgeErrors(), request_class=EdgeRequest, configure_logging=False
    )
    app.ctx.client_limits = ClientLimits(
        settings.client_head_timeout_s,
        settings.client_body_timeout_s,
        settings.client_read_timeout_s,
        settings.client_keep_alive_s,
        settings.max_connections,
    )
    app.config.ACCESS_LOG = False
    app.config.AUTO_EXTEND = False
    app.config.REQUEST_MAX_SIZE = settings.max_body_bytes
    app.config.REQUEST_MAX_HEADER_SIZE = HEADER_BYTES
    # Our own limits are below this; it ends what they don't see.
    app.config.RESPONSE_TIMEOUT = int(settings.total_timeout_s) + 60
    chat_routes.add_routes(app, pipeline)
    text_routes.add_routes(app, pipeline)
    media_routes.add_routes(app, pipeline)
    proxy = KeptProxy(ledger, planner, pipeline)
    places = response_routes.PLACE, file_routes.BATCH_PLACE
    app.ctx.follower = Follower(ledger, proxy, places, settings.follow_interval_s)
    pipeline.on_kept = app.ctx.follower.follow
    response_routes.add_routes(app, pipeline, proxy)
    file_routes.add_routes(app, pipeline, proxy, KeptLists(ledger, pipeline, proxy))
    messages_routes.add_routes(app, pipeline)
    passthrough_routes.add_routes(app, pipeline)
    models = Models(ledger, pipeline, planner)
    model_routes.add_routes(app, models, facade)
    key_routes.add_routes(app, OwnKey(ledger, pipeline, models))
    content_routes.add_routes(app, pipeline)
    with_metrics = settings.metrics_address is None
    ops.add_routes(app, ledger.ready, settings.data_dir, with_metrics, Cors(settings.cors_origins))
    if facade is not None:
        rest_routes.add_routes(app, facade)
    return app


class EdgeErrors(ErrorHandler):
    """What Sanic raises by itself, and whatever nobody expected."""

    def default(self, request: Request, exception: Exception) -> Answer:
        """The clients' dialect for inference, the plain envelope elsewhere. The unexpected is logged and told
        nobody."""
        error = _as_ours(request, exception)
        path = request.path
        rendered = dialect_of(path).render(error) if is_inference(path) else render_plain(error)
        answer = error_answer(rendered)
        if isinstance(exception, MethodNotAllowed):
            allowed = ", ".join(sorted(exception.headers.get("Allow", "").split(", ")))
            answer.lines += header_lines(((b"allow", allowed.encode()),))
        return answer


def _as_ours(request: Request, exception: Exception) -> TollkeeperError:
    if isinstance(exception, TollkeeperError):
        return exception
    if isinstance(exception, NotFound) and is_unserved(request.path):
        message = f"{request.path} is not served by this gateway; /v1/chat/completions is."
        return TollkeeperError(Reason.ENDPOINT_NOT_SUPPORTED, message)
    if isinstance(exception, SanicException) and exception.status_code in _REASONS:
        reason = _REASONS[exception.status_code]
        return TollkeeperError(reason, _words(request, reason, exception))
    if not isinstance(exception, RequestCancelled):
        log.error("unexpected", method=request.method, path=request.path, exc_info=exception)
    return TollkeeperError(Reason.INTERNAL, "")


def _words(request: Request, reason: Reason, exception: SanicException) -> str:
    if reason == Reason.NOT_FOUND:
        return f"Unknown request URL: {request.method} {request.path}."
    if reason == Reason.METHOD_NOT_ALLOWED:
        return f"Not allowed to {request.method} on {request.path}."
    if reason == Reason.REQUEST_TOO_LARGE:
        return (
            f"The request is larger than the {request.app.config.REQUEST_MAX_SIZE} bytes this gateway takes."
        )
    return str(exception)
