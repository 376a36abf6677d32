"""Completions, embeddings and moderations through the whole product: answers, holds and ledger entries."""

import json
from typing import Any

import pytest

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.stack import Stack
from tests.e2e.wire import Reply, ask
from tollkeeper.v1.edge_pb2 import UsageState

REPORTED = UsageState.USAGE_STATE_REPORTED
# gpt-4o-mini's, in nano-dollars a model token.
INPUT, OUTPUT = 150, 600
# text-embedding-3-small's.
EMBEDDED = 20


async def post(stack: Stack, key: VirtualKey, path: str, **fields: Any) -> Reply:
    return await ask(stack.edge, key.secret, json.dumps(fields).encode(), path=f"/v1/{path}")


COMPLETIONS: list[tuple[dict[str, Any], int, int]] = [
    ({"prompt": "x" * 400, "max_tokens": 5}, 100, 5),
    ({"prompt": "x" * 400, "max_tokens": 5, "n": 2, "best_of": 3}, 100, 15),
    ({"prompt": ["x" * 40] * 4, "max_tokens": 5}, 40, 20),
    ({"prompt": [1, 2, 3], "max_tokens": 5}, 3, 5),
]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("body", "prompt", "output"), COMPLETIONS)
async def test_a19_completions(
    stack: Stack, tenant: Tenant, body: dict[str, Any], prompt: int, output: int, stream: bool
) -> None:
    """Every candidate of every prompt is billed, exactly; the client that didn't ask gets no usage event."""
    if stream and "best_of" in body:
        pytest.skip("vendors refuse it")
    before = stack.billed()
    reply = await post(stack, tenant.key(), "completions", model="gpt-4o-mini", stream=stream, **body)
    assert reply.status == 200, reply.body
    [entry] = tenant.settled(1)
    assert (entry.state, entry.cost_nanousd) == (REPORTED, prompt * INPUT + output * OUTPUT)
    assert tenant.entries(entry.usage_id) == [("post", entry.cost_nanousd)]
    [row] = stack.bill(before)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (prompt, output)
    assert (b'"usage"' in reply.body) != stream


@pytest.mark.parametrize(
    ("given", "tokens"), [("x" * 400, 100), (["x" * 400, "y" * 40], 110), ([[1, 2], [3]], 3)]
)
async def test_a19_embeddings(stack: Stack, tenant: Tenant, given: Any, tokens: int) -> None:
    """Input is all that is billed; the encoding is the client's own."""
    model = "text-embedding-3-small"
    reply = await post(stack, tenant.key(), "embeddings", model=model, input=given, encoding_format="base64")
    assert reply.status == 200, reply.body
    assert isinstance(reply.json()["data"][0]["embedding"], str)
    [entry] = tenant.settled(1)
    assert (entry.state, entry.cost_nanousd) == (REPORTED, tokens * EMBEDDED)
    [captured] = stack.captured()
    assert json.loads(captured["body"])["encoding_format"] == "base64"


async def test_a19_moderations_are_priced_at_nothing(stack: Stack, tenant: Tenant) -> None:
    """Through the same meter as everything; a model that nobody priced is refused, however free it may be."""
    key = tenant.key()
    reply = await post(stack, key, "moderations", input=["peace", "violence"])
    assert reply.status == 200, reply.body
    assert [each["flagged"] for each in reply.json()["results"]] == [False, True]
    [entry] = tenant.settled(1)
    assert (entry.state, entry.cost_nanousd) == (REPORTED, 0)
    assert entry.requested_model == "omni-moderation-latest"
    refused = await post(stack, key, "moderations", model="own-moderation", input="a")
    assert (refused.status, refused.error["code"]) == (400, "model_not_priced")


@pytest.mark.parametrize("path", ["completions", "embeddings", "moderations", "responses"])
async def test_a_provider_chooses_under_ai(stack: Stack, tenant: Tenant, path: str) -> None:
    """B6: `provider` in the body is used here and not forwarded."""
    body: dict[str, Any] = {"model": "gpt-4o-mini", "prompt": "a", "input": "a", "max_output_tokens": 16}
    reply = await post(stack, tenant.key(), f"ai/{path}", provider="openai", **body)
    assert reply.status == 200, reply.body
    [captured] = stack.captured()
    assert "provider" not in json.loads(captured["body"])
    missing = await post(stack, tenant.key(), f"ai/{path}", provider="groq", **body)
    assert missing.status == 400, missing.body


async def test_a_vendor_without_the_endpoint_is_skipped(stack: Stack) -> None:
    """501 where no rule leads to one that serves it."""
    tenant = stack.admin.customer()
    tenant.route(tenant.provider("perplexity", credential="sk-vendor"))
    body = {"model": "gpt-4o-mini", "input": "a"}
    reply = await post(stack, tenant.key(), "embeddings", **body)
    assert (reply.status, reply.error["code"]) == (501, "endpoint_not_supported")
    tenant.route(
        tenant.provider("perplexity", credential="sk-vendor"), tenant.provider("openai", credential="sk-v")
    )
    assert (await post(stack, tenant.key(), "embeddings", **body)).status == 200


@pytest.mark.parametrize("path", ["completions", "embeddings", "responses"])
async def test_a16_a_budget_that_cannot_cover_it(stack: Stack, path: str) -> None:
    """A16: the worst case doesn't fit, so nothing is sent."""
    tenant = stack.admin.tenant(budget_nanousd=1000)
    before = stack.billed()
    body = {"model": "gpt-4o-mini", "prompt": "x" * 1000, "input": "x" * 1000, "max_tokens": 500}
    reply = await post(stack, tenant.key(), path, **body)
    assert (reply.status, reply.error["code"]) == (429, "insufficient_quota")
    assert stack.billed() == before
