"""Streams over REST: formats, what a break looks like, backpressure, and hang-ups that reach the control
plane."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import orjson
import pytest
from google.protobuf.descriptor import MethodDescriptor

from edge.rest import transcoder
from edge.rest.contract import Binding
from edge.rest.facade import Facade
from tests.control.contract.world import make_world
from tests.control.harness import RunningControl
from tests.edge.rest.conftest import serving, signed_in
from tollkeeper.v1.edge_pb2 import DESCRIPTOR, WatchResponse

# The one stream that a test can steer: nobody offers it over REST, but it is a stream of the contract.
WATCH: MethodDescriptor = DESCRIPTOR.services_by_name["EdgeService"].methods_by_name["Watch"]
LARGE = "x" * 65_536


async def test_an_export_is_text_of_its_format(control: RunningControl, edge_url: str) -> None:
    """CSV unless asked otherwise, JSON lines on demand: the text itself, not messages around it."""
    world = await make_world(control, "acme")
    path = f"/v1/customers/{world.ids['customer']}/usageExport"
    async with signed_in(edge_url, control.cli_secret) as http:
        answer = await http.get(path)
        assert answer.headers["content-type"] == "text/csv"
        [row] = csv.DictReader(io.StringIO(answer.text))
        assert world.ids["usage"] in row.values()
        answer = await http.get(path, params={"format": "EXPORT_FORMAT_JSONL"})
        assert answer.headers["content-type"] == "application/x-ndjson"
        [line] = answer.text.splitlines()
        assert orjson.loads(line)["usage_id"] == world.ids["usage"]
        refused = await http.get("/v1/customers/nobody/usageExport")
        assert (refused.status_code, refused.json()["reason"]) == (404, "NOT_FOUND")


class Source:
    """A control plane whose stream does what a test says."""

    def __init__(self) -> None:
        self.sent = 0
        self.cancelled = asyncio.Event()
        self.breaks_after = -1

    async def watch(self, request: Any, context: Any) -> AsyncIterator[WatchResponse]:
        try:
            while True:
                if self.sent == self.breaks_after:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
                message = WatchResponse()
                message.customer_changed.customer_id = LARGE
                yield message
                self.sent += 1
        finally:
            self.cancelled.set()


@asynccontextmanager
async def streaming(
    control: RunningControl, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, Source]]:
    """The URL of an edge that offers the stream of a source at /v1/watch."""
    source = Source()
    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(
        source.watch, request_deserializer=bytes, response_serializer=WatchResponse.SerializeToString
    )
    methods = {"Watch": handler}
    server.add_registered_method_handlers("tollkeeper.v1.EdgeService", methods)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    binding = Binding(WATCH, "GET", "/v1/watch", "", "", 0)
    monkeypatch.setattr(transcoder, "bindings", lambda: [binding])
    monkeypatch.setattr("edge.rest.pages.bindings", lambda: [binding])
    monkeypatch.setattr("edge.worker.Facade", lambda settings, _: Facade(settings, channel))
    async with serving(control, data_dir) as url:
        yield url, source
    await channel.close()
    await server.stop(0)


async def test_a_stream_that_breaks(
    control: RunningControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last line is the error, and it never looks complete."""
    async with streaming(control, tmp_path / "edge", monkeypatch) as (url, source):
        source.breaks_after = 2
        lines: list[Any] = []

        async def read() -> None:
            async with signed_in(url, None) as http, http.stream("GET", "/v1/watch") as answer:
                assert answer.status_code == 200
                assert answer.headers["content-type"] == "application/x-ndjson"
                async for line in answer.aiter_lines():
                    lines.append(orjson.loads(line))

        with pytest.raises(httpx.RemoteProtocolError):
            await read()
        assert [list(line) for line in lines[:2]] == [["customer_changed"]] * 2
        assert [line["reason"] for line in lines[2:]] in (["UNAVAILABLE"], [])


async def test_a_stream_that_is_refused(
    control: RunningControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its first message a refusal is a plain answer with its status."""
    async with streaming(control, tmp_path / "edge", monkeypatch) as (url, source):
        source.breaks_after = 0
        async with signed_in(url, None) as http:
            answer = await http.get("/v1/watch")
        assert (answer.status_code, answer.json()["reason"]) == (503, "UNAVAILABLE")
        assert answer.headers["retry-after"] == "1"


async def test_a_slow_reader_slows_the_source_and_a_hang_up_ends_it(
    control: RunningControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody reads isn't fetched: a bounded number of messages is under way, whatever the time."""
    async with streaming(control, tmp_path / "edge", monkeypatch) as (url, source):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(b"GET /v1/watch HTTP/1.1\r\nhost: x\r\n\r\n")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(10):
            before = -1
            while before != source.sent:
                before = source.sent
                await asyncio.sleep(0.5)
        # Buffers of sockets and of HTTP/2, and no more: 100 MB would be 1600.
        assert source.sent < 400
        assert not source.cancelled.is_set()
        writer.transport.abort()
        async with asyncio.timeout(20):
            await source.cancelled.wait()
