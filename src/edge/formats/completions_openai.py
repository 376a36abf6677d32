"""Legacy completions in OpenAI's own format."""

from edge.call import Call
from edge.formats import Changes
from edge.formats.chat_openai import ChatOpenai
from edge.upstream.body import plain_body
from edge.upstream.cloudflare import Endpoint
from tollkeeper.operations import Operation


class CompletionsOpenai(ChatOpenai):
    """Answers are read like chat's; requests know one name for the output limit."""

    def operation(self, stream: bool) -> Operation:
        """One path for whole answers and streams."""
        return Operation.COMPLETIONS

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """The client's own bytes wherever nothing has to change."""
        return plain_body(call, endpoint, changes, "max_tokens")
