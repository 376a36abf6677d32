"""How often anybody may register where registration is open: so many an hour, and fewer from one address."""

from collections import OrderedDict

HOUR_S = 3600.0
PER_ADDRESS = 5
MAX_ADDRESSES = 10_000


class Registrations:
    """Counts of one replica. An hour begins with its first registration; of more than 10,000 addresses the
    one that registered longest ago is forgotten."""

    def __init__(self, per_hour: int) -> None:
        self._per_hour = per_hour
        # What is counted → (when its hour began, how many since).
        self._all: tuple[float, int] = (float("-inf"), 0)
        self._addresses: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """How long to wait before the address may register; 0: it may."""
        of_address = self._addresses.get(address, (now_s, 0))
        return max(_wait_s(self._all, self._per_hour, now_s), _wait_s(of_address, PER_ADDRESS, now_s))

    def registered(self, address: str, now_s: float) -> None:
        """Counts one."""
        self._all = _one_more(self._all, now_s)
        self._addresses[address] = _one_more(self._addresses.pop(address, (now_s, 0)), now_s)
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)


def _wait_s(counted: tuple[float, int], limit: int, now_s: float) -> float:
    began_s, count = counted
    return max(0.0, began_s + HOUR_S - now_s) if count >= limit else 0.0


def _one_more(counted: tuple[float, int], now_s: float) -> tuple[float, int]:
    began_s, count = counted
    return (began_s, count + 1) if now_s - began_s < HOUR_S else (now_s, 1)
