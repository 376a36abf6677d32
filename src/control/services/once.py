"""Creating calls that may be sent again: the same request_id makes one thing (AIP-155)."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message

from control.services.convert import clear_secrets
from control.store import request_ids
from control.store.database import Connection
from tollkeeper.errors import invalid

MAX_REQUEST_ID_CHARS = 128

Answer = TypeVar("Answer", bound=Message)


async def once(
    connection: Connection,
    customer_id: str,
    request: Message,
    answer_type: type[Answer],
    work: Callable[[], Awaitable[Answer]],
    storable: Callable[[Answer], Answer] | None = None,
) -> Answer:
    """Does `work` the first time that this customer sends the request's `request_id`; later returns the first
    answer.

    Without a request id it just works. `storable` takes secrets out of what is kept: a repeated call gets the
    answer without them. Raises REQUEST_ID_REUSED when the id came with other content; input-only fields
    (passwords, credentials) are not compared, since no trace of them is kept.
    """
    request_id: str = request.request_id  # type: ignore[attr-defined]
    if not request_id:
        return await work()
    if len(request_id) > MAX_REQUEST_ID_CHARS:
        raise invalid(f"request_id is longer than {MAX_REQUEST_ID_CHARS} characters.", field="request_id")
    method = request.DESCRIPTOR.full_name
    stored = await request_ids.begin(connection, customer_id, request_id, method, _digest(request))
    if stored is not None:
        return answer_type.FromString(stored)
    answer = await work()
    kept = answer if storable is None else storable(answer)
    await request_ids.finish(connection, customer_id, request_id, kept.SerializeToString())
    return answer


def _digest(request: Message) -> bytes:
    bare = type(request)()
    bare.CopyFrom(request)
    clear_secrets(bare)
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()
