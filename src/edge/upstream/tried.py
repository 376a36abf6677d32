"""Which attempts of a request failed, as clients are told."""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from edge.candidates import Candidate
from tollkeeper.errors import Reason, TollkeeperError


class Failed(NamedTuple):
    """An attempt that failed, or wasn't made. `status` 0: there was no answer."""

    candidate: Candidate
    status: int
    why: str

    def told(self) -> dict[str, object]:
        """Nothing about the network, and no credential."""
        name = self.candidate.route.provider_name.decode()
        return {"provider": name, "status": self.status or None, "why": self.why}


def all_failed(failures: Sequence[Failed], late: bool) -> TollkeeperError:
    """ALL_PROVIDERS_FAILED; UPSTREAM_TIMEOUT where the time for the request is over (`late`)."""
    told = [each.told() for each in failures]
    words = "; ".join(f"{each['provider']}: {each['status'] or each['why']}" for each in told)
    metadata = {"attempts": orjson.dumps(told).decode()}
    if late:
        message = f"The time for this request is over, and nobody has answered ({words})."
        return TollkeeperError(Reason.UPSTREAM_TIMEOUT, message, metadata)
    return TollkeeperError(Reason.ALL_PROVIDERS_FAILED, f"All providers failed ({words}).", metadata)
