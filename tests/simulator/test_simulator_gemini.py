"""The Gemini API: its formats, its refusals, and the bill, which is the one of chat."""

from typing import Any

import httpx
import orjson
import pytest

from simulator import Simulator

MODEL = "gemini-3-pro"
FUNCTIONS = [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}]


def path(method: str = "generateContent", model: str = MODEL, version: str = "v1beta") -> str:
    return f"/{version}/models/{model}:{method}"


def ask(text: str = "hello", **fields: object) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **fields}


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"] == "text/event-stream"
    return [orjson.loads(event.removeprefix("data: ")) for event in answer.text.split("\n\n") if event]


def said(answers: list[dict[str, Any]]) -> str:
    parts = [part for answer in answers for part in answer["candidates"][0]["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_whole(client: httpx.AsyncClient, simulator: Simulator, version: str) -> None:
    """Thoughts are counted beside the candidates and billed with them."""
    asked = ask("[[sim tokens=9,reasoning=4,prompt=40,cached=16]]")
    answer = (await client.post(path(version=version), json=asked)).json()
    [candidate] = answer["candidates"]
    assert candidate["finishReason"] == "STOP"
    assert [part.get("thought") for part in candidate["content"]["parts"]] == [True, None]
    usage = answer["usageMetadata"]
    assert (usage["promptTokenCount"], usage["cachedContentTokenCount"]) == (40, 16)
    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"]) == (5, 4)
    assert usage["totalTokenCount"] == 49
    [row] = simulator.bill.rows()
    assert (row["prompt_tokens"], row["completion_tokens"], row["reasoning_tokens"]) == (40, 9, 4)
    assert (row["provider"], row["model"], row["cached_tokens"]) == ("direct", MODEL, 16)


async def test_stream_in_both_forms(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """Events and the array say the same; usage grows and the last event says why it ended."""
    asked = ask("[[sim tokens=5]]", generationConfig={"maxOutputTokens": 5})
    streamed = events(await client.post(path("streamGenerateContent") + "?alt=sse", json=asked))
    array = await client.post(path("streamGenerateContent"), json=asked)
    assert array.headers["content-type"].startswith("application/json")
    for answers in (streamed, array.json()):
        assert len(said(answers).split()) == 5
        counts = [answer["usageMetadata"].get("candidatesTokenCount", 0) for answer in answers]
        assert counts == sorted(counts)
        assert counts[-1] == 5
        ends = [answer["candidates"][0].get("finishReason") for answer in answers]
        assert ends[-1] == "MAX_TOKENS"
        assert not any(ends[:-1])
    assert [row["finish"] for row in simulator.bill.rows()] == ["complete", "complete"]


async def test_behind_the_gateway(client: httpx.AsyncClient, simulator: Simulator, gateway: str) -> None:
    """Cloudflare's slug, its headers and its event id."""
    answer = await client.post(
        f"{gateway}/google-ai-studio{path()}", json=ask(), headers={"cf-aig-event-id": "e-1"}
    )
    assert answer.status_code == 200
    assert answer.headers["cf-aig-event-id"] == "e-1"
    assert simulator.bill.rows()[0]["provider"] == "google-ai-studio"


async def test_calls_are_signed_and_signatures_wanted_back(client: httpx.AsyncClient) -> None:
    """From generation 3 on; the stand-in that Google documents will do."""
    asked = ask("[[sim tool]]", tools=FUNCTIONS)
    answer = (await client.post(path(), json=asked)).json()
    part = answer["candidates"][0]["content"]["parts"][0]
    result = {"functionResponse": {"name": "f", "response": {"output": "1"}}}
    for signature, status in ((part["thoughtSignature"], 200), (None, 400), ("bm8=", 400)):
        call = {"functionCall": part["functionCall"]}
        if signature is not None:
            call["thoughtSignature"] = signature
        turns = [
            *asked["contents"],
            {"role": "model", "parts": [call]},
            {"role": "user", "parts": [result]},
        ]
        again = await client.post(path(), json={"contents": turns, "tools": FUNCTIONS})
        assert again.status_code == status
    older = await client.post(path(model="gemini-2.5-pro"), json=asked)
    assert "thoughtSignature" not in older.json()["candidates"][0]["content"]["parts"][0]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": []},
        ask(temperature=1),
        ask(generationConfig={"max_tokens": 1}),
        ask(generationConfig={"maxOutputTokens": 1, "max_output_tokens": 1}),
        ask(generationConfig={"maxOutputTokens": 0}),
        {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "x", "inlineData": {}}]}]},
        {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]},
        {"contents": [{"role": "user", "parts": []}]},
        {"contents": ["x"]},
    ],
)
async def test_refuses_what_google_refuses(
    client: httpx.AsyncClient, simulator: Simulator, body: dict[str, Any]
) -> None:
    """Unknown names above all: a translation that sends one must not pass by luck."""
    answer = await client.post(path(), json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert simulator.bill.rows() == []


async def test_snake_case_is_read(client: httpx.AsyncClient) -> None:
    """Names may be written in both ways."""
    asked = {
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]}],
        "system_instruction": {"parts": {"text": "short"}},
        "generation_config": {"max_output_tokens": 3},
    }
    answer = (await client.post(path(), json=asked)).json()
    assert answer["candidates"][0]["finishReason"] == "MAX_TOKENS"


