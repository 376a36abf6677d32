"""Moderations in OpenAI's own format."""

from typing import Any

from edge.call import Call
from edge.formats import Reading
from edge.formats.openai_json import OpenaiJson, model_of
from edge.usage import input_counts
from tollkeeper.cost import UsageCounts
from tollkeeper.operations import Operation


class ModerationsOpenai(OpenaiJson):
    """OpenAI reports no usage, and its models are priced at nothing; others are billed for what they
    report."""

    served = Operation.MODERATIONS

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """The usage that is reported, else one request's."""
        if parsed is None:
            return Reading()
        usage = parsed.get("usage")
        return Reading(UsageCounts() if usage is None else input_counts(usage), model_of(parsed))
