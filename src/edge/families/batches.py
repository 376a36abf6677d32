"""Batches: POST /v1/batches. Held for by what was counted when its file was uploaded, and booked as an
estimate until its end tells what it cost (L15)."""

from collections.abc import Sequence

from edge.call import Call, invalid_field, json_object, provider_of
from edge.families import Family, of_body
from edge.formats.batches_openai import BatchesOpenai
from edge.kept_objects import KeptObject
from edge.worst_case import NOTHING, Demand
from tollkeeper.operations import Wire
from tollkeeper.v1 import edge_pb2


def parse(raw: bytes, with_provider: bool = False) -> Call:
    """Reads a body; what it costs, its file tells. Raises INVALID_ARGUMENT, with the field's name as
    `param`."""
    body = json_object(raw)
    file_id = body.get("input_file_id")
    if type(file_id) is not str:
        raise invalid_field("'input_file_id' must be a text.", "input_file_id", "missing_required_parameter")
    provider = provider_of(body) if with_provider else None
    return Call(BATCHES, raw, body, "", NOTHING, provider, references=(file_id,))


def learn(call: Call, kept: Sequence[KeptObject]) -> None:
    """What the batch's file says of its model and its worst case. Raises INVALID_ARGUMENT."""
    counted = kept[0].batch_input
    if counted is None:
        message = "The input file wasn't uploaded through this gateway with the purpose 'batch'."
        raise invalid_field(message, "input_file_id", "invalid_value")
    if call.body.get("endpoint") != counted.endpoint:
        message = f"The requests in the input file are for {counted.endpoint}."
        raise invalid_field(message, "endpoint", "invalid_value")
    call.model, call.demand = counted.model, demand(counted)


def demand(counted: edge_pb2.BatchInput) -> Demand:
    """The worst case of all requests together."""
    limited = counted.output_tokens > 0
    return Demand(
        prompt_bytes=counted.input_tokens,
        image_count=0,
        beyond_body=counted.beyond_file,
        asked_output=counted.output_tokens if limited else None,
        choice_count=min(1, counted.choice_count) if limited else counted.choice_count,
        prediction_bytes=0,
        web_searches=counted.web_searches,
        prompt_count=counted.request_count,
        limitable=False,
        requests=counted.request_count,
    )


BATCHES = Family("batches", of_body(parse), {Wire.OPENAI: BatchesOpenai()}, learn=learn)
