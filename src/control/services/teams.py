"""TeamsService: groups of users that share keys and budgets."""

from collections.abc import Callable
from typing import Any

from control.domain.key_limits import RATES, check_rate_limits
from control.services.audit import record_change
from control.services.convert import check_etag, checked_name, etag, masked_fields, resource_id, timestamp
from control.services.once import once
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.services.users import put_in_teams, user_message
from control.store import teams as store
from control.store.database import Connection, Database
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from control.store.users import load_live_user
from control.store.versions import customer_changed
from tollkeeper.ids import uuid7
from tollkeeper.v1 import teams_pb2, teams_pb2_grpc, users_pb2

Team = teams_pb2.Team
User = users_pb2.User

_CHANGEABLE = ("name", "suspended", *RATES)


class TeamsService(teams_pb2_grpc.TeamsServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateTeam(self, request: teams_pb2.CreateTeamRequest, context: object) -> Team:
        """A new team, with nobody in it."""

        async def work(connection: Connection) -> Team:
            customer_id = await scoped_customer(connection, request.team.customer_id)
            return await once(
                connection,
                customer_id,
                request,
                Team,
                lambda: self._create(connection, customer_id, request.team),
            )

        return await self._database.write_again(work)

    async def GetTeam(self, request: teams_pb2.GetTeamRequest, context: object) -> Team:
        """A team, deleted ones too."""
        team_id = resource_id("team", request.team_id)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            return _message(await store.load_team(connection, customer_id, team_id))

    async def ListTeams(
        self, request: teams_pb2.ListTeamsRequest, context: object
    ) -> teams_pb2.ListTeamsResponse:
        """Live teams, oldest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            rows = await store.list_teams(connection, customer_id, page.after, page.size + 1)
        shown = rows[: page.size]
        return teams_pb2.ListTeamsResponse(
            teams=[_message(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["team_id"]) if shown else "",
        )

    async def UpdateTeam(self, request: teams_pb2.UpdateTeamRequest, context: object) -> Team:
        """Changes the masked fields. Suspending stops the team's keys at once."""
        sent = request.team
        fields = masked_fields(request.update_mask, sent, _CHANGEABLE)
        team_id = resource_id("team", sent.team_id)

        async def work(connection: Connection) -> Team:
            customer_id = await scoped_customer(connection, sent.customer_id)
            await lock_customer(connection, customer_id)
            row = await store.load_live_team(connection, customer_id, team_id)
            check_etag(sent.etag, row["revision"])
            values: dict[str, Any] = {}
            if "name" in fields:
                values["name"] = checked_name(sent.name)
            if "suspended" in fields:
                values["suspended"] = sent.suspended
            values |= check_rate_limits(sent, fields)
            changed = await store.update_team(connection, customer_id, team_id, values)
            message = _message(changed)
            await record_change(connection, customer_id, _message(row), message)
            await customer_changed(connection, customer_id, urgent="suspended" in fields)
            return message

        return await self._database.write_again(work)

    async def DeleteTeam(self, request: teams_pb2.DeleteTeamRequest, context: object) -> Team:
        """Ends a team; its keys stay with their users, or with the customer."""
        team_id = resource_id("team", request.team_id)

        async def work(connection: Connection) -> Team:
            customer_id = await scoped_customer(connection, request.customer_id)
            await lock_customer(connection, customer_id)
            row = await store.load_live_team(connection, customer_id, team_id)
            check_etag(request.etag, row["revision"])
            now = await transaction_time(connection)
            ended = await store.delete_team(connection, customer_id, team_id, now)
            message = _message(ended)
            await record_change(connection, customer_id, _message(row), message)
            await customer_changed(connection, customer_id)
            return message

        return await self._database.write_again(work)

    async def AddTeamMember(self, request: teams_pb2.AddTeamMemberRequest, context: object) -> User:
        """Puts a user into a team."""
        return await self._change_member(request, lambda teams, team_id: teams | {team_id})

    async def RemoveTeamMember(self, request: teams_pb2.RemoveTeamMemberRequest, context: object) -> User:
        """Takes a user out of a team."""
        return await self._change_member(request, lambda teams, team_id: teams - {team_id})

    async def _change_member(
        self,
        request: teams_pb2.AddTeamMemberRequest | teams_pb2.RemoveTeamMemberRequest,
        change: Callable[[frozenset[str], str], frozenset[str]],
    ) -> User:
        team_id, user_id = resource_id("team", request.team_id), resource_id("user", request.user_id)

        async def work(connection: Connection) -> User:
            customer_id = await scoped_customer(connection, request.customer_id)
            await lock_customer(connection, customer_id)
            await store.load_live_team(connection, customer_id, team_id)
            row = await load_live_user(connection, customer_id, user_id)
            before = (await store.teams_of_users(connection, customer_id, [user_id]))[user_id]
            after = change(frozenset(before), team_id)
            if after == frozenset(before):
                return user_message(row, before)
            return await put_in_teams(connection, row, after)

        return await self._database.write_again(work)

    async def _create(self, connection: Connection, customer_id: str, sent: Team) -> Team:
        await lock_customer(connection, customer_id)
        values = {"name": checked_name(sent.name), "suspended": sent.suspended, **check_rate_limits(sent)}
        row = await store.insert_team(connection, customer_id, str(uuid7()), values)
        message = _message(row)
        await record_change(connection, customer_id, None, message)
        await customer_changed(connection, customer_id)
        return message


def _message(row: Row) -> Team:
    return Team(
        team_id=row["team_id"],
        customer_id=row["customer_id"],
        name=row["name"],
        suspended=row["suspended"],
        requests_per_minute=row["requests_per_minute"],
        tokens_per_minute=row["tokens_per_minute"],
        max_concurrent_requests=row["max_concurrent_requests"],
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
        delete_time=timestamp(row["delete_time"]),
    )
