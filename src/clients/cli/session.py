"""One run of the command: where to ask, as whom, and how to show the answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import grpc

from clients.cli import places
from clients.cli.channel import open_channel

Item = TypeVar("Item")

PAGE_SIZE = 500


@dataclass(slots=True)
class Session:
    """The options that every command takes; the connection is opened when it is first needed."""

    json: bool = False
    control: str | None = None
    data_dir: Path | None = None
    _channel: grpc.Channel | None = field(default=None, repr=False)

    def channel(self, authenticated: bool = True) -> grpc.Channel:
        """The connection to the control plane, for any stub. Raises UNAUTHENTICATED without credential."""
        if self._channel is None:
            directory = places.data_dir(self.data_dir)
            secret = places.credential(directory) if authenticated else None
            address = places.control_address(self.control, directory)
            self._channel = open_channel(address, secret, places.authority())
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
