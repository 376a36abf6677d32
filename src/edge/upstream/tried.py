"""Which attempts failed, as clients are told."""

import orjson

from edge.routing import Candidate
from tollkeeper.errors import Reason, TollkeeperError


class Tried:
    """Of one request, in order."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures: list[dict[str, object]] = []

    def note(self, candidate: Candidate, status: int, why: str) -> None:
        """One that failed, or wasn't made. `status` 0: there was no answer."""
        name = candidate.route.provider_name.decode()
        self._failures.append({"provider": name, "status": status or None, "why": why})

    def error(self, late: bool) -> TollkeeperError:
        """ALL_PROVIDERS_FAILED; UPSTREAM_TIMEOUT where the time for the request is over (`late`)."""
        told = "; ".join(f"{each['provider']}: {each['status'] or each['why']}" for each in self._failures)
        metadata = {"attempts": orjson.dumps(self._failures).decode()}
        if late:
            message = f"The time for this request is over, and nobody has answered ({told})."
            return TollkeeperError(Reason.UPSTREAM_TIMEOUT, message, metadata)
        return TollkeeperError(Reason.ALL_PROVIDERS_FAILED, f"All providers failed ({told}).", metadata)
