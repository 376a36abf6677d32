"""Each SDK once: what an app does first works by changing address and key alone."""

import anthropic
import openai
from google import genai
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.e2e.sdk import node
from tests.e2e.stack import Stack

MODEL = "gpt-4o-mini"
ASK = "Hello [[sim tokens=6]]"
SENTENCE = "the toll is paid at every"


def test_openai_python(stack: Stack, secret: str) -> None:
    """OpenAI's own for Python."""
    with openai.OpenAI(base_url=f"{stack.edge}/v1", api_key=secret) as client:
        answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": ASK}])
    assert answer.choices[0].message.content == SENTENCE


def test_openai_node(stack: Stack, secret: str) -> None:
    """OpenAI's own for Node."""
    assert node.run("plain", f"{stack.edge}/v1", secret) == [SENTENCE, 6]


def test_anthropic(stack: Stack, secret: str) -> None:
    """Anthropic's own, in its own format."""
    with anthropic.Anthropic(base_url=stack.edge, api_key=secret) as client:
        answer = client.messages.create(
            model="claude-haiku-4-5", max_tokens=32, messages=[{"role": "user", "content": ASK}]
        )
    assert [block.text for block in answer.content if block.type == "text"] == [SENTENCE]


def test_google(stack: Stack, secret: str) -> None:
    """Google's own, in its own format."""
    client = genai.Client(api_key=secret, http_options=genai.types.HttpOptions(base_url=stack.edge))
    assert client.models.generate_content(model="gemini-2.5-flash", contents=ASK).text == SENTENCE
    client.close()


def test_langchain(stack: Stack, secret: str) -> None:
    """LangChain's ChatOpenAI."""
    chat = ChatOpenAI(model=MODEL, base_url=f"{stack.edge}/v1", api_key=secret)
    assert chat.invoke(ASK).content == SENTENCE


async def test_pydantic_ai(stack: Stack, secret: str) -> None:
    """An agent of pydantic-ai."""
    async with openai.AsyncOpenAI(base_url=f"{stack.edge}/v1", api_key=secret) as client:
        agent = Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client)))
        assert (await agent.run(ASK)).output == SENTENCE
