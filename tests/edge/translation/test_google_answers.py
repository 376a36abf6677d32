"""generateContent answers as chat completions, whole and streamed, and back in the next request."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.formats.content_google import ContentArray, ContentWatcher
from edge.translation.google.answer import whole
from edge.translation.google.contents import UNSIGNED, contents
from edge.translation.google.errors import openai_error
from edge.translation.google.stream import ChatStream
from edge.translation.google.usage import searches, usage_counts
from tests.edge.translation import google_reader, openai_reader
from tests.edge.translation.canonical import Answer, Part, ToolCall
from tests.edge.translation.google_reader import answers, encoded, stream
from tests.edge.translation.junk import spoilt
from tollkeeper.cost import UsageCounts

MODEL = "gemini-3-pro"


def completed(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer in one piece, as a client reads it."""
    made = whole(orjson.loads(json.dumps(answer)), MODEL)
    assert made.failure is None
    read: dict[str, Any] = json.loads(orjson.dumps(made.answer))
    return read


def _said(answer: Answer) -> Answer:
    """Without the ids that calls got here."""
    return replace(answer, parts=tuple(_own(part) for part in answer.parts))


def _own(part: Part) -> Part:
    return (
        replace(part, call_id="") if isinstance(part, ToolCall) and part.call_id.startswith("call_") else part
    )


def _thoughts(answer: dict[str, Any]) -> str:
    parts = answer["candidates"][0]["content"]["parts"]
    return "".join(part["text"] for part in parts if part.get("thought"))


def _signatures(answer: dict[str, Any]) -> list[str | None]:
    parts = answer["candidates"][0]["content"]["parts"]
    return [part.get("thoughtSignature") for part in parts if "functionCall" in part]


def _check_message(message: dict[str, Any], answer: dict[str, Any]) -> None:
    """What the canonical form doesn't hold."""
    assert message.get("reasoning_content", "") == _thoughts(answer)
    calls = message.get("tool_calls") or []
    found = [call.get("extra_content", {"google": {}})["google"].get("thought_signature") for call in calls]
    assert found == _signatures(answer)
    assert len({call["id"] for call in calls}) == len(calls)


@settings(max_examples=60)
@given(answer=answers())
def test_the_same_is_said(answer: dict[str, Any]) -> None:
    """Text, thoughts, calls with their signatures, the finish, and every count."""
    made = completed(answer)
    assert _said(openai_reader.answer(made)) == google_reader.answer(answer)
    _check_message(made["choices"][0]["message"], answer)


@settings(max_examples=60)
@given(answer=answers(), cuts=st.lists(st.integers(0, 3000), max_size=8))
def test_the_same_is_streamed(answer: dict[str, Any], cuts: list[int]) -> None:
    """Cut anywhere by the network and put together by OpenAI's SDK, a stream is the whole answer."""
    data = encoded(stream(answer))
    reader = ChatStream(MODEL, wants_usage=True)
    places = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    sent = b"".join(reader.feed(data[start:end]) for start, end in pairwise(places))
    assert reader.usage_is_final
    made = openai_reader.streamed(sent + reader.flush())
    assert _said(openai_reader.answer(made)) == google_reader.answer(answer)
    _check_message(made["choices"][0]["message"], answer)
    assert reader.done
    assert reader.usage == usage_counts(answer["usageMetadata"])


@settings(max_examples=100)
@given(answer=spoilt(answers()))
def test_junk_in_an_answer(answer: dict[str, Any]) -> None:
    """A vendor may answer anything: what can be read of it is."""
    made = whole(orjson.loads(json.dumps(answer)), MODEL)
    orjson.dumps(made.answer)
    assert made.answer is not None or made.failure is not None


@settings(max_examples=100)
@given(events=spoilt(answers().map(stream)))
def test_junk_in_a_stream(events: list[dict[str, Any]]) -> None:
    """And in any event; what comes out are events again. The client of Gemini's own format gets what came."""
    data = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events)
    reader = ChatStream(MODEL, wants_usage=True)
    for event in (reader.feed(data) + reader.flush()).split(b"\n\n")[:-1]:
        assert event == b"data: [DONE]" or json.loads(event.removeprefix(b"data: "))
    watcher = ContentWatcher(MODEL, 1)
    assert (watcher.feed(data) + watcher.flush()).startswith(data)
    array = ContentArray(MODEL, 1)
    json.loads(array.feed(data) + array.flush())


