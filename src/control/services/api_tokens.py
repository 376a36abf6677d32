"""ApiTokensService: credentials for internal tools. The secret is made here, answered once, and kept as its
SHA-256 only."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from control.caller import caller
from control.domain.identity import Role
from control.domain.roles import SCOPES
from control.services.access import denied, own_role, sees_all
from control.services.audit import record_change
from control.services.convert import checked_name, resource_id, timestamp
from control.services.moments import moment
from control.services.once import once
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.services.users import checked_role, role_name
from control.store import api_tokens as store
from control.store.database import Connection, Database
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID
from tollkeeper.errors import invalid, not_found
from tollkeeper.ids import uuid7
from tollkeeper.key_format import API_TOKEN_PREFIX, mint, secret_hash, shown_prefix
from tollkeeper.v1 import api_tokens_pb2, api_tokens_pb2_grpc, users_pb2

ApiToken = api_tokens_pb2.ApiToken

MAX_API_TOKENS = 1000
DEFAULT_TTL = timedelta(days=90)
MAX_TTL = timedelta(days=366)


class ApiTokensService(api_tokens_pb2_grpc.ApiTokensServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateApiToken(
        self, request: api_tokens_pb2.CreateApiTokenRequest, context: object
    ) -> api_tokens_pb2.CreateApiTokenResponse:
        """A new token. A repeated call with the same request id answers without the secret, which nobody
        keeps."""

        async def work(connection: Connection) -> api_tokens_pb2.CreateApiTokenResponse:
            customer_id = await scoped_customer(connection, request.api_token.customer_id)
            return await once(
                connection,
                customer_id,
                request,
                api_tokens_pb2.CreateApiTokenResponse,
                lambda: _create(connection, customer_id, request.api_token),
                lambda answer: api_tokens_pb2.CreateApiTokenResponse(api_token=answer.api_token),
            )

        return await self._database.write_again(work)

    async def GetApiToken(self, request: api_tokens_pb2.GetApiTokenRequest, context: object) -> ApiToken:
        """A token without its secret, ended ones too."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            return _message(await _reach(connection, customer_id, request.api_token_id))

    async def ListApiTokens(
        self, request: api_tokens_pb2.ListApiTokensRequest, context: object
    ) -> api_tokens_pb2.ListApiTokensResponse:
        """Tokens that work, oldest first; members see their own."""
        page = page_of(request)
        of_user = None if sees_all() else caller().user_id
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            rows = await store.list_api_tokens(
                connection, customer_id, page.after, page.size + 1, of_user, request.show_revoked
            )
        shown = rows[: page.size]
        return api_tokens_pb2.ListApiTokensResponse(
            api_tokens=[_message(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["api_token_id"]) if shown else "",
        )

    async def RevokeApiToken(
        self, request: api_tokens_pb2.RevokeApiTokenRequest, context: object
    ) -> ApiToken:
        """Ends a token for good; again changes nothing."""

        async def work(connection: Connection) -> ApiToken:
            customer_id = await scoped_customer(connection, request.customer_id)
            await lock_customer(connection, customer_id)
            row = await _reach(connection, customer_id, request.api_token_id)
            if row["user_id"] != caller().user_id and row["role"] > own_role():
                raise denied("The caller can't revoke a token of a higher role.")
            before = _message(row)
            if row["revoke_time"] is not None:
                return before
            await store.revoke_api_token(connection, row, await transaction_time(connection))
            message = _message(await store.load_api_token(connection, customer_id, row["api_token_id"]))
            await record_change(connection, customer_id, before, message)
            return message

        return await self._database.write_again(work)


async def _create(
    connection: Connection, customer_id: str, sent: ApiToken
) -> api_tokens_pb2.CreateApiTokenResponse:
    await lock_customer(connection, customer_id)
    if await store.count_live(connection, customer_id) >= MAX_API_TOKENS:
        raise invalid(f"A customer has at most {MAX_API_TOKENS} API tokens.", field="api_token")
    now = await transaction_time(connection)
    expire_time = _expire_time(sent, now)
    secret = mint(API_TOKEN_PREFIX)
    identity = caller()
    api_token_id = str(uuid7())
    values = {
        "customer_id": customer_id,
        "api_token_id": api_token_id,
        "name": checked_name(sent.name),
        "role": checked_role(sent.role or users_pb2.ROLE_MEMBER, customer_id),
        "scopes": _checked_scopes(sent.scopes),
        "prefix": shown_prefix(secret),
        "user_id": identity.user_id or None,
        "home_customer_id": identity.home_customer_id or PLATFORM_CUSTOMER_ID,
        "expire_time": expire_time,
    }
    await store.insert_api_token(connection, values, secret_hash(secret), expire_time - now)
    message = _message(await store.load_api_token(connection, customer_id, api_token_id))
    await record_change(connection, customer_id, None, message)
    return api_tokens_pb2.CreateApiTokenResponse(api_token=message, secret=secret)


async def _reach(connection: Connection, customer_id: str, api_token_id: str) -> Row:
    """The token of this id, if the caller may reach it. Raises NOT_FOUND otherwise."""
    row = await store.load_api_token(connection, customer_id, resource_id("api_token", api_token_id))
    if not sees_all() and row["user_id"] != caller().user_id:
        raise not_found("api_token", api_token_id)
    return row


def _checked_scopes(scopes: Iterable[str]) -> list[str]:
    chosen = sorted(set(scopes))
    for scope in chosen:
        if scope not in SCOPES:
            raise invalid(f"{scope!r} isn't a scope: {', '.join(sorted(SCOPES))}.", field="scopes")
    return chosen


def _expire_time(sent: ApiToken, now: datetime) -> datetime:
    if not sent.HasField("expire_time"):
        return now + DEFAULT_TTL
    expire_time = moment(sent.expire_time, "expire_time")
    if not now < expire_time <= now + MAX_TTL:
        raise invalid("expire_time must be within a year from now.", field="expire_time")
    return expire_time


def _message(row: Row) -> ApiToken:
    return ApiToken(
        api_token_id=row["api_token_id"],
        customer_id=row["customer_id"],
        name=row["name"],
        role=role_name(Role(row["role"])),
        scopes=row["scopes"],
        expire_time=timestamp(row["expire_time"]),
        prefix=row["prefix"],
        user_id=row["user_id"] or "",
        user_email=row["user_email"] or "",
        last_use_time=timestamp(row["last_use_time"]),
        revoke_time=timestamp(row["revoke_time"]),
        create_time=timestamp(row["create_time"]),
    )
