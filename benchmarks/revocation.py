"""How soon a revoked key is refused by every worker of the edge.

    python -m benchmarks.revocation

Each of many keys is used at every worker, then revoked; from the moment of the call all workers are asked
with it, again and again, until each has said 401. Time is counted to the last of these answers. Exits with 1
when any revocation took a second or more.
"""

import argparse
import asyncio
import statistics
import sys
import time

import psutil

from benchmarks import stack
from benchmarks.families import chat_body
from benchmarks.load import Connection, Target
from benchmarks.stack import Admin, Stack

WORKERS = 4
MOST_MS = 1000.0
LIMIT_S = 180
GIVE_UP_S = 15.0
POLL_S = 0.002
MAX_CONNECTIONS = 256
UNAUTHORIZED = 401


async def connections(running: Stack) -> list[Connection]:
    """One to each worker: which worker has accepted a connection is told by the peers of its sockets."""
    workers = stack.edge_workers(running)
    by_port: dict[int, Connection] = {}
    chosen: dict[int, Connection] = {}
    address = Target(running.chat_url, "", "").address
    while len(chosen) < len(workers) and len(by_port) < MAX_CONNECTIONS:
        opened = await Connection.open(address)
        by_port[opened.local_port] = opened
        await opened.ask(f"GET /healthz HTTP/1.1\r\nhost: {address[0]}\r\n\r\n".encode())
        for pid in workers:
            for socket in psutil.Process(pid).net_connections("tcp"):
                # A listening socket has no peer.
                port = socket.raddr.port if socket.status == psutil.CONN_ESTABLISHED else 0
                if port in by_port:
                    chosen.setdefault(pid, by_port[port])
    if len(chosen) < len(workers):
        raise SystemExit(
            f"only {len(chosen)} of {len(workers)} workers took one of {len(by_port)} connections"
        )
    for connection in by_port.values():
        if connection not in chosen.values():
            connection.close()
    return list(chosen.values())


async def refused_at(connection: Connection, request: bytes) -> float:
    """Asks until the answer is 401; returns when it came. Raises TimeoutError, or SystemExit."""
    async with asyncio.timeout(GIVE_UP_S):
        while (status := await connection.ask(request)) != UNAUTHORIZED:
            if status != 200:
                raise SystemExit(f"a revoked key was answered with {status}")
            await asyncio.sleep(POLL_S)
        return time.perf_counter()


async def revoke_one(admin: Admin, running: Stack, workers: list[Connection], number: int) -> float:
    """Milliseconds from the call to the last worker's refusal."""
    key_id, secret = await asyncio.to_thread(admin.create_key, f"revoked-{number}")
    request = Target(running.chat_url, secret, chat_body()).request()
    for connection in workers:
        if (status := await connection.ask(request)) != 200:
            raise SystemExit(f"a fresh key was answered with {status}: {bytes(connection.body)!r}")
    started = time.perf_counter()
    asking = [asyncio.create_task(refused_at(connection, request)) for connection in workers]
    await asyncio.to_thread(admin.revoke_key, key_id)
    last = max(await asyncio.gather(*asking))
    for connection in workers:
        if (status := await connection.ask(request)) != UNAUTHORIZED:
            raise SystemExit(f"a refused key was answered with {status}")
    return (last - started) * 1e3


async def measure(running: Stack, count: int) -> list[float]:
    """Milliseconds of each revocation."""
    workers = await connections(running)
    with Admin(running) as admin:
        return [await revoke_one(admin, running, workers, number) for number in range(count)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=300, help="of revocations")
    count = parser.parse_args().count
    with stack.limited(LIMIT_S), stack.running(workers=WORKERS) as running:
        took_ms = sorted(asyncio.run(measure(running, count)))
    p50_ms, p99_ms, max_ms = statistics.median(took_ms), took_ms[int(count * 0.99)], took_ms[-1]
    print(f"REVOCATION n={count} p50_ms={p50_ms:.1f} p99_ms={p99_ms:.1f} max_ms={max_ms:.1f}", flush=True)
    return 1 if max_ms >= MOST_MS else 0


if __name__ == "__main__":
    sys.exit(main())