@pytest.mark.parametrize(
    ("steering", "status", "name"),
    [
        ("status=429", 429, "RESOURCE_EXHAUSTED"),
        ("status=503", 503, "UNAVAILABLE"),
        ("status=404", 404, "NOT_FOUND"),
        ("tokens=nope", 400, "INVALID_ARGUMENT"),
    ],
)
async def test_errors(client: httpx.AsyncClient, steering: str, status: int, name: str) -> None:
    """Google's envelope."""
    answer = await client.post(path(), json=ask(), headers={"x-sim": steering})
    assert answer.status_code == status
    assert (answer.json()["error"]["code"], answer.json()["error"]["status"]) == (status, name)


@pytest.mark.parametrize("target", [path(), path() + "?key=sk-invalid"])
async def test_wrong_key(client: httpx.AsyncClient, target: str) -> None:
    """A 400 with a reason, whether it came in the header or in the query."""
    headers = {} if "key=" in target else {"x-goog-api-key": "sk-invalid"}
    answer = await client.post(target, json=ask(), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"


async def test_error_inside_a_stream(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """Bare JSON, not an event."""
    answer = await client.post(
        path("streamGenerateContent") + "?alt=sse", json=ask(), headers={"x-sim": "error_event_after=2"}
    )
    last = answer.text.split("\n\n", 2)[2]
    assert last.startswith("{")
    assert orjson.loads(last)["error"]["status"] == "INTERNAL"
    assert simulator.bill.rows()[0]["finish"] == "error"


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
async def test_blocked_prompt(client: httpx.AsyncClient, simulator: Simulator, method: str) -> None:
    """A success without candidates, billed as a prompt only."""
    answer = await client.post(path(method), json=ask(), headers={"x-sim": "blocked,prompt=7"})
    told = orjson.loads(answer.content)
    told = told[0] if isinstance(told, list) else told
    assert "candidates" not in told
    assert told["promptFeedback"]["blockReason"] == "SAFETY"
    assert told["usageMetadata"]["totalTokenCount"] == 7
    row = simulator.bill.rows()[0]
    assert (row["prompt_tokens"], row["completion_tokens"]) == (7, 0)


async def test_any_finish_reason(client: httpx.AsyncClient) -> None:
    """As it is steered; a stream may also end without one."""
    steered = {"x-sim": "finish=MALFORMED_FUNCTION_CALL"}
    answer = (await client.post(path(), json=ask(), headers=steered)).json()
    assert answer["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"
    target = path("streamGenerateContent") + "?alt=sse"
    streamed = events(await client.post(target, json=ask(), headers={"x-sim": "no_done"}))
    assert "finishReason" not in streamed[-1]["candidates"][0]


async def test_count_tokens_is_free(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """It counts what a request would be billed for."""
    counted = await client.post(path("countTokens"), json=ask("x" * 40))
    assert counted.json()["totalTokens"] == 13
    whole = {"generateContentRequest": {"model": f"models/{MODEL}", **ask("x" * 40)}}
    assert (await client.post(path("countTokens"), json=whole)).json()["totalTokens"] == 13
    assert simulator.bill.rows() == []


async def test_embeddings(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """One or many; each names the model of the path, and the prompt is billed."""
    content = {"content": {"parts": [{"text": "x" * 40}]}, "outputDimensionality": 3}
    one = (await client.post(path("embedContent"), json=content)).json()
    assert len(one["embedding"]["values"]) == 3
    named = content | {"model": f"models/{MODEL}"}
    many = await client.post(path("batchEmbedContents"), json={"requests": [named, named]})
    assert len(many.json()["embeddings"]) == 2
    assert many.json()["usageMetadata"]["promptTokenCount"] == 20
    assert [row["prompt_tokens"] for row in simulator.bill.rows()] == [10, 20]
    unnamed = await client.post(path("batchEmbedContents"), json={"requests": [content]})
    empty = await client.post(path("embedContent"), json={})
    assert (unnamed.status_code, empty.status_code) == (400, 400)


async def test_models(client: httpx.AsyncClient, gateway: str) -> None:
    """Google's own list, behind the gateway and directly."""
    for target in (f"{gateway}/google-ai-studio/v1beta/models", "/v1beta/models"):
        names = [each["name"] for each in (await client.get(target)).json()["models"]]
        assert f"models/{MODEL}" in names


async def test_unknown_method(client: httpx.AsyncClient) -> None:
    """Google's 404."""
    answer = await client.post(path("rewrite"), json=ask())
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