@settings(max_examples=60)
@given(answer=answers(), streamed=st.booleans())
def test_a_client_hands_it_back(answer: dict[str, Any], streamed: bool) -> None:
    """What the next request says about this answer is what Gemini had said, signatures unchanged."""
    if streamed:
        reader = ChatStream(MODEL, wants_usage=False)
        sent = reader.feed(encoded(stream(answer))) + reader.flush()
        message = openai_reader.streamed(sent)["choices"][0]["message"]
    else:
        message = completed(answer)["choices"][0]["message"]
    [turn], _ = contents([message], MODEL)
    back = answer | {"candidates": [answer["candidates"][0] | {"content": turn}]}
    assert _said(google_reader.answer(back)).parts == google_reader.answer(answer).parts
    assert _thoughts(back) == _thoughts(answer)
    given_signatures, signatures = _signatures(answer), _signatures(back)
    if signatures and not any(given_signatures):
        given_signatures[0] = UNSIGNED
    assert signatures == given_signatures


def event(*parts: dict[str, Any], finish: str = "", index: int = 0, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": index}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r1", **fields}


THOUGHT = event(
    {"text": "…", "thought": True},
    usageMetadata={"promptTokenCount": 40, "totalTokenCount": 65, "thoughtsTokenCount": 25},
)
TEXT = event(
    {"text": "Hi"},
    usageMetadata={
        "promptTokenCount": 40,
        "candidatesTokenCount": 2,
        "totalTokenCount": 92,
        "thoughtsTokenCount": 50,
    },
)
CALL = event(
    {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
    finish="STOP",
    usageMetadata={
        "promptTokenCount": 40,
        "cachedContentTokenCount": 16,
        "candidatesTokenCount": 12,
        "thoughtsTokenCount": 50,
        "toolUsePromptTokenCount": 8,
        "totalTokenCount": 110,
    },
)


def read(*events: dict[str, Any], wants_usage: bool = True, choices: int = 1) -> tuple[ChatStream, bytes]:
    reader = ChatStream(MODEL, wants_usage, choices)
    return reader, reader.feed(encoded(list(events))) + reader.flush()


def test_a_stream_of_googles() -> None:
    """Usage grows and is on every event: the last one counts, nothing is added up."""
    reader, sent = read(THOUGHT, TEXT, CALL)
    assert reader.usage == UsageCounts(
        input_tokens=48, cached_input_tokens=16, output_tokens=62, reasoning_tokens=50
    )
    whole = openai_reader.streamed(sent)
    assert whole["usage"]["total_tokens"] == 110
    [choice] = whole["choices"]
    assert choice["finish_reason"] == reader.finish == "tool_calls"
    assert choice["message"]["reasoning_content"] == "…"
    [call] = choice["message"]["tool_calls"]
    assert (call["id"], call["function"]) == ("call_r1_0_0", {"name": "f", "arguments": '{"x":1}'})


def test_a_stream_keeps_all_digits() -> None:
    """Of the arguments of a call, beyond 64 bits."""
    call = event({"functionCall": {"name": "f", "args": {"x": 2**70}}}, finish="STOP")
    _, sent = read(call)
    message = openai_reader.streamed(sent)["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"x": 2**70}


@pytest.mark.parametrize("wanted", [True, False])
def test_usage_is_told_to_whom_asked(wanted: bool) -> None:
    """One last chunk without choices, and null on the others, or neither."""
    _, sent = read(TEXT, CALL, wants_usage=wanted)
    assert (b'"choices":[],' in sent) is wanted
    assert (b'"usage":null' in sent) is wanted


def test_choices_interleave() -> None:
    """Each has its role, its calls' places and its finish; the usage is final when all have ended."""
    texts = [event({"text": f"t{index}"}, index=index) for index in (0, 1)]
    ends = [event({"text": ""}, finish="STOP", index=index) for index in (0, 1)]
    reader = ChatStream(MODEL, wants_usage=False, choice_count=2)
    sent = reader.feed(encoded([*texts, ends[0]]))
    assert not reader.usage_is_final
    sent += reader.feed(encoded(ends[1:])) + reader.flush()
    chunks = [orjson.loads(line[6:]) for line in sent.decode().split("\n\n")[:-2]]
    said = [(chunk["choices"][0]["index"], chunk["choices"][0]["delta"].get("content")) for chunk in chunks]
    assert said == [(0, ""), (0, "t0"), (1, ""), (1, "t1"), (0, None), (1, None)]
    assert reader.done


BLOCKED = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 40}}


