"""`tollkeeper up` as a whole: real parts, real signals."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from control import postgres
from supervisor.ready import grpc_serving, http_ok
from supervisor.screen import snippets
from tests.supervisor.stack import Up, close, directory, end, environment, eventually, free_ports, gone, start

PARTS = ("postgres", "control", "edge", "simulator")


@pytest.fixture(scope="module")
def first() -> Iterator[Up]:
    """The first start on an empty directory; the tests of this file use it in order."""
    with directory() as place:
        up = start(place / "data")
        yield up
        end(up)


def _complete(up: Up, key: str, model: str = "gpt-4o-mini") -> dict[str, Any]:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    request = urllib.request.Request(
        f"{up.ready['edge']}/v1/chat/completions",
        body,
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return dict(json.load(response))


def _completes(up: Up, key: str) -> bool:
    try:
        return "choices" in _complete(up, key)
    except OSError:
        return False


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        return bytes(response.read())


def _serves(up: Up, part: str) -> bool:
    match part:
        case "postgres":
            try:
                postgres.wait_ready(up.data_dir, timeout_s=0, alive=lambda: True)
            except postgres.PostgresError:
                return False
            return True
        case "control":
            return asyncio.run(grpc_serving(up.ready["control"]))
        case _:
            path = {"edge": "/readyz", "simulator": "/healthz"}[part]
            return asyncio.run(http_ok(up.ready[part].removeprefix("http://"), path))


def _refused(data_dir: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """An `up` that is expected not to start."""
    return subprocess.run(
        [sys.executable, "-m", "supervisor", "--json", "--data-dir", str(data_dir), *arguments],
        env=environment(**{**free_ports(), **settings}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_first_start_tells_everything_in_one_line(first: Up) -> None:
    """The JSON line has exactly the documented fields, and nothing else is on standard output."""
    assert set(first.ready) == {"edge", "control", "simulator", "data_dir", "operator", "demo_key"}
    assert first.ready["edge"].startswith("http://127.0.0.1:")
    assert first.ready["simulator"].startswith("http://127.0.0.1:")
    assert first.ready["control"].startswith("127.0.0.1:")
    assert first.ready["data_dir"] == str(first.data_dir)
    assert set(first.ready["operator"]) == {"email", "password"}
    assert len(first.ready["operator"]["password"]) >= 12
    assert first.ready["demo_key"].startswith("aig_")


def test_the_demo_key_works(first: Up) -> None:
    """A completion through edge and simulator, right after the ready line."""
    answer = _complete(first, first.ready["demo_key"])
    assert answer["choices"][0]["message"]["role"] == "assistant"


def test_the_lines_to_paste_work(first: Up) -> None:
    """The shell line and the Python line of the ready screen, as they are."""
    (_, shell), (_, python) = snippets(first.ready["edge"], first.ready["demo_key"])
    said = subprocess.check_output(["bash", "-c", shell], timeout=20, stderr=subprocess.DEVNULL)
    answer = json.loads(said)["choices"][0]["message"]["content"]
    printed = subprocess.check_output([sys.executable, "-c", python], text=True, timeout=20)
    assert printed.strip() == answer


def test_secrets_are_for_their_owner_alone(first: Up) -> None:
    """Credentials and the encryption key have mode 600."""
    for name in ("cli.credential", "edge.credential", "encryption.key"):
        assert stat.S_IMODE((first.data_dir / name).stat().st_mode) == 0o600, name


def test_secrets_are_not_in_the_log(first: Up) -> None:
    """What is shown once is shown in one place."""
    log = first.log.read_text()
    secrets = [first.ready["demo_key"], first.ready["operator"]["password"]]
    secrets += [(first.data_dir / name).read_text().strip() for name in ("cli.credential", "edge.credential")]
    for secret in secrets:
        assert secret not in log


def test_a_locked_directory_is_one_line(first: Up) -> None:
    """A second `up` on the same directory names the process that has it."""
    refused = _refused(first.data_dir)
    assert refused.returncode == 2
    assert refused.stdout == ""
    [line] = refused.stderr.splitlines()
    assert f"in use by process {first.process.pid}" in line


def test_a_port_in_use_is_one_line(first: Up, tmp_path: Path) -> None:
    """It names port and setting, and nothing was started: the directory has no database."""
    port = first.ready["edge"].rpartition(":")[2]
    refused = _refused(tmp_path / "data", "--edge-port", port)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "TOLLKEEPER_EDGE_PORT" in line
    assert not (tmp_path / "data" / "postgres").exists()


def test_bad_settings_are_a_line_each(tmp_path: Path) -> None:
    """All of them at once, and not even the directory was made."""
    refused = _refused(tmp_path / "data", TOLLKEEPER_EDGE_WORKERS="0", TOLLKEEPER_LEASE_GRACE_S="soon")
    assert refused.returncode == 2
    lines = refused.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == [
        "TOLLKEEPER_LEASE_GRACE_S",
        "TOLLKEEPER_EDGE_WORKERS",
    ]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_comes_back(first: Up, part: str) -> None:
    """After kill -9 of any part there is a new process that serves, and the demo key works again."""
    old = first.pid(part)
    os.kill(old, signal.SIGKILL)
    eventually(lambda: first.pid(part) != old, timeout_s=20)
    eventually(lambda: _serves(first, part), timeout_s=30)
    eventually(lambda: _completes(first, first.ready["demo_key"]), timeout_s=30)


def test_ctrl_c_drains_and_the_second_start_keeps_all(first: Up) -> None:
    """Exit code 0, nothing left running; then the old key works and no secret is shown again."""
    family = first.family()
    assert first.interrupt() == 0
    eventually(lambda: gone(family))
    assert sorted(path.name for path in (first.data_dir / "run").glob("*.pid")) == []
    again = start(first.data_dir)
    try:
        assert again.ready["demo_key"] is None
        assert again.ready["operator"] == {"email": first.ready["operator"]["email"], "password": None}
        assert _completes(again, first.ready["demo_key"])
    finally:
        end(again)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_nothing_outlives_a_killed_up(first: Up) -> None:
    """kill -9 of `up` takes all with it, and the next start recovers."""
    killed = start(first.data_dir)
    family = killed.family()
    killed.process.kill()
    killed.process.wait()
    close(killed)
    eventually(lambda: gone(family))
    again = start(first.data_dir)
    try:
        assert _completes(again, first.ready["demo_key"])
        _stop_twice(again, first.ready["demo_key"])
    finally:
        end(again)


def _stop_twice(up: Up, key: str) -> None:
    """With a request under way that never ends: the first Ctrl-C drains, the second one stops all at once."""
    family = up.family()
    message = {"role": "user", "content": "[[sim gate=never]]"}
    body = json.dumps({"model": "gpt-4o-mini", "messages": [message]})
    host, _, port = up.ready["edge"].removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: edge\r\nauthorization: Bearer {key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
        )
        eventually(lambda: b'"never"' in _read(f"{up.ready['simulator']}/_sim/gates"))
        up.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            up.process.wait(1)
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(20) == 130
    eventually(lambda: gone(family))


@pytest.mark.parametrize("part", ["up", "postgres", "control"])
def test_ctrl_c_during_the_start(part: str) -> None:
    """Whatever had been started by then is gone when it exits."""
    with directory() as place:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor", "--json", "--data-dir", str(place / "data")],
            env=environment(**free_ports()),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually((place / "data" / "run" / f"{part}.pid").exists, timeout_s=30)
            own = psutil.Process(process.pid)
            family = [own, *own.children(recursive=True)]
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=20)
        finally:
            process.kill()
        assert (process.returncode, said) == (130, b"")
        eventually(lambda: gone(family))


def test_a_part_that_cannot_start_stops_everything(tmp_path: Path) -> None:
    """A database that can't be reached: its last line, exit code 1, and nothing left running."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        refused = _refused(
            tmp_path / "data",
            TOLLKEEPER_DATABASE_URL=f"postgresql://nobody@127.0.0.1:{port}/none",
            TOLLKEEPER_ENCRYPTION_KEY="A" * 43 + "=",
        )
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr.splitlines()[-1]
    assert not list((tmp_path / "data" / "run").glob("*.pid"))
