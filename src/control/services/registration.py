"""Who may register a customer: operators, and anybody where the operator opened registration."""

import time
from collections.abc import Callable

from control.caller import caller
from control.domain.identity import CallerKind
from control.domain.registrations import Registrations
from control.interceptors.concern import Context
from control.metrics import Metrics
from control.services.client_address import client_address
from tollkeeper.errors import Reason, TollkeeperError


class Admission:
    """Decides about each call of RegisterCustomer, and counts."""

    def __init__(
        self,
        open_to_all: bool,
        per_hour: int,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_to_all
        self._registrations = Registrations(per_hour)
        self._outcomes = metrics.registrations
        self._clock = clock

    def admit(self, context: Context) -> None:
        """Raises UNAUTHENTICATED or PERMISSION_DENIED where registration isn't open, RATE_LIMIT_EXCEEDED
        where it is and too many came. Operators are never refused. Who makes addresses up still meets the
        limit of all."""
        identity = caller()
        if identity.operator:
            return
        if not self._open:
            self._outcomes.labels("refused").inc()
            anonymous = identity.kind is CallerKind.ANONYMOUS
            raise TollkeeperError(
                Reason.UNAUTHENTICATED if anonymous else Reason.PERMISSION_DENIED,
                "Only operators register customers here.",
            )
        address = client_address(context)
        wait_s = self._registrations.wait_s(address, self._clock())
        if wait_s > 0:
            self._outcomes.labels("throttled").inc()
            raise TollkeeperError(
                Reason.RATE_LIMIT_EXCEEDED, "Too many registrations; try again later.", retry_after_s=wait_s
            )
        self._registrations.registered(address, self._clock())

    def registered(self) -> None:
        """One came through."""
        self._outcomes.labels("ok").inc()
