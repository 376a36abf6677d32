"""Whether a part serves, asked from outside as its clients would."""

import asyncio
import os
from typing import Any

HTTP_TIMEOUT_S = 2.0
GRPC_TIMEOUT_S = 2.0
_SERVING = b"\x08\x01"
_STATUS_LINE_BYTES = 1024


async def http_ok(host_and_port: str, path: str) -> bool:
    """Whether a GET is answered with 200."""
    host, _, port = host_and_port.rpartition(":")
    try:
        async with asyncio.timeout(HTTP_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                request = f"GET {path} HTTP/1.1\r\nhost: {host_and_port}\r\nconnection: close\r\n\r\n"
                writer.write(request.encode())
                status = (await reader.read(_STATUS_LINE_BYTES)).split(b" ", 2)
            finally:
                writer.close()
    except OSError:
        # TimeoutError is one of them.
        return False
    return len(status) > 1 and status[1] == b"200"


async def accepts(host_and_port: str) -> bool:
    """Whether connections are accepted: all that can be asked of a port that speaks TLS."""
    host, _, port = host_and_port.rpartition(":")
    try:
        async with asyncio.timeout(HTTP_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError:
        return False
    writer.close()
    return True


async def grpc_serving(address: str) -> bool:
    """Whether grpc.health.v1 says that the server as a whole is serving."""
    if not await accepts(address):
        # Spares a channel that would wait out its own backoff.
        return False
    # Our children exec at once: what gRPC does around a fork would only get in the way.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    import grpc

    channel = grpc.aio.insecure_channel(address)
    try:
        # An empty request asks for the whole server; without serializers the call takes and gives bytes.
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        return bool(await check(b"", timeout=GRPC_TIMEOUT_S) == _SERVING)
    except grpc.RpcError:
        return False
    finally:
        await channel.close()
