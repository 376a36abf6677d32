"""`python -m simulator` as a process: settings, signals, and a bill that survives kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A simulator on a free port, with its URL as it prints it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "src", **environment},
    )
    with process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            assert line.startswith("simulator: listening on "), line + process.stderr.read()
            yield process, line.split()[-1]
        finally:
            process.kill()


def test_bill_survives_kill(tmp_path: Path) -> None:
    """Every answer a client has read is in the file after kill -9, and the next life goes on numbering."""
    path = tmp_path / "bill.jsonl"
    with running("--bill", str(path)) as (process, url), httpx.Client(base_url=url) as client:
        for _ in range(20):
            assert client.post("/v1/chat/completions", json=BODY).status_code == 200
        process.kill()
    assert [json.loads(line)["seq"] for line in path.read_bytes().splitlines()] == list(range(1, 21))
    with running(TOLLKEEPER_SIMULATOR_BILL=str(path)) as (_, url):
        httpx.post(f"{url}/v1/chat/completions", json=BODY)
        assert httpx.get(f"{url}/_sim/bill/summary").json()["rows"] == 21


def test_terminate_drains_and_exits(tmp_path: Path) -> None:
    """SIGTERM lets an answer in flight end, cuts and bills what would take too long, and exits with 0."""
    path = tmp_path / "bill.jsonl"
    with running("--bill", str(path), "--steer", "first_byte_ms=1,stall_after=3") as (process, url):
        with httpx.stream("POST", f"{url}/v1/chat/completions", json={**BODY, "stream": True}) as answer:
            lines = answer.iter_lines()
            while sum(1 for _ in range(6) if next(lines)) < 3:
                pass
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=5) == 0
        assert time.monotonic() - began < 4
    [row] = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert (row["completion_tokens"], row["finish"]) == (2, "cut")


def test_settings_from_command_line_and_environment() -> None:
    """A required token and a gateway list, each from its own source, are enforced."""
    path = "/v1/0123456789abcdef0123456789abcdef/{}/openai/chat/completions"
    with running("--gateway", "team-a,team-b", TOLLKEEPER_SIMULATOR_REQUIRE_TOKEN="t") as (_, url):
        headers = {"cf-aig-authorization": "Bearer t"}
        with httpx.Client(base_url=url, headers=headers) as client:
            assert client.post(path.format("team-b"), json=BODY).status_code == 200
            assert client.post(path.format("team-c"), json=BODY).json()["internalCode"] == 2001
        assert httpx.post(url + path.format("team-b"), json=BODY).json()["internalCode"] == 2009


def test_bad_settings_are_one_line(tmp_path: Path) -> None:
    """A port in use, a bad port, bad steering: exit code 1 and one line that says what is wrong."""
    with running() as (_, url):
        port = url.rpartition(":")[2]
        for arguments in (
            ["--port", port],
            ["--port", "x"],
            ["--steer", "tokes=1"],
            ["--bill", str(tmp_path)],
        ):
            failed = subprocess.run(
                [sys.executable, "-m", "simulator", *arguments],
                capture_output=True,
                text=True,
                timeout=10,
                env={**os.environ, "PYTHONPATH": "src"},
            )
            assert failed.returncode == 1
            assert len(failed.stderr.splitlines()) == 1, failed.stderr
