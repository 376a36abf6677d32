"""B5: /v1/ai/keys. A key is named by the hash of a live secret of it, or by its id."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from edge.answer import Answer
from edge.rest.calls import Caller, Control
from edge.rest.endpoint import (
    DONE,
    FLAG,
    STRING,
    TEXT,
    TEXTS,
    USD_TEXT,
    Endpoint,
    collect,
    list_of,
    nullable,
    object_of,
    one_of,
    optional,
    read_fields,
    required,
)
from edge.rest.exchange import Exchange
from edge.rest.system_b.key_object import KEY, KEY_DETAILS, RESETS, key_details, key_object
from tollkeeper.errors import Reason, TollkeeperError, invalid, not_found
from tollkeeper.v1.budgets_pb2 import InitialBudget, Period
from tollkeeper.v1.keys_pb2 import (
    CreateKeyRequest,
    GetKeyRequest,
    Key,
    ListKeysRequest,
    RevokeKeyRequest,
    UpdateKeyRequest,
)
from tollkeeper.v1.sessions_pb2 import GetSessionRequest, Session
from tollkeeper.v1.users_pb2 import GetUserRequest, Role

_PATH = "/v1/ai/keys"
_BUDGET = {"budget_usd": nullable(USD_TEXT), "budget_reset": nullable(one_of(*RESETS))}
_NEW = {
    "name": required(TEXT),
    "user_id": optional(TEXT),
    **_BUDGET,
    "allowed_models": nullable(TEXTS),
}
_CHANGES = {
    "name": optional(TEXT),
    **_BUDGET,
    "allowed_models": nullable(TEXTS),
    "disabled": optional(FLAG),
}


def endpoints(control: Control) -> list[Endpoint]:
    """/v1/ai/keys."""
    own, team, one = f"{_PATH}/user", f"{_PATH}/team/{{team_id}}", f"{_PATH}/{{hash}}"
    made, keys = object_of(key=KEY, raw_key=STRING), object_of(keys=list_of(KEY))
    key = object_of(key=KEY)
    handlers = _Keys(control)
    return [
        Endpoint("GET", f"{_PATH}/customer", handlers.of_customer, "All keys of the customer", keys),
        Endpoint("GET", own, handlers.own, "The caller's keys and those of its teams", keys),
        Endpoint("GET", f"{own}/{{user_id}}", handlers.of_user, "A user's keys and its teams'", keys),
        Endpoint("POST", own, handlers.create, "A key for the caller or a user", made, 201, _NEW),
        Endpoint("POST", team, handlers.create_for_team, "A key for a team", made, 201, _NEW),
        Endpoint("DELETE", f"{own}/{{hash}}", handlers.delete_own, "Revoke a key of the caller's own", DONE),
        Endpoint("DELETE", f"{team}/{{hash}}", handlers.delete_of_team, "Revoke a team's key", DONE),
        Endpoint("DELETE", one, handlers.delete, "Revoke any key of the customer", DONE),
        Endpoint(
            "GET", f"{one}/details", handlers.details, "A key with its spend", object_of(key=KEY_DETAILS)
        ),
        Endpoint("PATCH", one, handlers.update, "Change a key", key, fields=_CHANGES),
    ]


class _Keys:
    """What the routes do."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._keys = control.keys

    async def of_customer(self, exchange: Exchange) -> Answer:
        await self._require_manager(exchange.caller)
        return _listed(exchange, await self._list(exchange.caller))

    async def of_user(self, exchange: Exchange) -> Answer:
        request = GetUserRequest(user_id=exchange.variables["user_id"])
        user = await exchange.caller.call(self._control.users.GetUser, request)
        return _listed(exchange, await self._of_user_and_teams(exchange.caller, user.user_id, user.team_ids))

    async def own(self, exchange: Exchange) -> Answer:
        session = await self._session(exchange.caller)
        user = session.user
        if _is_guest(session):
            found = [key for key in await self._list(exchange.caller) if _is_own(session, key)]
        else:
            found = await self._of_user_and_teams(exchange.caller, user.user_id, user.team_ids)
        return _listed(exchange, found)

    async def create(self, exchange: Exchange) -> Answer:
        sent = read_fields(exchange, _NEW)
        user_id = sent.get("user_id")
        if user_id is None:
            session = await self._session(exchange.caller)
            user_id = "" if _is_guest(session) else session.user.user_id
        return await self._create(exchange, sent, user_id, "")

    async def create_for_team(self, exchange: Exchange) -> Answer:
        sent = read_fields(exchange, _NEW)
        return await self._create(exchange, sent, sent.get("user_id", ""), exchange.variables["team_id"])

    async def details(self, exchange: Exchange) -> Answer:
        return exchange.plain({"key": key_details(await self._load(exchange))})

    async def update(self, exchange: Exchange) -> Answer:
        sent = read_fields(exchange, _CHANGES)
        if not sent:
            raise invalid("There is nothing to change.")
        key = await self._load(exchange)
        changed: dict[str, Any] = {name: sent[name] for name in ("name", "disabled") if name in sent}
        if "allowed_models" in sent:
            changed["allowed_models"] = sent["allowed_models"] or ()
        request = UpdateKeyRequest(
            key=Key(key_id=key.key_id, customer_id=key.customer_id, **changed),
            update_mask=FieldMask(paths=list(changed)),
            budget=_changed_budget(key, sent),
        )
        return exchange.plain({"key": key_object(await exchange.caller.call(self._keys.UpdateKey, request))})

    async def delete(self, exchange: Exchange) -> Answer:
        await self._require_manager(exchange.caller)
        return await self._revoke(exchange, await self._load(exchange))

    async def delete_own(self, exchange: Exchange) -> Answer:
        session = await self._session(exchange.caller)
        key = await self._load(exchange)
        if not _is_own(session, key):
            raise not_found("key", exchange.variables["hash"])
        return await self._revoke(exchange, key)

    async def delete_of_team(self, exchange: Exchange) -> Answer:
        key = await self._load(exchange)
        if key.team_id != exchange.variables["team_id"].lower():
            raise not_found("key", exchange.variables["hash"])
        return await self._revoke(exchange, key)

    async def _session(self, caller: Caller) -> Session:
        return await caller.call(self._control.sessions.GetSession, GetSessionRequest())

    async def _require_manager(self, caller: Caller) -> None:
        """Others would see, or reach, only their own: less than the route's name says."""
        session = await self._session(caller)
        if not session.operator and session.role < Role.ROLE_MANAGER:
            raise TollkeeperError(Reason.PERMISSION_DENIED, "Only managers may do this.")

    async def _load(self, exchange: Exchange) -> Key:
        """The key of the path. Raises NOT_FOUND, also when it is revoked."""
        name = exchange.variables["hash"]
        key = await exchange.caller.call(self._keys.GetKey, GetKeyRequest(key_id=name))
        if key.HasField("revoke_time"):
            raise not_found("key", name)
        return key

    async def _list(self, caller: Caller, user_id: str = "", team_id: str = "") -> list[Key]:
        request = ListKeysRequest(user_id=user_id, team_id=team_id)
        return await collect(caller, self._keys.ListKeys, request, "keys")

    async def _of_user_and_teams(self, caller: Caller, user_id: str, team_ids: Any) -> list[Key]:
        found = {key.key_id: key for key in await self._list(caller, user_id=user_id)}
        for team_id in team_ids:
            found |= {key.key_id: key for key in await self._list(caller, team_id=team_id)}
        return [found[key_id] for key_id in sorted(found)]

    async def _create(self, exchange: Exchange, sent: dict[str, Any], user_id: str, team_id: str) -> Answer:
        key = Key(
            name=sent["name"],
            user_id=user_id,
            team_id=team_id,
            allowed_models=sent.get("allowed_models") or (),
        )
        request = CreateKeyRequest(key=key, budget=_new_budget(sent))
        made = await exchange.caller.call(self._keys.CreateKey, request)
        return exchange.plain({"key": key_object(made.key), "raw_key": made.raw_key}, 201)

    async def _revoke(self, exchange: Exchange, key: Key) -> Answer:
        request = RevokeKeyRequest(customer_id=key.customer_id, key_id=key.key_id)
        await exchange.caller.call(self._keys.RevokeKey, request)
        return exchange.plain({"message": "Key deleted"})


