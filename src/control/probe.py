"""Test connections: one call to a vendor, or to Cloudflare, such as an edge would make.

The credential goes out in a header and nowhere else: answers are cut to a line, and what looks like a
credential is taken out of it.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import structlog

from control.addresses import AddressRefused, pinned
from tollkeeper.errors import Reason, TollkeeperError, invalid
from tollkeeper.operations import Operation, Wire
from tollkeeper.provider_types import (
    MODEL_IN_PATH,
    PROVIDER_TYPES,
    ProviderType,
    direct_base_url,
    goes_direct,
    why_unreachable,
)
from tollkeeper.v1.providers_pb2 import TestProviderResponse

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_MESSAGE_CHARS = 300
MAX_MODELS = 20
MAX_MODEL_CHARS = 200
# Of each replica at a time; beyond it callers are told to come back.
MAX_RUNNING = 8

_CREDENTIAL = re.compile(r"\b(?:sk|gsk|xai|key|AIza|Bearer\s+)[-_*.A-Za-z0-9]{6,}")
_ANTHROPIC_VERSION = "2023-06-01"
# What is asked for one token, on wires that aren't OpenAI's.
_SMALLEST = {Wire.ANTHROPIC: Operation.MESSAGES, Wire.GOOGLE: Operation.GENERATE_CONTENT}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Cloudflare AI Gateway as this installation uses it."""

    url: str
    account_id: str
    token: str
    shared_gateway_id: str

    def __repr__(self) -> str:
        return f"GatewayAddress({self.url})"


@dataclass(frozen=True, slots=True)
class Target:
    """A provider's settings; hidden from reprs as far as they are secret."""

    provider_type: str
    base_url: str
    direct: bool
    credential: str
    stored_key_alias: str

    def __repr__(self) -> str:
        return f"Target({self.provider_type}, {self.base_url!r})"


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    url: str
    headers: dict[str, str]
    body: dict[str, Any] | None
    checked: bool
    """Whether its address is checked: not where the operator says it."""


class Probe:
    """Makes the calls, few at a time."""

    def __init__(self, gateway: GatewayAddress | None, allow_private: bool) -> None:
        """`gateway` None: this installation has no Cloudflare account."""
        self._gateway = gateway
        self._allow_private = allow_private
        self._running = 0

    async def run(self, target: Target, gateway_id: str | None, model: str) -> TestProviderResponse:
        """What the vendor makes of one call; `model` is asked for one token of output.

        Raises INVALID_ARGUMENT when a model is needed, UNAVAILABLE when too many are under way.
        """
        why = self._why_not(target)
        if why is not None:
            return TestProviderResponse(ok=False, message=why)
        call = self._call(target, gateway_id, model)
        if self._running >= MAX_RUNNING:
            raise TollkeeperError(Reason.UNAVAILABLE, "Too many providers are being tested.", retry_after_s=1)
        self._running += 1
        try:
            return await self._answer(call, target)
        finally:
            self._running -= 1

    def _why_not(self, target: Target) -> str | None:
        has_credential = bool(target.credential)
        named = target.provider_type, target.base_url, target.direct
        why = why_unreachable(*named, has_credential, target.stored_key_alias)
        if why is None and not goes_direct(*named) and self._gateway is None:
            why = "this control plane has no Cloudflare account (CF_ACCOUNT_ID, CF_AI_GATEWAY_API_TOKEN)"
        return None if why is None else f"{why[0].upper()}{why[1:]}."

    def _call(self, target: Target, gateway_id: str | None, model: str) -> _Call:
        known = PROVIDER_TYPES[target.provider_type]
        if goes_direct(target.provider_type, target.base_url, target.direct):
            return _direct(known, target, model)
        assert self._gateway is not None
        return _through(self._gateway, known, target, gateway_id, model)

    async def _answer(self, call: _Call, target: Target) -> TestProviderResponse:
        started_s = time.monotonic()
        status, content, message = 0, b"", ""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status, content = await self._send(call)
        except TimeoutError:
            message = f"No answer within {TIMEOUT_S:g} s."
        except AddressRefused:
            message = "The name leads to a private or local address."
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            # Its text may name addresses of ours.
            message = f"No connection, or none that held: {type(error).__name__}."
        latency_ms = round((time.monotonic() - started_s) * 1000)
        ok = 200 <= status < 300
        if status:
            message = _vendors_words(status, content)
        secrets = [target.credential, self._gateway.token if self._gateway else ""]
        log.info("provider_tested", provider_type=target.provider_type, status=status, ok=ok)
        return TestProviderResponse(
            ok=ok,
            http_status=status,
            latency_ms=latency_ms,
            message=_scrubbed(message, secrets),
            models=_models(content) if ok and call.method == "GET" else (),
        )

    async def _send(self, call: _Call) -> tuple[int, bytes]:
        """Status and the beginning of the body. Redirects aren't followed: they would carry the credential
        elsewhere."""
        url = httpx.URL(call.url)
        headers = {**call.headers, "accept-encoding": "identity", "user-agent": "tollkeeper"}
        extensions: dict[str, Any] = {}
        if call.checked:
            headers["host"] = url.netloc.decode("ascii")
            url, extensions = await pinned(url, self._allow_private)
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False) as client,
            client.stream(call.method, url, headers=headers, json=call.body, extensions=extensions) as answer,
        ):
            content = bytearray()
            async for chunk in answer.aiter_raw():
                content += chunk
                if len(content) >= MAX_ANSWER_BYTES:
                    break
            return answer.status_code, bytes(content[:MAX_ANSWER_BYTES])


