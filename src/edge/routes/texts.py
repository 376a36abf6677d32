"""POST /v1/completions, /v1/embeddings and /v1/moderations, and the same under /v1/ai."""

from edge.families.completions import COMPLETIONS
from edge.families.embeddings import EMBEDDINGS
from edge.families.moderations import MODERATIONS
from edge.pipeline import Pipeline
from edge.routes import App, add_inference


def add_routes(app: App, pipeline: Pipeline) -> None:
    """Registers all of them."""
    add_inference(app, pipeline, COMPLETIONS, "completions")
    add_inference(app, pipeline, EMBEDDINGS, "embeddings")
    add_inference(app, pipeline, MODERATIONS, "moderations")
