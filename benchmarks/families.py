"""What the edge serves, a row for each family: the request that it is measured with."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import load
from benchmarks.load import Outcome, Target
from benchmarks.stack import MODEL

CHAT_PATH = "/v1/chat/completions"
BODY_BYTES = 200
BOUNDARY = "0" * 32
FORM = f"multipart/form-data; boundary={BOUNDARY}"
EVENT_TOKENS = 200
# Beside the words: the role, the finish and [DONE]. The usage is kept from clients that don't ask for it.
EVENTS = EVENT_TOKENS + 3


@dataclass(frozen=True)
class Family:
    """One of them. Its vendor is told by the model's name."""

    name: str
    path: str
    body: str
    content_type: str = "application/json"
    key_header: str = "authorization"
    more_headers: tuple[tuple[str, str], ...] = ()
    loading: Callable[[Target, float, int], Outcome] = load.full

    def target(self, edge_url: str, secret: str) -> Target:
        """The same at an edge."""
        url = edge_url + self.path
        return Target(url, secret, self.body, self.content_type, self.key_header, self.more_headers)


def chat_body(text: str = "", stream: bool = False) -> str:
    """A request of 200 bytes, the text among them."""
    options = '"stream":true,' if stream else ""
    head = f'{{"model":"{MODEL}",{options}"messages":[{{"role":"user","content":"{text}'
    return head + "x" * (BODY_BYTES - len(head) - 4) + '"}]}'


def _json(**fields: Any) -> str:
    """A request of 200 bytes: `TEXT` in a field is filled up."""
    body = json.dumps(fields, separators=(",", ":"))
    return body.replace("TEXT", "x" * (BODY_BYTES - len(body) + 4))


def _form(**fields: str) -> str:
    """The parts of a form, and a file of 200 bytes."""
    parts = [f'name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    parts.append(f'name="file"; filename="file"\r\n\r\n{"x" * BODY_BYTES}')
    lines = (f"--{BOUNDARY}\r\ncontent-disposition: form-data; {part}\r\n" for part in parts)
    return "".join(lines) + f"--{BOUNDARY}--\r\n"


_TO_CLAUDE: dict[str, Any] = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "TEXT"}]}
_TO_GEMINI = {"contents": [{"role": "user", "parts": [{"text": "TEXT"}]}]}
_GEMINI_PATH = "/v1beta/models/gemini-2.5-flash"

FAMILIES = (
    Family("chat", CHAT_PATH, chat_body()),
    Family("chat_stream", CHAT_PATH, chat_body("[[sim tokens=20]]", stream=True), loading=load.graceful),
    Family("chat_to_anthropic", CHAT_PATH, _json(**_TO_CLAUDE)),
    Family("chat_to_google", CHAT_PATH, _json(**(_TO_CLAUDE | {"model": "gemini-2.5-flash"}))),
    Family("completions", "/v1/completions", _json(model="gpt-3.5-turbo-instruct", prompt="TEXT")),
    Family("responses", "/v1/responses", _json(model=MODEL, input="TEXT", store=False)),
    Family("embeddings", "/v1/embeddings", _json(model="text-embedding-3-small", input="TEXT")),
    Family("moderations", "/v1/moderations", _json(model="omni-moderation-latest", input="TEXT")),
    Family(
        "messages",
        "/v1/messages",
        _json(max_tokens=64, **_TO_CLAUDE),
        key_header="x-api-key",
        more_headers=(("anthropic-version", "2023-06-01"),),
    ),
    Family(
        "generate_content",
        f"{_GEMINI_PATH}:generateContent",
        _json(**_TO_GEMINI),
        key_header="x-goog-api-key",
    ),
    Family("images", "/v1/images/generations", _json(model="gpt-image-1", prompt="TEXT", size="1024x1024")),
    Family("speech", "/v1/audio/speech", _json(model="tts-1", voice="alloy", input="TEXT")),
    Family("transcriptions", "/v1/audio/transcriptions", _form(model="whisper-1"), FORM),
    Family("files", "/v1/files", _form(purpose="user_data"), FORM),
)


def named(names: str) -> list[Family]:
    """Those with these names, separated by commas; all without any. Raises SystemExit."""
    wanted = [name for name in names.split(",") if name] or [family.name for family in FAMILIES]
    by_name = {family.name: family for family in FAMILIES}
    if unknown := [name for name in wanted if name not in by_name]:
        raise SystemExit(f"no such family: {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in wanted]