def _direct(known: ProviderType, target: Target, model: str) -> _Call:
    base_url = direct_base_url(target.provider_type, target.base_url).rstrip("/")
    headers = _headers(known, target.credential)
    chat_only = base_url.endswith(f"/{Operation.CHAT}")
    if model:
        url = base_url if chat_only else f"{base_url}/{_smallest_path(known, model)}"
        return _Call("POST", url, headers, _smallest(known, model), checked=True)
    root = base_url.removesuffix(f"/{Operation.CHAT}")
    return _Call("GET", f"{root}/models", headers, None, checked=True)


def _smallest_path(known: ProviderType, model: str) -> str:
    path = known.direct_path(_SMALLEST.get(known.wire, Operation.CHAT))
    return path.replace(MODEL_IN_PATH, quote(model, safe=""))


def _through(
    gateway: GatewayAddress, known: ProviderType, target: Target, gateway_id: str | None, model: str
) -> _Call:
    """Raises INVALID_ARGUMENT for a type that has no list of models, so that one has to be asked."""
    headers = {"cf-aig-authorization": f"Bearer {gateway.token}", "cf-aig-skip-cache": "true"}
    # Any provider header is forwarded in place of a stored key.
    if target.stored_key_alias:
        headers["cf-aig-byok-alias"] = target.stored_key_alias
    base = f"{gateway.url}/v1/{gateway.account_id}/{gateway_id or gateway.shared_gateway_id}"
    if not model and known.models_path:
        headers |= _headers(known, target.credential)
        return _Call("GET", f"{base}/{known.slug}/{known.models_path}", headers, None, checked=False)
    if not model:
        raise invalid(f"{known.name} has no list of models to ask for: name a model.", field="model")
    headers |= _headers(known, target.credential)
    path = known.gateway_path(_SMALLEST.get(known.wire, Operation.CHAT), target.base_url)
    path = path.replace(MODEL_IN_PATH, quote(model, safe=""))
    return _Call("POST", f"{base}/{path}", headers, _smallest(known, model), checked=False)


def _headers(known: ProviderType, credential: str) -> dict[str, str]:
    headers = {"anthropic-version": _ANTHROPIC_VERSION} if known.wire is Wire.ANTHROPIC else {}
    if credential:
        bearer = known.key_header == "authorization"
        headers[known.key_header] = f"Bearer {credential}" if bearer else credential
    return headers


def _smallest(known: ProviderType, model: str) -> dict[str, Any]:
    if known.wire is Wire.GOOGLE:
        contents = [{"role": "user", "parts": [{"text": "hi"}]}]
        return {"contents": contents, "generationConfig": {"maxOutputTokens": 1}}
    return {
        "model": known.compat_prefix + model,
        "messages": [{"role": "user", "content": "hi"}],
        known.output_limit: 1,
    }


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _vendors_words(status: int, content: bytes) -> str:
    """The message of an error, whichever of the known shapes it has."""
    if 200 <= status < 300:
        return "It answers."
    if 300 <= status < 400:
        return f"It answers with a redirect ({status}), which isn't followed."
    body = _parsed(content)
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, list) and error:
        error = error[0]
    words = error.get("message") if isinstance(error, dict) else error
    if not isinstance(words, str) or not words.strip():
        return f"It answers with status {status}."
    return f"It answers with status {status}: {words.strip()}"


def _scrubbed(message: str, secrets: list[str]) -> str:
    for secret in secrets:
        if secret:
            message = message.replace(secret, "[credential]")
    message = _CREDENTIAL.sub("[credential]", message)
    return "".join(char if char.isprintable() else " " for char in message)[:MAX_MESSAGE_CHARS]


def _models(content: bytes) -> list[str]:
    body = _parsed(content)
    listed = body.get("data") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        listed = body.get("models") if isinstance(body, dict) else None
    names = [each.get("id") or each.get("name") for each in listed or () if isinstance(each, dict)]
    known = [name for name in names if isinstance(name, str) and name.isprintable()]
    return [name.removeprefix("models/")[:MAX_MODEL_CHARS] for name in known[:MAX_MODELS]]
