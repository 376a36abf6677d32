"""System A's paths, bodies, names and statuses (docs/rest.md), in the caller's own customer.

A's *user* is our customer. Money is JSON numbers in US dollars, written from nano-dollars without a float.
"""

from edge.rest.calls import Control
from edge.rest.endpoint import Endpoint
from edge.rest.system_a import keys, logs, models, providers, routers, sessions


def endpoints(control: Control) -> list[Endpoint]:
    """All routes under /api."""
    return [
        each
        for part in (sessions, providers, routers, keys, models, logs)
        for each in part.endpoints(control)
    ]
