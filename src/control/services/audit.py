"""AuditService, and how every other service leaves an entry: `record_change`."""

from collections.abc import Collection
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from control.caller import called_method, caller
from control.domain.identity import CallerKind
from control.services.convert import clear_secrets, resource_id, timestamp
from control.services.moments import moment
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.store import audit as store
from control.store.audit import AuditFilter
from control.store.database import Connection, Database
from control.store.rows import Row
from tollkeeper.errors import invalid
from tollkeeper.ids import time_of, uuid7
from tollkeeper.v1 import audit_pb2, audit_pb2_grpc

AuditEntry = audit_pb2.AuditEntry

# Who acts when no call is being served: the first start, background tasks.
_SYSTEM = "system"
# The first of these that a resource has is what people call it.
_NAMES = ("name", "email", "model")
# Follows from other fields, or is measured and not set.
_NOT_SET_BY_ANYBODY = frozenset({"etag", "window", "spend_nanousd", "spend_reset_time"})
_MAX_FILTER_CHARS = 254


async def record_change(
    connection: Connection,
    customer_id: str,
    before: Message | None,
    after: Message | None,
    secrets: Collection[str] = (),
) -> None:
    """Writes that the caller changed a resource of the customer, in the transaction that changes it.

    `before` and `after` are the resource's message: None before it was made, and after it was gone for good.
    Input-only fields never get into the log; `secrets` names those that were set. Call it once the change is
    made, before `customer_changed`.
    """
    shown = after if after is not None else before
    assert shown is not None, "nothing was changed"
    entry_id = uuid7()
    actor = caller()
    resource_type = _resource_type(shown)
    values_before = None if before is None else _without_secrets(before)
    values_after = None if after is None else _without_secrets(after)
    row = {
        "customer_id": customer_id,
        "audit_entry_id": str(entry_id),
        "create_time": time_of(entry_id),
        "actor_kind": _SYSTEM if actor.kind is CallerKind.ANONYMOUS else actor.kind.value,
        "actor_id": actor.user_id or actor.credential_id or None,
        "method": called_method(),
        "resource_type": resource_type,
        "resource_id": getattr(shown, f"{resource_type}_id", ""),
        "resource_name": next(filter(None, (getattr(shown, name, "") for name in _NAMES)), ""),
        "before": values_before,
        "after": values_after,
        "changed_fields": sorted({*_changed(values_before or {}, values_after or {}), *secrets}),
    }
    await store.insert_entry(connection, row, actor)


class AuditService(audit_pb2_grpc.AuditServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListAuditEntries(
        self, request: audit_pb2.ListAuditEntriesRequest, context: object
    ) -> audit_pb2.ListAuditEntriesResponse:
        """Entries of the customer, newest first; for operators who name none, of all."""
        page = page_of(request)
        chosen = _filter(request)
        async with self._database.read() as connection:
            customer_id = None
            if request.customer_id or not caller().operator:
                customer_id = await scoped_customer(connection, request.customer_id, deleted_too=True)
            rows = await store.list_entries(connection, customer_id, page.after, page.size + 1, chosen)
        shown = rows[: page.size]
        return audit_pb2.ListAuditEntriesResponse(
            audit_entries=[_message(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["audit_entry_id"]) if shown else "",
        )

    async def GetAuditEntry(self, request: audit_pb2.GetAuditEntryRequest, context: object) -> AuditEntry:
        """One entry."""
        entry_id = resource_id("audit_entry", request.audit_entry_id)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id, deleted_too=True)
            return _message(await store.load_entry(connection, customer_id, entry_id))


def _filter(request: audit_pb2.ListAuditEntriesRequest) -> AuditFilter:
    for field in ("actor", "resource_type", "resource_id", "method"):
        text: str = getattr(request, field)
        if len(text) > _MAX_FILTER_CHARS or not text.isprintable():
            raise invalid(f"{field} is longer than anything it could name, or not text.", field=field)
    return AuditFilter(
        actor=request.actor.lower(),
        resource_type=request.resource_type,
        resource_id=request.resource_id.lower(),
        method=request.method,
        start_time=moment(request.start_time, "start_time") if request.HasField("start_time") else None,
        end_time=moment(request.end_time, "end_time") if request.HasField("end_time") else None,
    )


def _resource_type(message: Message) -> str:
    """`ApiToken` → `api_token`."""
    name = message.DESCRIPTOR.name
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")


def _without_secrets(message: Message) -> dict[str, Any]:
    """The message in proto3 JSON, without what may only come in."""
    bare = type(message)()
    bare.CopyFrom(message)
    clear_secrets(bare)
    return MessageToDict(bare, preserving_proto_field_name=True)


def _changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - (
        _NOT_SET_BY_ANYBODY
    )


def _message(row: Row) -> AuditEntry:
    return AuditEntry(
        audit_entry_id=row["audit_entry_id"],
        customer_id=row["customer_id"],
        create_time=timestamp(row["create_time"]),
        actor_kind=row["actor_kind"],
        actor_id=row["actor_id"] or "",
        actor_email=row["actor_email"],
        method=row["method"],
        resource_type=row["resource_type"],
        resource_id=row["resource_id"] or "",
        resource_name=row["resource_name"],
        before=_struct(row["before"]),
        after=_struct(row["after"]),
        changed_fields=row["changed_fields"],
    )


def _struct(value: dict[str, Any] | None) -> Struct | None:
    return None if value is None else ParseDict(value, Struct())
