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
    for index, message in enumerate(messages):
        content = message.get("content")
        for place, block in enumerate(content if isinstance(content, list) else ()):
            if block.get("type") == "thinking" and block.get("signature") != signature(block["thinking"]):
                where = f"messages.{index}.content.{place}"
                raise VendorError(400, f"{where}: Invalid `signature` in `thinking` block")
