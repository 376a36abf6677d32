"""One run of the command: where to ask, as whom, and how to show the answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import grpc

from clients import places
from clients.blocking import open_channel
from clients.calls import Policy
from clients.cli.failures import UsageProblem
from clients.signin import SignIn

Item = TypeVar("Item")

PAGE_SIZE = 500


@dataclass(slots=True)
class Session:
    """The options that every command takes; the connection is opened when it is first needed."""

    json: bool = False
    control: str | None = None
    data_dir: Path | None = None
    # Known with the connection.
    control_address: str = ""
    _channel: grpc.Channel | None = field(default=None, repr=False)

    def channel(self, authenticated: bool = True, sign_in: SignIn | None = None) -> grpc.Channel:
        """The connection to the control plane, for any stub; with a sign-in, to where that is. Raises
        UsageProblem, and UNAUTHENTICATED without credential."""
        if self._channel is None:
            try:
                control = sign_in.control if sign_in is not None else self.control
                place = places.find(control, self.data_dir, authenticated and sign_in is None)
                credential = sign_in.secret if sign_in is not None else place.credential
                self._channel = open_channel(place.addresses, Policy(credential), place.tls)
            except ValueError as error:
                raise UsageProblem(str(error)) from None
            self.control_address = ",".join(place.addresses)
        return self._channel

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            self._channel.close()


def collect(page: Callable[[int, str], tuple[Iterable[Item], str]], limit: int | None) -> list[Item]:
    """All items over all pages, or the first `limit`. `page` gets a page size and a page token."""
    items: list[Item] = []
    page_token = ""
    while limit is None or len(items) < limit:
        page_size = PAGE_SIZE if limit is None else min(PAGE_SIZE, limit - len(items))
        found, page_token = page(page_size, page_token)
        items.extend(found)
        if not page_token:
            break
    return items if limit is None else items[:limit]
