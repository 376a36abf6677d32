"""Small conversions and checks that every servicer shares."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tollkeeper.errors import Reason, TollkeeperError, invalid, not_found
from tollkeeper.ids import is_uuid

MAX_NAME_CHARS = 200
MAX_EMAIL_CHARS = 254
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def timestamp(moment: datetime | None) -> Timestamp | None:
    """The message of a moment; None stays None, so that the field stays unset."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def etag(revision: int) -> str:
    """The version of a row, in the quoted form of RFC 7232."""
    return f'"{revision}"'


def check_etag(sent: str, revision: int) -> None:
    """Raises ETAG_MISMATCH when the caller read another version than the present one. Not sending one allows
    all."""
    if sent and sent != etag(revision):
        raise TollkeeperError(
            Reason.ETAG_MISMATCH,
            "It was changed since it was read: read it again.",
            {"etag": sent, "current_etag": etag(revision)},
        )


def resource_id(kind: str, text: str) -> str:
    """A resource's id, fit for the database. Raises NOT_FOUND for what can't be an id, as for one that isn't
    there."""
    if not text:
        raise invalid(f"{kind}_id is needed.", field=f"{kind}_id")
    if not is_uuid(text):
        raise not_found(kind, text)
    return text.lower()


def checked_name(text: str, field: str = "name") -> str:
    """A name for people, without spaces around it. Raises INVALID_ARGUMENT when it is empty or too long."""
    name = text.strip()
    if not name:
        raise invalid(f"{field} is needed.", field=field)
    if len(name) > MAX_NAME_CHARS:
        raise invalid(f"{field} is longer than {MAX_NAME_CHARS} characters.", field=field)
    if not name.isprintable():
        raise invalid(f"{field} holds characters that can't be printed.", field=field)
    return name


def checked_email(text: str, field: str = "email") -> str:
    """An email address in lower case. Raises INVALID_ARGUMENT when it can't be one."""
    email = text.strip().lower()
    if len(email) > MAX_EMAIL_CHARS or _EMAIL.fullmatch(email) is None or not email.isprintable():
        raise invalid(f"{field} must be an email address.", field=field)
    return email


def masked_fields(mask: FieldMask | None, resource: Message, allowed: Iterable[str]) -> frozenset[str]:
    """Which fields of `resource` an update changes (AIP-161).

    Without a mask all allowed fields that the resource has set, with `*` all allowed ones. Output-only fields
    are passed over. Raises INVALID_ARGUMENT for other fields, and when nothing is left to change.
    """
    allowed = frozenset(allowed)
    paths = frozenset(mask.paths) if mask is not None else frozenset()
    if not paths:
        chosen = allowed & {field.name for field, _ in resource.ListFields()}
    elif paths == {"*"}:
        chosen = allowed
    else:
        for path in sorted(paths - allowed):
            if not _output_only(resource, path):
                raise invalid(f"{path} can't be changed.", field="update_mask", path=path)
        chosen = paths & allowed
    if not chosen:
        raise invalid("There is nothing to change.", field="update_mask")
    return chosen


def clear_secrets(message: Message) -> None:
    """Removes input-only fields (passwords, credentials) and those marked `debug_redact`, at any depth."""
    for field, value in message.ListFields():
        options = field.GetOptions()
        behaviors = options.Extensions[field_behavior_pb2.field_behavior]
        if field_behavior_pb2.INPUT_ONLY in behaviors or options.debug_redact:
            message.ClearField(field.name)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in [value] if isinstance(value, Message) else _messages_of(value):
                clear_secrets(each)


def _messages_of(container: Any) -> list[Message]:
    """What a repeated field or a map holds, as far as it is messages."""
    held = container.values() if hasattr(container, "values") else container
    return [each for each in held if isinstance(each, Message)]


def _output_only(resource: Message, path: str) -> bool:
    field = resource.DESCRIPTOR.fields_by_name.get(path)
    if field is None:
        return False
    return field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
