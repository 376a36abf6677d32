"""The simulator's settings: values only, from the command line or TOLLKEEPER_SIMULATOR_* variables."""

from dataclasses import dataclass, field
from pathlib import Path

from simulator.steering import PLAIN, Steering


@dataclass(frozen=True, slots=True)
class Settings:
    """One simulator. The defaults accept every account, every gateway and every credential."""

    host: str = "127.0.0.1"
    port: int = 8090
    """0 takes any free port; `Simulator.url` tells which."""
    bill: Path | None = None
    """File the bill is appended to, one JSON line a row; without it the bill lives in memory only."""
    account_id: str | None = None
    """The only account accepted; None accepts every id of 32 lower-case hexadecimal digits."""
    gateways: frozenset[str] = frozenset()
    """Gateways that exist beside `default` and those that the management API made; empty accepts every
    well-formed gateway id on the gateway host."""
    require_token: str | None = field(default=None, repr=False)
    """Secret expected in `cf-aig-authorization: Bearer …` on gateway paths; None expects none. The management
    API wants it as `Authorization: Bearer …`, and any credential without it."""
    gateway_quota: int = 20
    """Gateways an account may have, `default` included."""
    gateways_file: Path | None = None
    """Where gateways made by the management API are kept; without it they end with the process."""
    api_requests: int = 1200
    """Management calls in five minutes before it answers 429."""
    steering: Steering = PLAIN
    """Steering of requests that ask for nothing themselves."""
    bill_memory_rows: int = 200_000
    captured_requests: int = 64
    captured_body_bytes: int = 256 * 1024
    body_limit_bytes: int = 128 * 1024 * 1024
    wait_limit_s: float = 600.0
    """Longest a stalled or gated answer is held before its connection is cut."""
    drain_s: float = 2.0
    """How long answers in flight may go on after SIGTERM."""
