"""The bill, the captured requests, gates and reset, over HTTP; and the bill's file over restarts."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator import Settings, Simulator
from simulator.bill import INDEX_STRIDE, Bill, Usage

DIRECT = "/v1/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


def fill(bill: Bill, rows: int) -> None:
    for number in range(rows):
        bill.add(f"e{number}", "openai", "m", Usage(3, 2), status=200, finish="complete", stream=False)


def seqs(page: bytes) -> list[int]:
    return [json.loads(line)["seq"] for line in page.splitlines()]


async def test_bill_pages_and_summary(client: httpx.AsyncClient) -> None:
    """Pages follow one another by seq; the summary adds up tokens by provider and model."""
    for _ in range(5):
        await client.post(DIRECT, json=BODY)
    assert seqs((await client.get("/_sim/bill", params={"limit": 2})).content) == [1, 2]
    assert seqs((await client.get("/_sim/bill", params={"after": 2})).content) == [3, 4, 5]
    assert (await client.get("/_sim/bill", params={"after": 5})).content == b""
    assert (await client.get("/_sim/bill", params={"after": "x"})).status_code == 400
    summary: dict[str, Any] = (await client.get("/_sim/bill/summary")).json()
    assert (summary["rows"], summary["by_finish"]) == (5, {"complete": 5})
    totals = summary["by_model"]["direct/gpt-4o-mini"]
    assert (totals["rows"], totals["prompt_tokens"], totals["completion_tokens"]) == (5, 5 * 4, 5 * 16)


async def test_last_requests_keep_credentials(client: httpx.AsyncClient) -> None:
    """Tests can see which headers and body reached the vendor, the newest last."""
    for secret in ("one", "two"):
        await client.post(DIRECT, json=BODY, headers={"authorization": f"Bearer {secret}"})
    first, second = (await client.get("/_sim/requests/last", params={"n": 2})).json()
    assert ["authorization", "Bearer one"] in first["headers"]
    assert ["authorization", "Bearer two"] in second["headers"]
    assert (second["method"], second["target"], json.loads(second["body"])) == ("POST", DIRECT, BODY)
    assert len((await client.get("/_sim/requests/last")).json()) == 1


async def test_captures_are_bounded() -> None:
    """Only the last requests are kept, and of a large body only its beginning."""
    settings = Settings(port=0, captured_requests=2, captured_body_bytes=10)
    async with Simulator(settings) as simulator, httpx.AsyncClient(base_url=simulator.url) as client:
        for _ in range(3):
            await client.post(DIRECT, json=BODY)
        kept = (await client.get("/_sim/requests/last", params={"n": 9})).json()
        assert [len(capture["body"]) for capture in kept] == [10, 10]
        assert kept[0]["body_bytes"] > 10


async def test_reset(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """A reset forgets rows, gates and captures; numbering starts again."""
    await client.post(DIRECT, json=BODY)
    await client.post("/_sim/gates/one/open")
    await client.post("/_sim/reset")
    assert (await client.get("/_sim/gates")).json() == {}
    assert (await client.get("/_sim/requests/last")).json() == []
    assert simulator.settings.bill is not None
    assert simulator.settings.bill.read_bytes() == b""
    await client.post(DIRECT, json=BODY)
    assert [row["seq"] for row in simulator.bill.rows()] == [1]


async def test_health_and_unknown_endpoints(client: httpx.AsyncClient) -> None:
    """The health check answers; an unknown checker endpoint is a 404."""
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/_sim/nothing")).status_code == 404


async def test_body_limit() -> None:
    """A body over the limit is refused with 413."""
    settings = Settings(port=0, body_limit_bytes=1000)
    async with Simulator(settings) as simulator, httpx.AsyncClient(base_url=simulator.url) as client:
        assert (await client.post(DIRECT, content=b"x" * 1001)).status_code == 413


def test_old_pages_come_from_the_file(tmp_path: Path) -> None:
    """Rows that left memory are read from the file, wherever a page begins."""
    bill = Bill(tmp_path / "bill.jsonl", memory_rows=10)
    rows = 3 * INDEX_STRIDE + 5
    fill(bill, rows)
    for after in (
        0,
        1,
        INDEX_STRIDE - 1,
        INDEX_STRIDE,
        INDEX_STRIDE + 1,
        2 * INDEX_STRIDE,
        rows - 10,
        rows - 1,
    ):
        assert seqs(bill.page(after, 7)) == list(range(after + 1, min(after + 7, rows) + 1))
    assert len(bill.rows()) == rows
    bill.close()


def test_rows_without_a_file_are_bounded() -> None:
    """Without a file old rows are gone, and asking for them says so instead of leaving a hole."""
    bill = Bill(None, memory_rows=10)
    fill(bill, 12)
    assert seqs(bill.page(2, 100)) == list(range(3, 13))
    with pytest.raises(LookupError):
        bill.page(1, 1)


def test_bill_continues_after_a_restart(tmp_path: Path) -> None:
    """A new life goes on numbering, drops a half-written row and keeps the totals."""
    path = tmp_path / "bill.jsonl"
    first = Bill(path)
    fill(first, 300)
    first.close()
    with path.open("ab") as file:
        file.write(b'{"seq":301,"half')
    second = Bill(path)
    fill(second, 1)
    assert seqs(second.page(299, 10)) == [300, 301]
    assert second.summary()["by_model"]["openai/m"]["rows"] == 301
    second.close()
    assert seqs(path.read_bytes()) == list(range(1, 302))


def test_another_file_is_no_bill(tmp_path: Path) -> None:
    """A file that isn't a bill is refused and left alone."""
    path = tmp_path / "notes.txt"
    path.write_text('{"seq":7}\n')
    with pytest.raises(ValueError, match="is no bill"):
        Bill(path)
    assert path.read_text() == '{"seq":7}\n'
