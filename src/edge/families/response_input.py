"""What a request of the Responses API brings, refers to, and lets the vendor do (rule L15 of docs/ledger.md).

Facts: OpenAI's API reference of 2026 (CreateResponse, InputItem, Tool).
"""

from typing import Any

from edge.call import invalid_field
from edge.worst_case import MAX_WEB_SEARCHES

# Items whose every word is in the body.
_PLAIN_ITEMS = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "reasoning",
        "web_search_call",
        "computer_call",
        "computer_call_output",
        "local_shell_call",
        "local_shell_call_output",
        "shell_call",
        "shell_call_output",
        "apply_patch_call",
        "apply_patch_call_output",
        "mcp_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
    }
)
_PLAIN_PARTS = frozenset(
    {"input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text", "input_audio"}
)
_IMAGE_PARTS = frozenset({"input_image", "computer_screenshot"})
# The app runs them itself: what they bring comes with a later request.
_CLIENT_TOOLS = frozenset(
    {"function", "custom", "namespace", "local_shell", "apply_patch", "computer", "computer_use_preview"}
)
_SEARCH = "web_search"
# The vendor calls servers that others run, and bills nothing but their words.
_REMOTE = "mcp"


class Input:
    """What was found in a body."""

    __slots__ = ("beyond_body", "image_bytes", "image_count", "references", "web_searches")

    def __init__(self) -> None:
        self.image_count = 0
        self.image_bytes = 0
        self.beyond_body = False
        self.web_searches = 0
        self.references: tuple[str, ...] = ()

    def refer(self, object_id: object) -> None:
        """Something that the vendor keeps is part of the prompt."""
        self.beyond_body = True
        if type(object_id) is str and object_id not in self.references:
            self.references += (object_id,)


def read_input(body: dict[str, Any]) -> Input:
    """Reads all of a body that may be billed. Raises INVALID_ARGUMENT for what can't be read, and for tools
    that nobody has a price for."""
    found = Input()
    _read_references(body, found)
    items = body.get("input")
    if type(items) is list:
        for index, item in enumerate(items):
            if type(item) is not dict:
                raise invalid_field(f"'input[{index}]' must be an object.", f"input[{index}]", "invalid_type")
            _read_item(item, found)
    elif items is not None and type(items) is not str:
        raise invalid_field("'input' must be a text or an array.", "input", "invalid_type")
    _read_tools(body, found)
    return found


def _read_references(body: dict[str, Any], found: Input) -> None:
    previous = body.get("previous_response_id")
    if previous is not None:
        if type(previous) is not str:
            name = "previous_response_id"
            raise invalid_field(f"'{name}' must be a text.", name, "invalid_type")
        found.refer(previous)
    conversation = body.get("conversation")
    if conversation is not None:
        found.refer(conversation.get("id") if type(conversation) is dict else conversation)
    prompt = body.get("prompt")
    if prompt is not None:
        # It may bring tools of its own.
        found.web_searches = MAX_WEB_SEARCHES
        found.refer(prompt.get("id") if type(prompt) is dict else None)


def _read_item(item: dict[str, Any], found: Input) -> None:
    kind = item.get("type", "message")
    if kind == "item_reference":
        found.refer(item.get("id"))
        return
    if kind not in _PLAIN_ITEMS:
        found.beyond_body = True
    for name in ("content", "output"):
        value = item.get(name)
        if type(value) is list:
            for part in value:
                _read_part(part, found)
        elif type(value) is dict:
            _read_part(value, found)


def _read_part(part: object, found: Input) -> None:
    if type(part) is not dict:
        return
    kind = part.get("type")
    file_id = part.get("file_id")
    if kind in _IMAGE_PARTS:
        found.image_count += 1
        url = part.get("image_url")
        # ASCII only, so that characters are bytes; any other URL stays counted as text.
        if type(url) is str and url.startswith("data:") and url.isascii():
            found.image_bytes += len(url)
    elif kind not in _PLAIN_PARTS and (file_id is not None or kind == "input_file"):
        # A document is read as text and as pictures of its pages: its bytes bound neither.
        found.beyond_body = True
    if file_id is not None:
        found.refer(file_id)


def _read_tools(body: dict[str, Any], found: Input) -> None:
    tools = body.get("tools")
    if tools is None:
        return
    if type(tools) is not list:
        raise invalid_field("'tools' must be an array of objects.", "tools", "invalid_type")
    for index, tool in enumerate(tools):
        kind = tool.get("type") if type(tool) is dict else None
        if kind in _CLIENT_TOOLS or (kind == "shell" and _is_local(tool)):
            continue
        found.beyond_body = True
        if type(kind) is str and kind.startswith(_SEARCH):
            found.web_searches = body.get("max_tool_calls") or MAX_WEB_SEARCHES
        elif kind != _REMOTE:
            name = f"tools[{index}].type"
            message = f"'{name}' is {kind!r:.60}: this gateway has no price for what it is billed by."
            raise invalid_field(message, name, "unsupported_value")


def _is_local(tool: dict[str, Any]) -> bool:
    environment = tool.get("environment")
    return type(environment) is dict and environment.get("type") == "local"
