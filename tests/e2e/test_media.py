"""Images, audio, files and batches through the whole product, with the official SDK: what the ledger says of
each, whose files are whose, and how much memory an upload takes."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import psutil
import pytest
from openai import BadRequestError, NotFoundError, OpenAI, RateLimitError

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.stack import Stack
from tollkeeper.v1.edge_pb2 import UsageState

REPORTED, ESTIMATED = UsageState.USAGE_STATE_REPORTED, UsageState.USAGE_STATE_ESTIMATED
VOIDED = UsageState.USAGE_STATE_VOIDED
MODEL = "gpt-4o-mini"
INPUT, OUTPUT = 150, 600
AUDIO = ("a.mp3", bytes(range(256)) * 200)  # 3.2 seconds, as the simulator counts
MIB = 1_048_576


def sdk(stack: Stack, key: VirtualKey) -> OpenAI:
    return OpenAI(base_url=f"{stack.edge}/v1", api_key=key.secret, max_retries=0)


@pytest.fixture
def client(stack: Stack, tenant: Tenant) -> Iterator[OpenAI]:
    """The SDK with a key of the test's customer."""
    with sdk(stack, tenant.key()) as opened:
        yield opened


def test_a18_images_and_audio_cost_what_they_are(tenant: Tenant, client: OpenAI) -> None:
    """B6: model tokens, characters and seconds are booked as the vendor counts them, to the nano-dollar."""
    client.images.generate(model="gpt-image-1", prompt="x" * 40)
    client.audio.speech.create(model="tts-1", voice="alloy", input="twelve chars")
    client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="twelve chars")
    client.audio.transcriptions.create(model="whisper-1", file=AUDIO, response_format="srt")
    client.audio.transcriptions.create(model="gpt-4o-transcribe", file=AUDIO)
    found = tenant.settled(5)
    assert [(entry.state, entry.cost_nanousd) for entry in reversed(found)] == [
        (REPORTED, 10 * 5_000 + 1000 * 40_000),
        (REPORTED, 12 * 15_000),
        (REPORTED, 3 * 600 + 12 * 12_000),
        (REPORTED, 4 * 100_000),
        (REPORTED, 40 * 6_000 + 16 * 10_000),
    ]
    for entry in found:
        assert sum(amount for _, amount in tenant.entries(entry.usage_id)) == entry.cost_nanousd


def test_a_model_without_a_price(client: OpenAI) -> None:
    """No modality is free because nobody priced it."""
    with pytest.raises(BadRequestError) as raised:
        client.audio.transcriptions.create(model="unheard-of", file=AUDIO)
    assert raised.value.code == "model_not_priced"
    with pytest.raises(BadRequestError) as raised:
        client.images.generate(model="unheard-of", prompt="x")
    assert raised.value.code == "model_not_priced"


# Memory


