"""A Gemini answer as OpenAI's chat completion."""

from secrets import token_hex
from typing import Any, NamedTuple

from edge.translation import exact_json
from edge.translation.google.finish import FAILED, blocked, failure, finish_reason
from edge.translation.google.usage import service_tier, usage_counts
from edge.translation.openai_answer import choice, completion
from tollkeeper.cost import UsageCounts
from tollkeeper.errors import TollkeeperError


class Whole(NamedTuple):
    """An answer in OpenAI's form, or why there is none; what was used is billed either way."""

    answer: dict[str, Any] | None
    usage: UsageCounts | None
    model: str
    finish: str
    failure: TollkeeperError | None = None


def whole(given: dict[str, Any], asked_model: str) -> Whole:
    """Reads an answer of generateContent."""
    metadata = given.get("usageMetadata")
    usage = usage_counts(metadata)
    model = text(given.get("modelVersion")) or asked_model
    answer_id = text(given.get("responseId")) or token_hex(12)
    choices = []
    for candidate in candidates_of(given):
        reason = text(candidate.get("finishReason"))
        if reason in FAILED:
            why = failure(reason, candidate.get("finishMessage"))
            return Whole(None, usage, model, reason.lower(), why)
        choices.append(_choice(candidate, reason, answer_id))
    block = blocked(given.get("promptFeedback"))
    if not choices and block is not None:
        message = {"role": "assistant", "content": None, "refusal": refusal(block)}
        choices.append(choice(0, message, "content_filter"))
    if not choices:
        return Whole(None, usage, model, "", failure("NO_CANDIDATES", None))
    answer = completion(f"chatcmpl-{answer_id}", model, choices, usage, openai_tier(metadata))
    return Whole(answer, usage, model, choices[0]["finish_reason"])


def candidates_of(given: dict[str, Any]) -> list[dict[str, Any]]:
    """The candidates that can be read."""
    candidates = given.get("candidates")
    if type(candidates) is not list:
        return []
    return [candidate for candidate in candidates if type(candidate) is dict]


def parts_of(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a candidate that can be read."""
    content = candidate.get("content")
    parts = content.get("parts") if type(content) is dict else None
    return [part for part in parts if type(part) is dict] if type(parts) is list else []


def index_of(candidate: dict[str, Any]) -> int:
    """Absent is 0."""
    index = candidate.get("index", 0)
    return index if type(index) is int and index >= 0 else 0


def tool_call(part: dict[str, Any], answer_id: str, index: int, place: int) -> dict[str, Any]:
    """A call of the `place`-th function of one choice. Where Gemini gives no id it gets one."""
    call = part["functionCall"]
    call_id = text(call.get("id")) or f"call_{answer_id}_{index}_{place}"
    arguments = exact_json.dumps(call.get("args") or {}).decode()
    made: dict[str, Any] = {
        "id": call_id,
        "type": "function",
        "function": {"name": text(call.get("name")), "arguments": arguments},
    }
    return made | signed(part)


def signed(part: dict[str, Any]) -> dict[str, Any]:
    """The thought signature where Google's own OpenAI-compatible endpoint has it; clients send it back with
    the message."""
    signature = part.get("thoughtSignature")
    return {"extra_content": {"google": {"thought_signature": signature}}} if type(signature) is str else {}


def image(part: dict[str, Any]) -> dict[str, Any]:
    """A picture that was made, as the part of a message that would show it."""
    inline = part["inlineData"]
    url = f"data:{text(inline.get('mimeType'))};base64,{text(inline.get('data'))}"
    return {"type": "image_url", "image_url": {"url": url}}


def refusal(block: str) -> str:
    """What a client reads when the prompt was blocked."""
    return f"The provider refused this prompt ({block})."


def openai_tier(metadata: object) -> str:
    """OpenAI's name of the tier that was used; empty where none is named."""
    tier = service_tier(metadata)
    return "default" if tier == "standard" else tier


def logprobs(result: object) -> dict[str, Any] | None:
    """The probabilities of the tokens of one candidate."""
    if type(result) is not dict:
        return None
    chosen, tops = _objects(result.get("chosenCandidates")), _objects(result.get("topCandidates"))
    content = []
    for place, token in enumerate(chosen):
        others = _objects(tops[place].get("candidates")) if place < len(tops) else []
        content.append(_token(token) | {"top_logprobs": [_token(other) for other in others]})
    return {"content": content, "refusal": None}


def text(value: object) -> str:
    """A text; empty for anything else."""
    return value if type(value) is str else ""


def _choice(candidate: dict[str, Any], reason: str, answer_id: str) -> dict[str, Any]:
    index = index_of(candidate)
    texts, thoughts = [], []
    calls: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    extra: dict[str, Any] = {}
    for part in parts_of(candidate):
        if type(part.get("functionCall")) is dict:
            calls.append(tool_call(part, answer_id, index, len(calls)))
        elif type(part.get("inlineData")) is dict:
            images.append(image(part))
        elif type(part.get("text")) is str:
            if part.get("thought") is True:
                thoughts.append(part["text"])
            else:
                texts.append(part["text"])
                extra = signed(part) or extra
    content = "".join(texts) if texts or not (calls or images) else None
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None} | extra
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    if images:
        message["images"] = images
    made = choice(index, message, finish_reason(reason, bool(calls)))
    made["logprobs"] = logprobs(candidate.get("logprobsResult"))
    return made


def _token(given: dict[str, Any]) -> dict[str, Any]:
    token = text(given.get("token"))
    return {"token": token, "logprob": given.get("logProbability", 0.0), "bytes": list(token.encode())}


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if type(each) is dict] if type(value) is list else []
