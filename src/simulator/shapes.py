"""How each vendor writes its answers and errors; everything else about an answer is the same for all."""

from collections.abc import Callable
from dataclasses import dataclass

from simulator.anthropic.answer import message, message_script
from simulator.anthropic.errors import error_body
from simulator.chat import Answer
from simulator.errors import VendorError
from simulator.stream import Script, script
from simulator.whole import completion


@dataclass(frozen=True, slots=True)
class Shape:
    """One vendor's format."""

    whole: Callable[[Answer], bytes]
    script: Callable[[Answer], Script]
    error: Callable[[VendorError], bytes]
    stream_type: bytes = b"text/event-stream"


OPENAI = Shape(completion, script, lambda error: error.body)
ANTHROPIC = Shape(message, message_script, error_body)
