"""Anthropic's paths: POST /v1/messages and /v1/messages/count_tokens, and the same under /v1/ai."""

from edge.families.messages import COUNT_TOKENS, MESSAGES
from edge.pipeline import Pipeline
from edge.routes import App, add_inference


def add_routes(app: App, pipeline: Pipeline) -> None:
    """Registers all four."""
    add_inference(app, pipeline, MESSAGES, "messages")
    add_inference(app, pipeline, COUNT_TOKENS, "messages/count_tokens")
