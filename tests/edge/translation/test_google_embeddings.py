"""OpenAI's embeddings as batchEmbedContents, and back."""

import struct
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.translation.google.embeddings import batch_request, embedding_list
from tollkeeper.cost import UsageCounts
from tollkeeper.errors import TollkeeperError

MODEL = "gemini-embedding-001"


@given(texts=st.lists(st.text(), min_size=1), dimensions=st.none() | st.integers(1, 3072))
def test_the_same_is_asked(texts: list[str], dimensions: int | None) -> None:
    """Each text once, in order, with the model and the size that were asked for."""
    body: dict[str, Any] = {"model": "x", "input": texts, "dimensions": dimensions, "user": "ann"}
    asked = batch_request(body, MODEL)["requests"]
    assert [each["content"]["parts"] for each in asked] == [[{"text": text}] for text in texts]
    assert {each["model"] for each in asked} == {f"models/{MODEL}"}
    assert {each.get("outputDimensionality") for each in asked} == {dimensions}


def test_one_text() -> None:
    """Without a list around it."""
    assert len(batch_request({"input": "a"}, MODEL)["requests"]) == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [1, 2]}, "input"),
        ({"input": [[1], [2]]}, "input"),
        ({"input": ["a", 5]}, "input"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"input_type": "query"}, "input_type"),
    ],
)
def test_what_cant_be_carried(fields: dict[str, Any], param: str) -> None:
    """Refused with its name."""
    with pytest.raises(TollkeeperError) as refused:
        batch_request({"input": "a"} | fields, MODEL)
    assert refused.value.metadata["param"] == param


@pytest.mark.parametrize("encoding", [None, "float", "base64"])
def test_answers(encoding: str | None) -> None:
    """In the encoding that was asked for; usage as Gemini reports it."""
    answer = {
        "embeddings": [{"values": [0.5, -1]}, {"values": []}],
        "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3},
    }
    listed, usage = embedding_list(answer, MODEL, encoding)
    vectors = [each["embedding"] for each in listed["data"]]
    if encoding == "base64":
        vectors = [list(struct.unpack(f"<{len(b64decode(each)) // 4}f", b64decode(each))) for each in vectors]
    assert vectors == [[0.5, -1], []]
    assert [each["index"] for each in listed["data"]] == [0, 1]
    assert listed["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert usage == UsageCounts(input_tokens=3)


@pytest.mark.parametrize("answer", [{}, {"embeddings": [5]}, {"embeddings": [{"values": ["a"]}]}])
def test_what_is_no_answer(answer: dict[str, Any]) -> None:
    """The format makes a failure of it."""
    with pytest.raises(TollkeeperError):
        embedding_list(answer, MODEL, None)


def test_usage_may_be_missing() -> None:
    """Then it is estimated."""
    assert embedding_list({"embeddings": []}, MODEL, None)[1] is None
