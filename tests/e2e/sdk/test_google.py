"""Google's SDK over the Gemini API: plain, streamed, tools, counting, errors."""

from collections.abc import Iterator

import pytest
from google import genai
from google.genai import errors, types

from tests.e2e.sdk.test_one_of_each import ASK, SENTENCE
from tests.e2e.stack import Stack

pytestmark = pytest.mark.slow

MODEL = "gemini-2.5-flash"
TOOLS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="look_up", parameters_json_schema={"type": "object", "properties": {}})
    ]
)


@pytest.fixture
def client(stack: Stack, secret: str) -> Iterator[genai.Client]:
    client = genai.Client(api_key=secret, http_options=types.HttpOptions(base_url=stack.edge))
    yield client
    client.close()


def test_plain(client: genai.Client) -> None:
    """Text and usage."""
    answer = client.models.generate_content(model=MODEL, contents=ASK)
    assert answer.text == SENTENCE
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.candidates_token_count == 6


def test_streamed(client: genai.Client) -> None:
    """The pieces add up."""
    pieces = list(client.models.generate_content_stream(model=MODEL, contents=ASK))
    assert "".join(piece.text or "" for piece in pieces) == SENTENCE
    assert pieces[-1].usage_metadata is not None


def test_tools(client: genai.Client) -> None:
    """A call."""
    config = types.GenerateContentConfig(
        tools=[TOOLS],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
        ),
    )
    answer = client.models.generate_content(model=MODEL, contents=ASK, config=config)
    assert [call.name for call in answer.function_calls or []] == ["look_up"]


def test_count_tokens(client: genai.Client) -> None:
    """Counted without an answer."""
    assert (client.models.count_tokens(model=MODEL, contents=ASK).total_tokens or 0) > 0


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
async def test_async(client: genai.Client) -> None:
    """The asynchronous half of the client."""
    answer = await client.aio.models.generate_content(model=MODEL, contents=ASK)
    assert answer.text == SENTENCE
    await client.aio.aclose()


def test_refusals(client: genai.Client, stack: Stack) -> None:
    """The gateway's refusals are the SDK's own errors, in Google's shape."""
    with pytest.raises(errors.ClientError) as unpriced:
        client.models.generate_content(model="gemini-unheard-of", contents=ASK)
    assert unpriced.value.code == 400
    stranger = genai.Client(api_key="aig_unknown", http_options=types.HttpOptions(base_url=stack.edge))
    with pytest.raises(errors.ClientError) as unknown:
        stranger.models.generate_content(model=MODEL, contents=ASK)
    stranger.close()
    assert (unknown.value.code, unknown.value.status) == (401, "UNAUTHENTICATED")