def test_a_blocked_prompt() -> None:
    """A refusal in both forms, not an error; what was used is known."""
    made = whole(BLOCKED, MODEL)
    assert made.usage == UsageCounts(input_tokens=40)
    assert made.answer is not None
    [choice] = made.answer["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", None)
    assert "SAFETY" in choice["message"]["refusal"]
    reader, sent = read(BLOCKED)
    streamed = openai_reader.streamed(sent)
    assert streamed["choices"][0]["message"]["refusal"] == choice["message"]["refusal"]
    assert reader.usage_is_final
    assert reader.finish == "content_filter"


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "OTHER", "MISSING_THOUGHT_SIGNATURE"])
def test_a_failed_answer(reason: str) -> None:
    """It is no answer, but what it used is told."""
    failed = event(finish=reason, usageMetadata={"promptTokenCount": 4})
    made = whole(failed, MODEL)
    assert made.answer is None
    assert made.failure is not None
    assert made.failure.metadata["code"] == reason.lower()
    assert made.usage == UsageCounts(input_tokens=4)
    reader, sent = read(TEXT, failed)
    assert reason.lower().encode() in sent
    assert b"[DONE]" not in sent
    assert (reader.done, reader.error is None, reader.usage) == (False, False, made.usage)


def test_an_answer_of_nothing() -> None:
    """Neither candidates nor a reason why."""
    made = whole({"usageMetadata": {"promptTokenCount": 4}}, MODEL)
    assert made.failure is not None
    assert made.usage is not None


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_an_error_in_the_stream(wrapped: bool, bare: bool) -> None:
    """Bare JSON or an event, in an array or not: OpenAI's error event, and nothing follows."""
    error: Any = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    error = [error] if wrapped else error
    data = json.dumps(error, indent=2).encode() + b"\n" if bare else encoded([error])
    reader = ChatStream(MODEL, wants_usage=False)
    sent = (
        reader.feed(encoded([TEXT]) + data) + reader.feed(b"" if bare else encoded([CALL])) + reader.flush()
    )
    last = json.loads(sent.decode().rstrip().rpartition("data: ")[2])
    assert last["error"] == {
        "message": "overloaded",
        "type": "server_error",
        "param": None,
        "code": "unavailable",
    }
    assert reader.error == error
    assert not reader.done


@pytest.mark.parametrize("events", [[TEXT], []])
def test_a_stream_that_ends_too_early(events: list[dict[str, Any]]) -> None:
    """It mustn't look complete."""
    reader, sent = read(*events)
    assert b"upstream_disconnected" in sent
    assert b"[DONE]" not in sent
    assert not reader.usage_is_final


@pytest.mark.parametrize(
    "data", [b"data: {broken\n\n", b"data: 17\n\n", b": \xff\xfe\n\n", b"<html></html>\n\n", b"data: []\n\n"]
)
def test_garbage_is_passed_over(data: bytes) -> None:
    """A stream that makes no sense ends as one that was cut off."""
    reader = ChatStream(MODEL, wants_usage=False)
    assert reader.feed(data) == b""
    assert b"upstream_disconnected" in reader.flush()


@pytest.mark.parametrize(
    "answer",
    [
        {"candidates": [None, 5, {"content": 7}, {"content": {"parts": [5, {}, {"text": 5}]}}]},
        {"candidates": [{"index": -1, "content": {"parts": [{"functionCall": {"args": None}}]}}]},
        {"candidates": [{"finishReason": 9, "logprobsResult": 4, "content": {"parts": 3}}]},
    ],
)
def test_misshapen_answers(answer: dict[str, Any]) -> None:
    """Nothing that a vendor sends is a fault of ours."""
    assert whole(answer, MODEL).answer is not None
    read(answer)


