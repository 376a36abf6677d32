"""A stand-in, over real HTTP, for Cloudflare's AI Gateway host with OpenAI chat behind it.

It imports nothing of the product and keeps its own bill in tokens, so that what it says about a run is
independent evidence. `docs/simulator.md` is its reference.
"""

from simulator.server import Simulator, run
from simulator.settings import Settings

__all__ = ["Settings", "Simulator", "run"]
