"""LangChain's ChatOpenAI: plain, streamed, tools and their results, structured output, errors."""

from typing import Any

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.e2e.sdk.test_one_of_each import ASK, MODEL, SENTENCE
from tests.e2e.stack import Stack

pytestmark = pytest.mark.slow


@tool
def look_up(text: str) -> str:
    """Looks a word up."""
    return f"{text} is a word"


@pytest.fixture
def chat(stack: Stack, secret: str) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, base_url=f"{stack.edge}/v1", api_key=secret, max_retries=0)


def test_plain(chat: ChatOpenAI) -> None:
    """Text and usage."""
    answer = chat.invoke(ASK)
    assert (answer.content, answer.usage_metadata["output_tokens"]) == (SENTENCE, 6)


def test_streamed(chat: ChatOpenAI) -> None:
    """The pieces add up, and the usage that LangChain asks for comes with them."""
    whole: Any = None
    for chunk in chat.stream(ASK, stream_usage=True):
        whole = chunk if whole is None else whole + chunk
    assert (whole.content, whole.usage_metadata["output_tokens"]) == (SENTENCE, 6)


async def test_async(chat: ChatOpenAI) -> None:
    """Several at once."""
    answers = await chat.abatch([ASK] * 4)
    assert [answer.content for answer in answers] == [SENTENCE] * 4


def test_tools(chat: ChatOpenAI) -> None:
    """A call, its result, and the answer to that."""
    asked = HumanMessage(ASK)
    called = chat.bind_tools([look_up], tool_choice="required").invoke([asked])
    [call, *_] = called.tool_calls
    assert (call["name"], call["args"]) == ("look_up", {"text": "the toll is paid"})
    results = [
        ToolMessage(look_up.invoke(each["args"]), tool_call_id=each["id"]) for each in called.tool_calls
    ]
    assert chat.invoke([asked, called, *results, HumanMessage(ASK)]).content == SENTENCE


def test_responses(chat: ChatOpenAI) -> None:
    """Its other way to ask: the Responses API, whole and streamed."""
    asking = chat.model_copy(update={"use_responses_api": True})
    assert asking.invoke(ASK).text == SENTENCE
    assert "".join(chunk.text for chunk in asking.stream(ASK)) == SENTENCE


def test_embeddings(stack: Stack, secret: str) -> None:
    """Its vectors; it would cut texts by itself, which needs a download."""
    embeddings = OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=f"{stack.edge}/v1",
        api_key=secret,
        check_embedding_ctx_length=False,
    )
    assert len(embeddings.embed_documents(["one", "two"])) == 2


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "gemini-2.5-flash"])
def test_translated(chat: ChatOpenAI, model: str) -> None:
    """Other vendors' models, in OpenAI's words."""
    asking = chat.model_copy(update={"model_name": model})
    assert asking.invoke(ASK).content == SENTENCE
    assert "".join(chunk.text for chunk in asking.stream(ASK)) == SENTENCE


def test_refusals(chat: ChatOpenAI) -> None:
    """The gateway's refusal is what its user catches from OpenAI."""
    with pytest.raises(openai.BadRequestError) as refused:
        chat.invoke(ASK, model="no-such-model")
    assert refused.value.code == "model_not_priced"
