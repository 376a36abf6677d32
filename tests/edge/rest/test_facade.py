"""The facade's own manners: limits, methods, headers, faults, and being switched off."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.rest import facade
from edge.rest.exchange import MAX_BODY_BYTES
from tests.control.harness import OPERATOR_EMAIL, OPERATOR_PASSWORD, RunningControl
from tests.edge.rest.conftest import serving, signed_in

MANAGEMENT = ["/api/keys", "/v1/customers", "/v1/ai/keys/user", "/openapi.json", "/docs", "/v1/sessions"]


async def test_switched_off(control: RunningControl, tmp_path: Path) -> None:
    """Everything but inference and operations is 404, whoever asks; those are as they were."""
    async with (
        serving(control, tmp_path / "edge", rest=False) as url,
        signed_in(url, control.cli_secret) as http,
    ):
        for path in MANAGEMENT:
            for method in ("GET", "POST", "OPTIONS"):
                answer = await http.request(method, path)
                assert (answer.status_code, answer.json()) == (404, {"error": "Not found"}), path
        assert (await http.get("/")).json()["status"] == "healthy"
        assert (await http.get("/healthz")).status_code == 200
        refused = await http.get("/v1/ai/models")
        assert refused.json()["error"]["code"] == "invalid_api_key"


async def test_a_body_that_is_too_large(edge_url: str) -> None:
    """413 with the limit."""
    async with signed_in(edge_url, None) as http:
        body = b'{"email": "' + b"x" * MAX_BODY_BYTES + b'"}'
        answer = await http.post("/v1/sessions", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (413, "REQUEST_TOO_LARGE")
    assert str(MAX_BODY_BYTES) in answer.json()["error"]


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"]
)
async def test_a_body_of_another_type(edge_url: str, media_type: str) -> None:
    """400, as browsers' simple requests get it."""
    async with signed_in(edge_url, None) as http:
        answer = await http.post("/v1/sessions", content=b"{}", headers={"content-type": media_type})
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_ARGUMENT")


async def test_methods(edge_url: str, control: RunningControl) -> None:
    """HEAD is GET without a body, OPTIONS tells the methods, others are 405 and say which there are."""
    async with signed_in(edge_url, control.cli_secret) as http:
        head = await http.head("/v1/customers")
        assert (head.status_code, head.content) == (200, b"")
        options = await http.options("/v1/customers")
        assert (options.status_code, options.headers["allow"]) == (204, "GET, POST, HEAD, OPTIONS")
        assert (await http.options("/v1/nothing")).status_code == 404
        for method in ("PUT", "DELETE", "PATCH"):
            answer = await http.request(method, "/v1/customers")
            assert (answer.status_code, answer.json()["reason"]) == (405, "METHOD_NOT_ALLOWED")
            assert answer.headers["allow"] == "GET, POST"
        for method in ("TRACE", "BREW", "CONNECT", "PROPFIND"):
            assert (await http.request(method, "/v1/customers")).status_code in (400, 405)


async def test_headers_of_every_answer(edge_url: str) -> None:
    """Nothing is kept by caches, nothing is guessed about its type."""
    async with signed_in(edge_url, None) as http:
        for path in ("/v1/customers", "/v1/nothing", "/openapi.json", "/docs"):
            answer = await http.get(path)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer \u00fc", "Basic eDp5", "Bearer " + "x" * 9000])
async def test_odd_credentials(edge_url: str, value: str) -> None:
    """401 for whatever isn't one; none breaks the call to the control plane."""
    async with signed_in(edge_url, None) as http:
        headers = [(b"authorization", value.encode("utf-8"))]
        answer = await http.get("/v1/customers", headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (401, "UNAUTHENTICATED"), answer.text


async def test_two_credentials(edge_url: str, control: RunningControl) -> None:
    """Nobody guesses which one is meant."""
    async with signed_in(edge_url, None) as http:
        headers = [("authorization", f"Bearer {control.cli_secret}"), ("authorization", "Bearer x")]
        assert (await http.get("/v1/customers", headers=headers)).status_code == 401


@pytest.mark.parametrize("query", ["page_size=%ff", "&".join("page_token=x" for _ in range(200)), "a=1;b=2"])
async def test_odd_queries(edge_url: str, control: RunningControl, query: str) -> None:
    """400: not UTF-8, too many, not a parameter."""
    async with signed_in(edge_url, control.cli_secret) as http:
        answer = await http.get(f"/v1/customers?{query}")
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_ARGUMENT")


async def test_the_control_plane_is_away(control: RunningControl, tmp_path: Path) -> None:
    """503 with a time to come back, and nothing about where it was."""
    async with serving(control, tmp_path / "edge") as url, signed_in(url, control.cli_secret) as http:
        for replica in control.replicas:
            await replica.__aexit__(None, None, None)
        answer = await http.get("/v1/customers")
        assert (answer.status_code, answer.json()["reason"]) == (503, "UNAVAILABLE")
        assert answer.headers["retry-after"] == "1"
        assert "127.0.0.1" not in answer.text


async def test_too_many_at_once(
    control: RunningControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 for what is over the limit; the rest is answered."""
    monkeypatch.setattr(facade, "MAX_IN_FLIGHT", 2)
    async with serving(control, tmp_path / "edge") as url, signed_in(url, control.cli_secret) as http:
        answers = await asyncio.gather(*(http.get("/v1/customers") for _ in range(30)))
        assert {answer.status_code for answer in answers} == {200, 503}
        assert (await http.get("/v1/customers")).status_code == 200


async def test_an_unexpected_fault_tells_nothing(edge_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed body; the detail is in the log."""

    def fail(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("edge.rest.transcoder.request_of", fail)
    async with signed_in(edge_url, None) as http:
        answer = await http.get("/v1/session")
    assert (answer.status_code, answer.json()) == (500, {"error": "Internal server error"})


async def test_the_documents_script_is_ours_alone(edge_url: str) -> None:
    """And is sent as what it is, so that browsers run it."""
    async with httpx.AsyncClient(base_url=edge_url) as http:
        script = await http.get("/docs/docs.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "innerHTML" not in script.text


async def _locked_out(url: str, address: str, email: str) -> bool:
    """Whether a right password isn't even looked at, when it comes from there."""
    headers = {"x-forwarded-for": address}
    async with signed_in(url, None) as http:
        body = {"email": email, "password": OPERATOR_PASSWORD}
        return (await http.post("/v1/sessions", json=body, headers=headers)).status_code == 429


async def test_wrong_passwords_lock_out_their_own_address(control: RunningControl, tmp_path: Path) -> None:
    """Behind an edge clients are told apart, by what a trusted proxy says of them; 429 says when to try
    again."""
    proxies = {"trusted_proxies": "127.0.0.0/8"}
    async with serving(control, tmp_path / "edge", **proxies) as url, signed_in(url, None) as http:
        for _ in range(10):
            body = {"email": OPERATOR_EMAIL, "password": "wrong password"}
            headers = {"x-forwarded-for": "192.0.2.1"}
            answer = await http.post("/v1/sessions", json=body, headers=headers)
            assert (answer.status_code, answer.json()["reason"]) == (401, "INVALID_CREDENTIALS")
        answer = await http.post("/v1/sessions", json=body, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (429, "LOGIN_THROTTLED")
        assert int(answer.headers["retry-after"]) > 0
        assert await _locked_out(url, "192.0.2.1", OPERATOR_EMAIL)
        assert not await _locked_out(url, "192.0.2.2", OPERATOR_EMAIL)
