"""Responses: POST /v1/responses, and what counts and sums up without keeping anything: /input_tokens and
/compact."""

from typing import Any

from edge.call import (
    MAX_OUTPUT_TOKENS,
    Call,
    check_count,
    flag_of,
    is_ambiguous,
    json_object,
    model_of,
    provider_of,
    quoted,
)
from edge.families import Family, of_body
from edge.families.response_input import read_input
from edge.formats.responses_openai import CompactOpenai, InputTokensOpenai, ResponsesOpenai
from edge.labels import end_user_of
from edge.worst_case import Demand
from tollkeeper.operations import Wire

MAX_TOOL_CALLS = 10_000
_DECIDING = quoted(
    "model",
    "max_output_tokens",
    "max_tool_calls",
    "stream",
    "store",
    "background",
    "previous_response_id",
    "tools",
)


def parse(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a body. Raises INVALID_ARGUMENT, with the field's name as `param`."""
    body = json_object(raw)
    flag_of(body, "store")
    flag_of(body, "background")
    return _call(RESPONSES, raw, body, with_provider, flag_of(body, "stream"))


def parse_input_tokens(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a body whose tokens are to be counted."""
    call = _call(INPUT_TOKENS, raw, json_object(raw), with_provider, stream=False)
    call.demand = Demand(0, 0, False, None, 0, 0, 0)
    return call


def parse_compact(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a body that is to be summed up."""
    call = _call(COMPACT, raw, json_object(raw), with_provider, stream=False)
    call.demand.limitable = False
    return call


def _call(family: Family, raw: bytes, body: dict[str, Any], with_provider: bool, stream: bool) -> Call:
    model = model_of(body)
    check_count(body, "max_output_tokens", MAX_OUTPUT_TOKENS)
    check_count(body, "max_tool_calls", MAX_TOOL_CALLS)
    given = read_input(body)
    return Call(
        family,
        raw,
        body,
        model,
        Demand(
            prompt_bytes=len(raw) - given.image_bytes,
            image_count=given.image_count,
            beyond_body=given.beyond_body,
            asked_output=body.get("max_output_tokens") if family is RESPONSES else None,
            choice_count=1,
            prediction_bytes=0,
            web_searches=given.web_searches,
        ),
        provider_of(body) if with_provider else None,
        stream,
        end_user=end_user_of(body),
        ambiguous=is_ambiguous(raw, body, _DECIDING),
        references=given.references,
    )


RESPONSES = Family("responses", of_body(parse), {Wire.OPENAI: ResponsesOpenai()})
INPUT_TOKENS = Family(
    "responses_input_tokens", of_body(parse_input_tokens), {Wire.OPENAI: InputTokensOpenai()}
)
COMPACT = Family("responses_compact", of_body(parse_compact), {Wire.OPENAI: CompactOpenai()})