def _listed(exchange: Exchange, keys: list[Key]) -> Answer:
    return exchange.plain({"keys": [key_object(key) for key in keys]})


def _is_guest(session: Session) -> bool:
    """Whether the caller isn't a user of the customer it acts in, as the first operator in the demo: such
    users own no keys, so what they made is theirs."""
    return session.user.customer_id != session.customer_id


def _is_own(session: Session, key: Key) -> bool:
    user_id = session.user.user_id
    if not user_id:
        return False
    return key.user_id == user_id or (
        not key.user_id and not key.team_id and key.created_by == user_id and _is_guest(session)
    )


def _new_budget(sent: dict[str, Any]) -> InitialBudget:
    limit, reset = sent.get("budget_usd"), sent.get("budget_reset")
    if limit is None:
        if reset is not None:
            raise invalid("budget_reset needs a budget_usd.", field="budget_reset")
        return InitialBudget()
    return InitialBudget(limit_nanousd=limit, period=RESETS[reset] if reset else Period.PERIOD_NONE)


def _changed_budget(key: Key, sent: dict[str, Any]) -> InitialBudget | None:
    """The key's first budget with the given parts changed; None when neither is given."""
    if "budget_usd" not in sent and "budget_reset" not in sent:
        return None
    present = key.budgets[0] if key.budgets else None
    limit = sent.get("budget_usd", present.limit_nanousd if present else None)
    if limit is None:
        return _new_budget({"budget_reset": sent.get("budget_reset")})
    if "budget_reset" in sent:
        period = RESETS[sent["budget_reset"]] if sent["budget_reset"] else Period.PERIOD_NONE
    else:
        period = present.period if present else Period.PERIOD_NONE
    return InitialBudget(limit_nanousd=limit, period=period)
