"""What vendors keep for a customer under ids of their own."""

import re
from collections.abc import Iterable
from datetime import timedelta

from tollkeeper.ids import is_object_id, is_uuid
from tollkeeper.v1 import edge_pb2

MAX_OBJECTS = 100
_KIND = re.compile(r"[a-z][a-z_.]{0,39}")
# OpenAI forgets a response after 30 days; the other kinds stay until somebody deletes them (OpenAI's page on
# data controls).
_KEPT_FOR = {"response": timedelta(days=31)}
# The end of what is pending is looked for at growing intervals: as long as the object is old, in these bounds
# (L15).
FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=5)


def kept_for(kind: str) -> timedelta | None:
    """How long a kind is kept after it was made; None: until it is deleted."""
    return _KEPT_FOR.get(kind)


def problem_of(objects: Iterable[edge_pb2.KeptObject]) -> str | None:
    """What is wrong with a record's objects, in words; None when nothing is."""
    count = 0
    for kept in objects:
        count += 1
        if not is_object_id(kept.object_id):
            return "the id of a kept object is malformed"
        if _KIND.fullmatch(kept.kind) is None:
            return "the kind of a kept object is malformed"
        if not is_uuid(kept.provider_id):
            return "provider_id of a kept object is not a UUID"
    return f"a record has at most {MAX_OBJECTS} kept objects" if count > MAX_OBJECTS else None
