"""What the edge serves, a row for each family: the request that it is measured with."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import load
from benchmarks.load import Outcome, Target
from benchmarks.stack import MODEL

CHAT_PATH = "/v1/chat/completions"
BODY_BYTES = 200
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
    loading: Callable[[Target, float, int], Outcome] = load.full

    def target(self, edge_url: str, secret: str) -> Target:
        """The same at an edge."""
        return Target(edge_url + self.path, secret, self.body, self.content_type, self.key_header)


def chat_body(text: str = "", stream: bool = False) -> str:
    """A request of 200 bytes, the text among them."""
    options = '"stream":true,' if stream else ""
    head = f'{{"model":"{MODEL}",{options}"messages":[{{"role":"user","content":"{text}'
    return head + "x" * (BODY_BYTES - len(head) - 4) + '"}]}'


FAMILIES = (
    Family("chat", CHAT_PATH, chat_body()),
    Family("chat_stream", CHAT_PATH, chat_body("[[sim tokens=20]]", stream=True), loading=load.graceful),
)


def named(names: str) -> list[Family]:
    """Those with these names, separated by commas; all without any. Raises SystemExit."""
    wanted = [name for name in names.split(",") if name] or [family.name for family in FAMILIES]
    by_name = {family.name: family for family in FAMILIES}
    if unknown := [name for name in wanted if name not in by_name]:
        raise SystemExit(f"no such family: {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in wanted]
