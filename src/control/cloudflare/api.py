"""Calls of Cloudflare's v4 API: authentication, envelope, limits of time and size, and another try where it
can do no harm."""

import asyncio
import ipaddress
import random
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import orjson

from control.cloudflare.errors import CloudflareError, Problem, error_of

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
ATTEMPTS = 3
BACKOFF_S = 0.25
# A longer wait than this is the caller's to plan.
MAX_RETRY_AFTER_S = 2.0
PAGE_SIZE = 100
MAX_PAGES = 100

# Sent twice they do what they do once. A create isn't sent again: its first copy may have been carried out.
_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
_RETRIED = frozenset({Problem.UNAVAILABLE, Problem.THROTTLED})


class Api:
    """One account, as one token may see it. Use it as an asynchronous context manager, or `close` it."""

    def __init__(self, url: str, account_id: str, token: str, page_size: int = PAGE_SIZE) -> None:
        """`url` is that of the v4 API."""
        self._page_size = page_size
        self._client = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}/accounts/{account_id}",
            headers={"authorization": f"Bearer {token}", "user-agent": "tollkeeper"},
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=30),
            # A proxy of the environment is for the internet, not for the simulator beside us.
            trust_env=not _is_local(url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> Any:
        """The envelope's `result`. Raises CloudflareError."""
        return (await self._envelope(method, path, body, query)).get("result")

    async def pages(self, path: str, query: Mapping[str, str | int] | None = None) -> list[Any]:
        """All items of a list, page by page. Raises CloudflareError, also when it never ends."""
        items: list[Any] = []
        for number in range(1, MAX_PAGES + 1):
            paged = {**(query or {}), "page": number, "per_page": self._page_size}
            envelope = await self._envelope("GET", path, None, paged)
            page = envelope.get("result")
            if not isinstance(page, list):
                raise CloudflareError(Problem.REFUSED, "a list was asked for, and something else came")
            items += page
            # `result_info` may be missing: then a page that isn't full is the last one.
            info = envelope.get("result_info")
            total = info.get("total_count") if isinstance(info, dict) else None
            if not page or (len(items) >= total if isinstance(total, int) else len(page) < self._page_size):
                return items
        raise CloudflareError(Problem.REFUSED, f"the list has more than {MAX_PAGES} pages")

    async def _envelope(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str | int] | None,
    ) -> dict[str, Any]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(method, path, body, query)
            except CloudflareError as error:
                wait_s = error.retry_after_s or BACKOFF_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
                harmless = method in _REPEATABLE and error.problem in _RETRIED
                if not harmless or attempt == ATTEMPTS or wait_s > MAX_RETRY_AFTER_S:
                    raise
                await asyncio.sleep(wait_s)
        raise AssertionError("unreachable")

    async def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str | int] | None,
    ) -> dict[str, Any]:
        try:
            # All parts together: httpx's own limits are of each read.
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._client.stream(method, path, json=body, params=query) as answer,
            ):
                content = await _read(answer)
        except TimeoutError:
            raise CloudflareError(Problem.UNAVAILABLE, f"no answer within {TIMEOUT_S:g} s") from None
        except httpx.TransportError as error:
            # Its text may name hosts and addresses, never headers.
            why = str(error) or type(error).__name__
            raise CloudflareError(Problem.UNAVAILABLE, f"can't be reached: {why}") from None
        return _checked(answer, content)


async def _read(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise CloudflareError(Problem.REFUSED, "the answer is too large", answer.status_code)
    return bytes(content)


def _checked(answer: httpx.Response, content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    if answer.is_success and isinstance(body, dict) and body.get("success") is not False:
        return body
    if answer.is_success and body is None:
        raise CloudflareError(Problem.UNAVAILABLE, "the answer isn't JSON", answer.status_code)
    raise error_of(answer.status_code, body, _retry_after_s(answer))


def _retry_after_s(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
