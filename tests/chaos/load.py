"""Load through the official SDK: plain, streamed and in the background, each request sent once, and what
became of it. What goes on in the background is never asked for again."""

import asyncio
import random
from dataclasses import dataclass, field

import openai

# Beside what the gateway needs to hold: long enough for a restart, short enough to end the run.
REQUEST_TIMEOUT_S = 30.0
PAUSE_AFTER_ERROR_S = 0.1
MODELS = ("gpt-4o-mini", "gpt-4o")
MAX_TOKENS = (8, 16, 32)
BACKGROUND_PART = 0.1
# Of a background response: some are under way whatever is killed.
MAX_BACKGROUND_MS = 4000


@dataclass
class Key:
    """A virtual key, and its hard limit in nano-dollars (None: driven, but never to its end)."""

    key_id: str
    secret: str
    limit_nanousd: int | None = None
    exhausted: bool = False
    # What ends later costs less than was booked first, so a spent key would have room again.
    background: bool = False


@dataclass
class Tally:
    """What the clients saw."""

    in_flight: int = 0
    answered: int = 0
    refused: int = 0
    broken: int = 0
    # In the background, when they were answered.
    left: int = 0
    # Request id → cost as the header told it, of answers that came whole.
    costs: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)


class Load:
    """So many clients at once, until `stop` is set."""

    def __init__(self, base_url: str, keys: list[Key], seed: int) -> None:
        self.tally = Tally()
        self.stop = asyncio.Event()
        self._base_url = base_url
        self._keys = keys
        self._random = random.Random(seed)

    async def run(self, client_count: int) -> None:
        """Runs the clients, each with connections of its own."""
        await asyncio.gather(*(self._client() for _ in range(client_count)))

    async def _client(self) -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{self._base_url}/v1", api_key="none", max_retries=0, timeout=REQUEST_TIMEOUT_S
        ) as client:
            while not self.stop.is_set():
                await self.one(client, self._random.choice(self._open_keys()))

    def _open_keys(self) -> list[Key]:
        # Spent keys are tried now and then, to see that they stay refused.
        spent = self._random.random() < 0.05
        return [key for key in self._keys if spent or not key.exhausted] or self._keys

    async def one(self, client: openai.AsyncOpenAI, key: Key) -> None:
        """One request, once."""
        self.tally.in_flight += 1
        try:
            await self._send(client.with_options(api_key=key.secret), key)
            self.tally.answered += 1
        except openai.RateLimitError as error:
            self.tally.refused += 1
            if error.code == "insufficient_quota":
                key.exhausted = True
        except (openai.APIConnectionError, openai.InternalServerError):
            # The edge was killed, or says that it can't serve now.
            self.tally.broken += 1
            await asyncio.sleep(PAUSE_AFTER_ERROR_S)
        except openai.APIError as error:
            # A stream that ended with an error event has no status; a status we didn't cause is a finding.
            if isinstance(error, openai.APIStatusError):
                self.tally.unexpected.append(f"{error.status_code} {error.message}"[:200])
            self.tally.broken += 1
        except Exception as error:
            # A body cut short reaches the SDK's user as whatever its HTTP library raises.
            self.tally.broken += 1
            if type(error).__module__.split(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2"):
                self.tally.unexpected.append(f"{type(error).__name__}: {error}"[:200])
        finally:
            self.tally.in_flight -= 1

    async def _send(self, client: openai.AsyncOpenAI, key: Key) -> None:
        model = self._random.choice(MODELS)
        limit = self._random.choice(MAX_TOKENS)
        steering = f"tokens={self._random.randint(1, limit)}"
        if key.background and self._random.random() < BACKGROUND_PART:
            latency_ms = self._random.randint(0, MAX_BACKGROUND_MS)
            await self._background(client, model, limit, f"{steering} first_byte_ms={latency_ms}")
        elif self._random.random() < 0.5:
            await self._plain(client, model, limit, f"{steering} first_byte_ms={self._random.randint(0, 60)}")
        else:
            await self._stream(client, model, limit, f"{steering} drip_ms={self._random.randint(0, 8)}")

    async def _plain(self, client: openai.AsyncOpenAI, model: str, limit: int, steering: str) -> None:
        raw = await client.chat.completions.with_raw_response.create(
            model=model, max_tokens=limit, messages=[{"role": "user", "content": f"[[sim {steering}]] go on"}]
        )
        raw.parse()
        self.tally.costs[raw.headers["x-tollkeeper-request-id"]] = raw.headers["x-tollkeeper-cost-usd"]

    async def _background(self, client: openai.AsyncOpenAI, model: str, limit: int, steering: str) -> None:
        raw = await client.responses.with_raw_response.create(
            model=model, max_output_tokens=limit, input=f"[[sim {steering}]] go on", background=True
        )
        raw.parse()
        self.tally.costs[raw.headers["x-tollkeeper-request-id"]] = raw.headers["x-tollkeeper-cost-usd"]
        self.tally.left += 1

    async def _stream(self, client: openai.AsyncOpenAI, model: str, limit: int, steering: str) -> None:
        stream = await client.chat.completions.create(
            model=model,
            max_tokens=limit,
            stream=True,
            messages=[{"role": "user", "content": f"[[sim {steering}]] go on"}],
        )
        finished = False
        async for chunk in stream:
            finished = finished or any(choice.finish_reason for choice in chunk.choices)
        if not finished:
            raise openai.APIError("the stream ended early", stream.response.request, body=None)
