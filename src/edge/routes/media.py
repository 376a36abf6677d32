"""POST /v1/images/… and /v1/audio/…, and the same under /v1/ai."""

from edge.families.images import IMAGE_EDITS, IMAGE_VARIATIONS, IMAGES
from edge.families.speech import SPEECH
from edge.families.transcriptions import TRANSCRIPTIONS, TRANSLATIONS
from edge.pipeline import Pipeline
from edge.routes import App, add_inference


def add_routes(app: App, pipeline: Pipeline) -> None:
    """Registers all of them."""
    add_inference(app, pipeline, IMAGES, "images/generations")
    add_inference(app, pipeline, IMAGE_EDITS, "images/edits")
    add_inference(app, pipeline, IMAGE_VARIATIONS, "images/variations")
    add_inference(app, pipeline, SPEECH, "audio/speech")
    add_inference(app, pipeline, TRANSCRIPTIONS, "audio/transcriptions")
    add_inference(app, pipeline, TRANSLATIONS, "audio/translations")
