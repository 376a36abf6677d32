"""Legacy completions: POST /v1/completions."""

from typing import Any

from edge.call import (
    MAX_CHOICES,
    MAX_OUTPUT_TOKENS,
    Call,
    check_count,
    flag_of,
    is_ambiguous,
    json_object,
    model_of,
    provider_of,
    quoted,
    wants_usage_of,
)
from edge.families import Family, of_body
from edge.families.token_lists import prompts_of
from edge.formats.completions_openai import CompletionsOpenai
from edge.labels import end_user_of
from edge.worst_case import Demand
from tollkeeper.operations import Wire

# OpenAI takes at most 20; others more.
MAX_BEST_OF = 128
_DECIDING = quoted("model", "n", "best_of", "prompt", "max_tokens", "stream")


def parse(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a body. Raises INVALID_ARGUMENT, with the field's name as `param`."""
    body = json_object(raw)
    model = model_of(body)
    stream = flag_of(body, "stream")
    check_count(body, "n", MAX_CHOICES)
    check_count(body, "best_of", MAX_BEST_OF, least=0)
    # 0 answers with the prompt's own log probabilities.
    check_count(body, "max_tokens", MAX_OUTPUT_TOKENS, least=0)
    return Call(
        COMPLETIONS,
        raw,
        body,
        model,
        demand(body, len(raw)),
        provider_of(body) if with_provider else None,
        stream,
        wants_usage_of(body),
        end_user_of(body),
        is_ambiguous(raw, body, _DECIDING),
    )


def demand(body: dict[str, Any], body_bytes: int) -> Demand:
    """`best_of` candidates are billed for each of the prompts, however few are shown."""
    prompt = body.get("prompt")
    prompts = prompts_of(prompt, "prompt", body_bytes) if prompt is not None else None
    count = prompts.number if prompts is not None else 1
    return Demand(
        prompt_bytes=prompts.bytes_bound if prompts is not None else body_bytes,
        image_count=0,
        beyond_body=False,
        asked_output=body.get("max_tokens"),
        choice_count=max(body.get("n") or 1, body.get("best_of") or 1) * count,
        prediction_bytes=0,
        web_searches=0,
        prompt_count=count,
    )


COMPLETIONS = Family("completions", of_body(parse), {Wire.OPENAI: CompletionsOpenai()}, cacheable=True)
