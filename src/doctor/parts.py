"""The running parts: control planes, edges, and whether they are of one version."""

import importlib.metadata
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from clients.tls import channel_credentials
from control.config import ControlSettings
from doctor.finding import Finding, failed, ok, skipped, warning
from edge.config import EdgeSettings
from tollkeeper.settings import SettingsError
from tollkeeper.v1.sessions_pb2 import GetSessionRequest
from tollkeeper.v1.sessions_pb2_grpc import SessionsServiceStub

TIMEOUT_S = 5.0
_START = "Start it: `tollkeeper up`, or `tollkeeper control` and `tollkeeper edge` by themselves."


def running(data_dir: Path) -> dict[str, str]:
    """Addresses that a running `tollkeeper up` wrote down, by part."""
    try:
        written: dict[str, Any] = json.loads((data_dir / "run" / "addresses.json").read_text())
    except (OSError, ValueError):
        return {}
    return {part: str(address) for part, address in written.items() if address}


def own_version() -> str | None:
    """The version of this command; None when it runs from its sources."""
    try:
        return importlib.metadata.version("tollkeeper")
    except importlib.metadata.PackageNotFoundError:
        return None


def check_control(addresses: Sequence[str], edge: EdgeSettings, secret: str | None) -> list[Finding]:
    """Each control plane: serving, and taking the local command line's credential."""
    return [finding for address in addresses for finding in _control(address, edge, secret)]


def _control(address: str, edge: EdgeSettings, secret: str | None) -> list[Finding]:
    check = "control plane"
    try:
        with _channel(address, edge) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S
            )
            if answer.status != health_pb2.HealthCheckResponse.SERVING:
                return [failed(check, f"{address} isn't serving", "It starts or stops; look at its log.")]
            return [ok(check, f"{address} serves"), *_credential(channel, secret)]
    except SettingsError as error:
        return [failed(check, str(error), "Correct the file or the setting.")]
    except grpc.RpcError as error:
        return [failed(check, f"{address} can't be reached: {_details(error)}", _START)]


def _channel(address: str, edge: EdgeSettings) -> grpc.Channel:
    credentials = channel_credentials(edge.control_ca_file, edge.control_cert_file, edge.control_key_file)
    if credentials is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, credentials)


def _credential(channel: grpc.Channel, secret: str | None) -> list[Finding]:
    check = "credential"
    if secret is None:
        return [skipped(check, "no cli.credential here")]
    try:
        SessionsServiceStub(channel).GetSession(
            GetSessionRequest(), timeout=TIMEOUT_S, metadata=(("authorization", f"Bearer {secret}"),)
        )
    except grpc.RpcError as error:
        advice = (
            "The data directory is of another database. Delete cli.credential and edge.credential, then run"
            " `python -m control.bootstrap`."
        )
        return [failed(check, f"the local one isn't accepted: {_details(error)}", advice)]
    return [ok(check, "the local one is accepted")]


def check_control_version(settings: ControlSettings) -> list[Finding]:
    """What a control plane on this machine says in its metrics."""
    url = f"http://{settings.metrics_host}:{settings.metrics_port}/metrics"
    try:
        text = httpx.get(url, timeout=TIMEOUT_S, trust_env=False).text
    except httpx.HTTPError:
        return [skipped("version", f"the control plane's metrics at {url} can't be read")]
    found = re.search(r'^tollkeeper_control_build_info\{version="([^"]*)"\}', text, re.MULTILINE)
    return [_version("the control plane", found[1] if found else None)]


def check_edges(urls: Sequence[str]) -> list[Finding]:
    """Each edge: alive, ready, and of our version."""
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
        return [finding for url in urls for finding in _edge(client, url.rstrip("/"))]


def _edge(client: httpx.Client, url: str) -> list[Finding]:
    check = "edge"
    try:
        alive, ready = client.get(f"{url}/healthz"), client.get(f"{url}/readyz")
        home = client.get(url)
    except httpx.HTTPError as error:
        return [failed(check, f"{url} can't be reached: {str(error) or type(error).__name__}", _START)]
    if not alive.is_success:
        return [failed(check, f"{url} isn't well: {alive.status_code}", "Look at its log.")]
    if not ready.is_success:
        why = _json(ready).get("why", ready.status_code)
        advice = "It admits no requests. Most often it can't reach the control plane, or its disk is full."
        return [failed(check, f"{url} isn't ready: {why}", advice)]
    return [ok(check, f"{url} is ready"), _version(url, _json(home).get("version")), *_sick(client, url)]


def _sick(client: httpx.Client, url: str) -> list[Finding]:
    """Providers that the edge doesn't ask for a while, since they kept failing. Public edges don't tell."""
    try:
        rows = _json(client.get(f"{url}/statusz")).get("breakers")
    except httpx.HTTPError:
        return []
    if not isinstance(rows, list):
        return []
    resting = {
        (each.get("provider_id"), each.get("model"), each.get("last_status"), each.get("last_failure"))
        for each in rows
        if isinstance(each, dict)
    }
    advice = "It is asked again by itself. `tollkeeper providers test ID` shows what the vendor says."
    return [
        warning("provider", f"{provider_id} keeps failing for {model}: {status or failure}", advice)
        for provider_id, model, status, failure in sorted(resting, key=str)
    ]


def _version(whose: str, theirs: str | None) -> Finding:
    ours = own_version()
    if ours is None or theirs in (None, "0", ""):
        return skipped("version", f"that of {whose} can't be told")
    if theirs != ours:
        return warning("version", f"{whose} runs {theirs}, this is {ours}", "Restart it after the upgrade.")
    return ok("version", f"{whose} runs {theirs}")


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _details(error: grpc.RpcError) -> str:
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    return f"{code().name if code else ''} {details() if details else ''}".strip()
