"""KeysService: virtual keys. The secret is made here, answered once, and kept as its SHA-256 only."""

from typing import Any

from control.caller import caller
from control.domain.budgets import Scope
from control.domain.key_limits import check_overlap, defaults_of
from control.services.access import denied, is_own, sees_all
from control.services.audit import record_change
from control.services.budget_changes import set_first_budget
from control.services.convert import check_etag, masked_fields
from control.services.key_fields import CHANGEABLE, OWNERS, columns, fill_in, key_message, key_messages
from control.services.once import once
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.store import budgets as budget_store
from control.store import keys as store
from control.store.database import Connection, Database
from control.store.resources import lock_customer, raise_chain, transaction_time
from control.store.rows import Row
from control.store.versions import customer_changed
from tollkeeper.errors import invalid, not_found
from tollkeeper.key_format import KEY_PREFIX, mint, secret_hash, shown_prefix
from tollkeeper.v1 import keys_pb2, keys_pb2_grpc

Key = keys_pb2.Key


class KeysService(keys_pb2_grpc.KeysServiceServicer):
    """Raises TollkeeperError as the contract says. Members reach their own and their teams' keys only
    (B4)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateKey(
        self, request: keys_pb2.CreateKeyRequest, context: object
    ) -> keys_pb2.CreateKeyResponse:
        """A new key. A repeated call with the same request id answers without the secret, which nobody
        keeps."""

        async def work(connection: Connection) -> keys_pb2.CreateKeyResponse:
            customer_id = await scoped_customer(connection, request.key.customer_id)
            return await once(
                connection,
                customer_id,
                request,
                keys_pb2.CreateKeyResponse,
                lambda: _create(connection, customer_id, request),
                lambda answer: keys_pb2.CreateKeyResponse(key=answer.key),
            )

        return await self._database.write_again(work)

    async def GetKey(self, request: keys_pb2.GetKeyRequest, context: object) -> keys_pb2.Key:
        """A key with its budgets and spend, revoked ones too."""
        async with self._database.read() as connection:
            row = await _reach(connection, request.customer_id, request.key_id)
            return (await key_messages(connection, row["customer_id"], [row]))[0]

    async def ListKeys(self, request: keys_pb2.ListKeysRequest, context: object) -> keys_pb2.ListKeysResponse:
        """Keys with their budgets and spend, oldest first."""
        page = page_of(request)
        chosen = store.KeyFilter(
            user_id=request.user_id.lower(),
            include_team_keys=request.include_team_keys,
            team_id=request.team_id.lower(),
            show_revoked=request.show_revoked,
            visible_to="" if sees_all() else caller().user_id,
        )
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            await store.check_owner(connection, customer_id, chosen.user_id, chosen.team_id)
            rows = await store.list_keys(connection, customer_id, page.after, page.size + 1, chosen)
            shown = rows[: page.size]
            messages = await key_messages(connection, customer_id, shown)
        return keys_pb2.ListKeysResponse(
            keys=messages, next_page_token=page.next_token(rows, shown[-1]["key_id"]) if shown else ""
        )

    async def UpdateKey(self, request: keys_pb2.UpdateKeyRequest, context: object) -> keys_pb2.Key:
        """Changes the masked fields, the first budget, or both."""
        sent = request.key
        fields = _fields(request)

        async def work(connection: Connection) -> Key:
            row = await _reach(connection, sent.customer_id, sent.key_id)
            customer_id, key_id = row["customer_id"], row["key_id"]
            row = await _lock_live(connection, customer_id, key_id)
            check_etag(sent.etag, row["revision"])
            before = await key_message(connection, customer_id, key_id)
            await _change(connection, row, sent, fields)
            if request.HasField("budget"):
                now = await transaction_time(connection)
                await set_first_budget(connection, customer_id, Scope.SCOPE_KEY, key_id, request.budget, now)
            message = await key_message(connection, customer_id, key_id)
            await record_change(connection, customer_id, before, message)
            await customer_changed(connection, customer_id, urgent="disabled" in fields and sent.disabled)
            return message

        return await self._database.write_again(work)

    async def RotateKey(
        self, request: keys_pb2.RotateKeyRequest, context: object
    ) -> keys_pb2.RotateKeyResponse:
        """A new secret; the present one works on for the overlap. A repeated call with the same request id
        answers without the secret."""
        overlap = check_overlap(request.overlap)

        async def rotate(connection: Connection, customer_id: str, key_id: str) -> keys_pb2.RotateKeyResponse:
            row = await _lock_live(connection, customer_id, key_id)
            check_etag(request.etag, row["revision"])
            before = await key_message(connection, customer_id, key_id)
            raw_key = mint(KEY_PREFIX)
            until = await transaction_time(connection) + overlap
            await store.rotate_key(connection, row, secret_hash(raw_key), shown_prefix(raw_key), until)
            key = await key_message(connection, customer_id, key_id)
            await record_change(connection, customer_id, before, key)
            # Edges that still take the old secret for good learn of its end; without an overlap that is now.
            await customer_changed(connection, customer_id, urgent=not overlap)
            return keys_pb2.RotateKeyResponse(key=key, raw_key=raw_key)

        async def work(connection: Connection) -> keys_pb2.RotateKeyResponse:
            found = await _reach(connection, request.customer_id, request.key_id)
            customer_id, key_id = found["customer_id"], found["key_id"]
            return await once(
                connection,
                customer_id,
                request,
                keys_pb2.RotateKeyResponse,
                lambda: rotate(connection, customer_id, key_id),
                lambda answer: keys_pb2.RotateKeyResponse(key=answer.key),
            )

        return await self._database.write_again(work)

    async def EndKeyOverlap(self, request: keys_pb2.EndKeyOverlapRequest, context: object) -> keys_pb2.Key:
        """Ends the secret before the last rotation, at once and everywhere; again changes nothing."""

        async def work(connection: Connection) -> Key:
            found = await _reach(connection, request.customer_id, request.key_id)
            customer_id, key_id = found["customer_id"], found["key_id"]
            row = await _lock_live(connection, customer_id, key_id)
            before = await key_message(connection, customer_id, key_id)
            if row["previous_key_hash"] is None:
                return before
            await store.end_previous(connection, row)
            message = await key_message(connection, customer_id, key_id)
            await record_change(connection, customer_id, before, message)
            await customer_changed(connection, customer_id, urgent=True)
            return message

        return await self._database.write_again(work)

    async def RevokeKey(self, request: keys_pb2.RevokeKeyRequest, context: object) -> keys_pb2.Key:
        """Ends a key for good, at once and everywhere; again changes nothing."""

        async def work(connection: Connection) -> Key:
            row = await _reach(connection, request.customer_id, request.key_id)
            customer_id, key_id = row["customer_id"], row["key_id"]
            await lock_customer(connection, customer_id)
            row = await store.load_key(connection, customer_id, key_id)
            before = await key_message(connection, customer_id, key_id)
            if row["revoke_time"] is not None:
                return before
            now = await transaction_time(connection)
            await store.update_key(connection, customer_id, key_id, {"revoke_time": now})
            await budget_store.end_budgets_of(connection, customer_id, key_id, now)
            message = await key_message(connection, customer_id, key_id)
            await record_change(connection, customer_id, before, message)
            await customer_changed(connection, customer_id, urgent=True)
            return message

        return await self._database.write_again(work)


def _fields(request: keys_pb2.UpdateKeyRequest) -> frozenset[str]:
    """The fields to change; none when only the budget is to change."""
    named = request.update_mask.paths or any(f.name in CHANGEABLE for f, _ in request.key.ListFields())
    if request.HasField("budget") and not named:
        return frozenset()
    return masked_fields(request.update_mask, request.key, CHANGEABLE)


async def _create(
    connection: Connection, customer_id: str, request: keys_pb2.CreateKeyRequest
) -> keys_pb2.CreateKeyResponse:
    customer = await lock_customer(connection, customer_id)
    sent = Key()
    sent.CopyFrom(request.key)
    await _check_new_owner(connection, customer_id, sent)
    sent.router_id = sent.router_id or customer["default_router_id"] or ""
    defaults = defaults_of(customer["key_defaults"])
    fill_in(sent, defaults)
    values: dict[str, Any] = {}
    for field in CHANGEABLE:
        values |= await columns(connection, customer_id, sent, field)
    await store.check_owner(connection, customer_id, values["user_id"] or "", values["team_id"] or "")
    raw_key = mint(KEY_PREFIX)
    values |= {"prefix": shown_prefix(raw_key), "created_by": caller().user_id or caller().kind.value}
    key_id = await store.insert_key(connection, customer_id, secret_hash(raw_key), values)
    budget = request.budget if request.HasField("budget") else defaults.budget
    if budget.HasField("limit_nanousd"):
        now = await transaction_time(connection)
        await set_first_budget(connection, customer_id, Scope.SCOPE_KEY, key_id, budget, now)
    key = await key_message(connection, customer_id, key_id)
    await record_change(connection, customer_id, None, key)
    await customer_changed(connection, customer_id)
    return keys_pb2.CreateKeyResponse(key=key, raw_key=raw_key)


async def _check_new_owner(connection: Connection, customer_id: str, sent: Key) -> None:
    """Members make keys for themselves and their teams; naming nobody, for themselves. Raises
    PERMISSION_DENIED."""
    if sees_all():
        return
    user_id = caller().user_id
    if sent.user_id not in ("", user_id):
        raise denied("Only managers may make keys for other users.")
    if sent.team_id and not await store.is_team_member(connection, customer_id, sent.team_id, user_id):
        raise denied("Only managers and members of the team may make its keys.")
    if not sent.team_id:
        sent.user_id = user_id


async def _change(connection: Connection, row: Row, sent: Key, fields: frozenset[str]) -> None:
    customer_id = row["customer_id"]
    values: dict[str, Any] = {}
    for field in sorted(fields):
        values |= await columns(connection, customer_id, sent, field)
    moved = any(field in values and values[field] != row[field] for field in OWNERS)
    if moved:
        if not sees_all():
            raise denied("Only managers may give keys to others.")
        await store.check_owner(
            connection, customer_id, values.get("user_id") or "", values.get("team_id") or ""
        )
        await raise_chain(connection, customer_id, Scope.SCOPE_KEY, row["key_id"])
    if values:
        await store.update_key(connection, customer_id, row["key_id"], values)


async def _reach(connection: Connection, customer: str, name: str) -> Row:
    """The key of this id or hash, if the caller may reach it. Raises NOT_FOUND otherwise."""
    if not name:
        raise invalid("key_id is needed.", field="key_id")
    anywhere = caller().operator and not customer
    customer_id = "" if anywhere else await scoped_customer(connection, customer)
    found = await store.find_key(connection, name, customer_id)
    if found is None:
        raise not_found("key", name)
    row = await store.load_key(connection, *found)
    if not await is_own(connection, row):
        raise not_found("key", name)
    return row


async def _lock_live(connection: Connection, customer_id: str, key_id: str) -> Row:
    """The key as it is once nobody else changes its customer. Raises NOT_FOUND for a revoked one."""
    await lock_customer(connection, customer_id)
    row = await store.load_key(connection, customer_id, key_id)
    if row["revoke_time"] is not None:
        raise not_found("key", key_id)
    return row
