"""POST /v1/chat/completions, and the same under /v1/ai, where a `provider` in the body chooses among
rules."""

from edge.families.chat import CHAT
from edge.pipeline import Pipeline
from edge.routes import App, add_inference


def add_routes(app: App, pipeline: Pipeline) -> None:
    """Registers both paths."""
    add_inference(app, pipeline, CHAT, "chat/completions")