class Peak:
    """The most resident memory that the edge's workers gained while it ran, in bytes."""

    def __init__(self, stack: Stack) -> None:
        self._workers = [psutil.Process(pid) for pid in stack.workers()]
        self._stop = threading.Event()
        self.gained = 0

    def __enter__(self) -> "Peak":
        before = [worker.memory_info().rss for worker in self._workers]

        def watch() -> None:
            while not self._stop.wait(0.01):
                now = [worker.memory_info().rss for worker in self._workers]
                self.gained = max(
                    self.gained, *(after - first for after, first in zip(now, before, strict=True))
                )

        self._thread = threading.Thread(target=watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


def field(name: str, value: str) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file(data: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return head + data + b"\r\n"


@pytest.mark.parametrize("order", ["arrives", "waits"])
def test_uploads_are_not_held_in_memory(stack: Stack, tenant: Tenant, order: str) -> None:
    """64 MiB go through a worker that gains a few, whether the model comes before the file or behind it."""
    key, data = tenant.key(), b"a" * (64 * MIB)
    parts = [field("model", "whisper-1"), file(data)]
    body = form(*(parts if order == "arrives" else reversed(parts)))
    headers = {
        "authorization": f"Bearer {key.secret}",
        "content-type": "multipart/form-data; boundary=b",
    }
    with httpx.Client(timeout=60) as plain:
        small = form(field("model", "whisper-1"), file(b"a" * MIB))
        for _ in range(4):  # what the first ones make stays
            plain.post(f"{stack.edge}/v1/audio/transcriptions", content=small, headers=headers)
        with Peak(stack) as peak:
            answer = plain.post(f"{stack.edge}/v1/audio/transcriptions", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["seconds"] == -(-len(data) // 16_000)
    assert peak.gained < 8 * MIB
    assert tenant.settled(5)[0].cost_nanousd == -(-len(data) // 16_000) * 100_000


# Files


def not_found(*calls: Callable[[], object]) -> None:
    """All at once: each is waited for, in case that it was made a moment ago."""
    with ThreadPoolExecutor(len(calls)) as pool:
        asked = [pool.submit(call) for call in calls]
    assert [type(each.exception()) for each in asked] == [NotFoundError] * len(calls)


def test_files_are_their_makers(stack: Stack, tenant: Tenant, client: OpenAI) -> None:
    """DESIGN §7: a file is listed, read and deleted by its customer; for others it isn't there. Keeping it
    costs nothing, and is on record."""
    kept = client.files.create(file=("a.txt", b"content"), purpose="user_data")
    [entry] = tenant.settled(1)
    assert (entry.state, entry.cost_nanousd, entry.why) == (VOIDED, 0, "unbilled")
    with sdk(stack, stack.admin.tenant().key()) as other:
        other_file = other.files.create(file=("b.txt", b"other"), purpose="user_data")
        not_found(
            *(
                partial(call, kept.id)
                for call in (other.files.retrieve, other.files.content, other.files.delete)
            )
        )
        assert [each.id for each in other.files.list()] in ([other_file.id], [])  # it may not be booked yet
    assert client.files.retrieve(kept.id).filename == "a.txt"
    assert client.files.content(kept.id).content == b"content"
    second = client.files.create(file=("c.txt", b"more"), purpose="vision")
    tenant.settled(2)  # lists show what is booked
    assert [each.id for each in client.files.list(limit=1)] == [second.id, kept.id]
    assert [each.id for each in client.files.list(purpose="user_data")] == [kept.id]
    assert client.files.delete(kept.id).deleted
    with pytest.raises(NotFoundError):
        client.files.retrieve(kept.id)


def test_a_key_without_rules_for_files(stack: Stack) -> None:
    """A router whose vendors keep no files says so."""
    tenant = stack.admin.customer()
    tenant.route(tenant.provider("groq", credential="gsk-1"))
    with sdk(stack, tenant.key()) as client, pytest.raises(Exception, match="serves this kind") as raised:
        client.files.create(file=("a.txt", b"content"), purpose="user_data")
    assert raised.value.status_code == 501  # type: ignore[attr-defined]


# Batches


def lines(*models: str, **fields: Any) -> bytes:
    body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, **fields}
    rows = [
        {
            "custom_id": str(number),
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model} | body,
        }
        for number, model in enumerate(models)
    ]
    return "\n".join(json.dumps(row) for row in rows).encode()


def batch_of(client: OpenAI, data: bytes, **fields: Any) -> Any:
    source = client.files.create(file=("in.jsonl", data), purpose="batch")
    return client.batches.create(
        input_file_id=source.id, endpoint="/v1/chat/completions", completion_window="24h", **fields
    )


def ended(client: OpenAI, batch_id: str) -> Any:
    for _ in range(4):
        batch = client.batches.retrieve(batch_id)
        if batch.status in ("completed", "failed", "expired", "cancelled"):
            return batch
    raise AssertionError(batch.status)


def test_l15_a_batch_is_billed_from_its_results(stack: Stack, tenant: Tenant, client: OpenAI) -> None:
    """Booked as an estimate of all its lines when it is made, corrected to what they used when its end is
    seen; what it left behind is its customer's."""
    began = stack.billed()
    batch = batch_of(client, lines(MODEL, MODEL, MODEL))
    made, _ = tenant.settled(2)
    assert (made.state, made.why) == (ESTIMATED, "batch")
    assert made.cost_nanousd > 3 * 5 * OUTPUT
    done = ended(client, batch.id)
    [row] = stack.bill(began)
    cost = row["prompt_tokens"] * INPUT // 2 + row["completion_tokens"] * OUTPUT // 2
    assert row["completion_tokens"] == 15
    booked = tenant.request(made.usage_id)
    assert (booked.state, booked.cost_nanousd, booked.finish) == (REPORTED, cost, "completed")
    assert tenant.entries(made.usage_id) == [
        ("post", made.cost_nanousd),
        ("correction", cost - made.cost_nanousd),
    ]
    ended(client, batch.id)
    assert len(tenant.entries(made.usage_id)) == 2
    assert len(client.files.content(done.output_file_id).text.splitlines()) == 3
    assert [each.id for each in client.batches.list()] == [batch.id]
    with sdk(stack, stack.admin.tenant().key()) as other:
        not_found(
            partial(other.batches.retrieve, batch.id),
            partial(other.batches.cancel, batch.id),
            partial(other.files.content, done.output_file_id),
            partial(
                other.batches.create,
                input_file_id=batch.input_file_id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
            ),
        )
        assert list(other.batches.list()) == []


def test_a_batch_has_rates_of_its_own(stack: Stack) -> None:
    """The tier `batch` of the price is what its results cost."""
    tenant = stack.admin.customer()
    provider_id = tenant.provider("custom", base_url=f"{stack.simulator}/v1", credential="sk-own")
    tenant.route(provider_id)
    half = {"service_tier": "batch", "rates": {"input": 500_000, "output": 1_000_000}}
    tenant.price(provider_id, "own", input=1_000_000, output=2_000_000, tiers=[half])
    began = stack.billed()
    with sdk(stack, tenant.key()) as client:
        batch = batch_of(client, lines("own", "own"))
        ended(client, batch.id)
    [row] = stack.bill(began)
    [made, _] = tenant.settled(2)
    tokens = row["prompt_tokens"] * 500_000 + row["completion_tokens"] * 1_000_000
    assert made.cost_nanousd == -(-tokens // 1_000_000)


@pytest.mark.parametrize(("sim", "status"), [("fail", "failed"), ("expire", "expired")])
def test_batches_that_do_not_complete(
    stack: Stack, tenant: Tenant, client: OpenAI, sim: str, status: str
) -> None:
    """One that fails costs nothing, one that expires what it answered."""
    began = stack.billed()
    batch = batch_of(client, lines(MODEL, MODEL), metadata={"sim": sim})
    assert ended(client, batch.id).status == status
    rows = stack.bill(began)
    cost = sum(row["prompt_tokens"] * INPUT + row["completion_tokens"] * OUTPUT for row in rows) // 2
    assert len(rows) == (status == "expired")
    made, _ = tenant.settled(2)
    assert (made.state, made.cost_nanousd) == (REPORTED, cost)


def test_a_cancelled_batch(tenant: Tenant, client: OpenAI) -> None:
    """What was answered until then is billed."""
    batch = batch_of(client, lines(MODEL, MODEL))
    assert client.batches.cancel(batch.id).status == "cancelling"
    assert ended(client, batch.id).status == "cancelled"
    made, _ = tenant.settled(2)
    assert made.state == REPORTED
    assert 0 < made.cost_nanousd < (100 * INPUT + 6 * OUTPUT) // 2


def test_a_batch_beyond_its_budget(stack: Stack) -> None:
    """All its lines together must fit before it is sent."""
    tenant = stack.admin.tenant(budget_nanousd=20_000_000)
    began = stack.billed()
    with sdk(stack, tenant.key()) as client:
        with pytest.raises(RateLimitError) as raised:
            batch_of(client, lines(*[MODEL] * 3, max_tokens=16_000))
        assert raised.value.code == "insufficient_quota"
        batch = batch_of(client, lines(*[MODEL] * 3, max_tokens=5), metadata={"sim": "stay"})
        time.sleep(0.1)
        assert stack.bill(began) == []
        # Nobody has to look for its end during another test.
        client.batches.cancel(batch.id)
        ended(client, batch.id)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not json\n", "Line 1"),
        (lines(MODEL) + b"\n" + lines("gpt-4o"), "Line 2 .*another model"),
        (lines(MODEL).replace(b"/v1/chat/completions", b"/v1/images/generations"), "Line 1 .*doesn't serve"),
        (lines(MODEL, max_tokens="many"), "Line 1 .*max_tokens"),
        (b"\n\n", "no request"),
    ],
)
@pytest.mark.parametrize("order", ["purpose first", "file first"])
def test_bad_batch_files(stack: Stack, tenant: Tenant, data: bytes, words: str, order: str) -> None:
    """A file that can't be counted isn't kept for a batch: the line is named."""
    parts = [field("purpose", "batch"), file(data)]
    body = form(*(parts if order == "purpose first" else reversed(parts)))
    headers = {
        "authorization": f"Bearer {tenant.key().secret}",
        "content-type": "multipart/form-data; boundary=b",
    }
    answer = httpx.post(f"{stack.edge}/v1/files", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert re.search(words, answer.json()["error"]["message"]), answer.text


def test_a_file_that_was_not_meant_for_a_batch(client: OpenAI) -> None:
    """A batch needs a file that was counted, and the endpoint its lines ask for."""
    source = client.files.create(file=("in.jsonl", lines(MODEL)), purpose="user_data")
    with pytest.raises(BadRequestError, match="purpose 'batch'"):
        client.batches.create(
            input_file_id=source.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
    source = client.files.create(file=("in.jsonl", lines(MODEL)), purpose="batch")
    with pytest.raises(BadRequestError, match="/v1/chat/completions"):
        client.batches.create(input_file_id=source.id, endpoint="/v1/embeddings", completion_window="24h")
