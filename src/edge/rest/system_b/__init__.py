"""System B's paths, bodies, names and statuses (docs/rest.md). Money is decimal strings."""

from edge.rest.calls import Control
from edge.rest.endpoint import Endpoint
from edge.rest.system_b import keys, models, registration, traces


def endpoints(control: Control) -> list[Endpoint]:
    """All routes of system B that aren't inference."""
    parts = (registration, keys, models)
    return [*(each for part in parts for each in part.endpoints(control)), *traces.endpoints()]
