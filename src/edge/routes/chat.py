"""POST /v1/chat/completions, and the same under /v1/ai, where a `provider` in the body chooses among
rules."""

from sanic.request import Request

from edge.answer import Answer
from edge.chat import Chat
from edge.routes import App


def add_routes(app: App, chat: Chat) -> None:
    """Registers both paths."""

    async def complete(request: Request) -> Answer | None:
        return await chat.handle(request, False)

    async def complete_with_provider(request: Request) -> Answer | None:
        return await chat.handle(request, True)

    app.add_route(complete, "/v1/chat/completions", methods=["POST"], name="chat")
    app.add_route(complete_with_provider, "/v1/ai/chat/completions", methods=["POST"], name="chat_ai")
