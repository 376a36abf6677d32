"""OpenAI's SDK for Python over what answers with text or numbers, beside chat: completions, embeddings,
moderations, responses."""

from collections.abc import Iterator

import openai
import pytest

from tests.e2e.sdk.test_one_of_each import ASK, SENTENCE
from tests.e2e.stack import Stack

pytestmark = pytest.mark.slow

MODEL = "gpt-4o-mini"


@pytest.fixture
def client(stack: Stack, secret: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.edge}/v1", api_key=secret, max_retries=0) as client:
        yield client


def test_completions(client: openai.OpenAI) -> None:
    """Whole, and in pieces."""
    model = "gpt-3.5-turbo-instruct"
    answer = client.completions.create(model=model, prompt=ASK)
    with client.completions.create(model=model, prompt=ASK, stream=True) as stream:
        pieces = "".join(chunk.choices[0].text for chunk in stream if chunk.choices)
    assert answer.choices[0].text == pieces == SENTENCE
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 6


def test_embeddings(client: openai.OpenAI) -> None:
    """A vector for each text, in their order; the SDK asks for base64 and reads it."""
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    assert [each.index for each in answer.data] == [0, 1]
    assert all(isinstance(each.embedding[0], float) for each in answer.data)
    assert answer.usage.prompt_tokens > 0


def test_moderations(client: openai.OpenAI) -> None:
    """A verdict for each text."""
    answer = client.moderations.create(model="omni-moderation-latest", input=["one", "two"])
    assert len(answer.results) == 2


def test_responses(client: openai.OpenAI) -> None:
    """A response's text and usage, by the SDK's own accessor."""
    answer = client.responses.create(model=MODEL, input=ASK)
    assert (answer.status, answer.output_text) == ("completed", SENTENCE)
    assert answer.usage is not None
    assert answer.usage.output_tokens == 6


def test_responses_streamed(client: openai.OpenAI) -> None:
    """The SDK's accumulator knows every event and ends with the whole response."""
    with client.responses.stream(model=MODEL, input=ASK) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == SENTENCE
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


def test_responses_are_kept(client: openai.OpenAI) -> None:
    """Looked at, listed, continued and deleted; then it isn't there."""
    first = client.responses.create(model=MODEL, input=ASK)
    assert client.responses.retrieve(first.id).output_text == SENTENCE
    assert len(client.responses.input_items.list(first.id).data) == 1
    second = client.responses.create(model=MODEL, input=ASK, previous_response_id=first.id)
    assert second.previous_response_id == first.id
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_responses_in_the_background(client: openai.OpenAI) -> None:
    """Begun, and cancelled or found complete."""
    begun = client.responses.create(model=MODEL, input="Hello [[sim tokens=16 drip_ms=100]]", background=True)
    assert begun.status in ("queued", "in_progress")
    assert client.responses.cancel(begun.id).status in ("cancelled", "completed")


def test_responses_input_tokens(client: openai.OpenAI) -> None:
    """Counted without an answer."""
    assert client.responses.input_tokens.count(model=MODEL, input=ASK).input_tokens > 0


def test_models(client: openai.OpenAI) -> None:
    """All families' models are in one list."""
    assert {"gpt-4o-mini", "text-embedding-3-small"} <= {model.id for model in client.models.list()}


def test_what_isnt_served(client: openai.OpenAI) -> None:
    """501 with a code, and no second try."""
    with pytest.raises(openai.InternalServerError) as refused:
        client.with_options(max_retries=2).fine_tuning.jobs.list()
    assert (refused.value.status_code, refused.value.code) == (501, "endpoint_not_supported")
    assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"
