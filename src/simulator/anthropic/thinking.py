"""Thinking as the vendor signs it, and checks it when it is handed back."""

from hashlib import sha256
from typing import Any

from simulator.errors import VendorError

MIN_BUDGET_TOKENS = 1024


def signature(text: str) -> str:
    """What only the vendor can make, in truth."""
    return sha256(b"signed " + text.encode()).hexdigest()[:32]


def check_thinking(request: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """The budget, and the signature of all thinking that comes back. Raises VendorError."""
    thinking = request.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        if type(budget) is not int or not MIN_BUDGET_TOKENS <= budget < request.get("max_tokens", 0):
            raise VendorError(400, "thinking.budget_tokens: must be at least 1024 and less than max_tokens")
        _check_loop(messages)
    for index, message in enumerate(messages):
        content = message.get("content")
        for place, block in enumerate(content if isinstance(content, list) else ()):
            if block.get("type") == "thinking" and block.get("signature") != signature(block["thinking"]):
                where = f"messages.{index}.content.{place}"
                raise VendorError(400, f"{where}: Invalid `signature` in `thinking` block")


def _check_loop(messages: list[dict[str, Any]]) -> None:
    """A loop of tools goes on with the thinking that began it."""
    if len(messages) < 2:
        return
    asked, answered = messages[-2].get("content"), messages[-1].get("content")
    if not isinstance(asked, list) or not isinstance(answered, list):
        return
    in_loop = any(block.get("type") == "tool_result" for block in answered)
    if in_loop and asked[0].get("type") not in ("thinking", "redacted_thinking"):
        where = f"messages.{len(messages) - 2}.content.0.type"
        raise VendorError(400, f"{where}: Expected `thinking` or `redacted_thinking`")