def test_pictures_and_probabilities() -> None:
    """What OpenAI has no field for, and what it has."""
    answer = event(
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"text": "a", "thoughtSignature": "s"}
    )
    token = {"token": "é", "tokenId": 5, "logProbability": -0.5}
    answer["candidates"][0]["logprobsResult"] = {
        "chosenCandidates": [token],
        "topCandidates": [{"candidates": [token]}],
    }
    made = whole(answer, MODEL).answer
    assert made is not None
    [choice] = made["choices"]
    told = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    assert choice["logprobs"]["content"] == [told | {"top_logprobs": [told]}]
    assert choice["message"]["images"][0]["image_url"] == {"url": "data:image/png;base64,AAAA"}
    assert choice["message"]["extra_content"] == {"google": {"thought_signature": "s"}}
    _, sent = read(answer, event(finish="STOP"))
    assert sent.count(b'"logprob":-0.5') == 2
    assert b'"images":[' in sent


@pytest.mark.parametrize(
    "usage",
    [
        None,
        7,
        {},
        {"totalTokenCount": 5},
        {"promptTokenCount": -1},
        {"promptTokenCount": True},
        {"promptTokenCount": 10**12},
        {"promptTokenCount": 1, "candidatesTokenCount": "2"},
    ],
)
def test_usage_that_cant_be_trusted(usage: object) -> None:
    """It is no usage at all."""
    assert usage_counts(usage) is None


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"totalTokenCount": 9}, UsageCounts(4, output_tokens=5, reasoning_tokens=5)),
        ({"serviceTier": "STANDARD"}, UsageCounts(4)),
        ({"serviceTier": "flex"}, UsageCounts(4, service_tier="flex")),
        (
            {
                "promptTokensDetails": [
                    {"modality": "AUDIO", "tokenCount": 3},
                    {"modality": "IMAGE", "tokenCount": 1},
                    {"modality": "AUDIO"},
                    5,
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}],
                "cachedContentTokenCount": 2,
                "candidatesTokenCount": 8,
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 7}],
            },
            UsageCounts(
                4,
                cached_input_tokens=2,
                audio_input_tokens=1,
                image_input_tokens=1,
                output_tokens=8,
                image_output_tokens=7,
            ),
        ),
    ],
)
def test_details(usage: dict[str, Any], counts: UsageCounts) -> None:
    """A total with more than its parts is billed; cached tokens aren't billed as sound as well."""
    assert usage_counts({"promptTokenCount": 4} | usage) == counts


@pytest.mark.parametrize(("model", "count"), [("gemini-2.5-flash", 1), ("gemini-3-pro", 2)])
def test_searches(model: str, count: int) -> None:
    """Once for a request, or once for a query, by generation."""
    queries = {"webSearchQueries": ["a", "b", "a", 5]}
    candidates = [{"groundingMetadata": queries}, {"groundingMetadata": 5}, 6]
    assert searches(candidates, model) == count
    assert searches(None, model) == searches([{}], model) == 0


def _quota(quota_id: str) -> bytes:
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota_id}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
    ]
    error = {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details}
    return orjson.dumps([{"error": error}])


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (429, _quota("RequestsPerMinutePerProject"), "rate_limit_error", "resource_exhausted"),
        (429, _quota("RequestsPerDayPerProject"), "insufficient_quota", "insufficient_quota"),
        (
            402,
            b'{"error":{"code":402,"message":"m","status":"RESOURCE_EXHAUSTED"}}',
            "insufficient_quota",
            "insufficient_quota",
        ),
        (
            404,
            b'{"error":{"code":404,"message":"m","status":"NOT_FOUND"}}',
            "invalid_request_error",
            "model_not_found",
        ),
        (
            400,
            b'{"error":{"message":"m","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}',
            "invalid_request_error",
            "api_key_invalid",
        ),
        (500, b'{"error":{"message":"m"}}', "server_error", None),
    ],
)
def test_errors(status: int, body: bytes, kind: str, code: str | None) -> None:
    """Gemini's in OpenAI's envelope."""
    found = openai_error(status, body)
    assert found is not None
    assert json.loads(found)["error"] == {"message": "m", "type": kind, "param": None, "code": code}


@pytest.mark.parametrize("body", [b"<html>", b'{"error":"text"}', b"[]", b"[5]", b"7"])
def test_errors_that_are_none(body: bytes) -> None:
    """They go on as they came."""
    assert openai_error(500, body) is None
