"""RotateKey and EndKeyOverlap: two secrets for a while, one key all the time."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from sqlalchemy import update

from control.domain.identity import Role
from control.store.tables import keys
from tests.control.gateway import authorize, changes, make_key, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.key_format import is_key, secret_hash
from tollkeeper.v1.edge_pb2 import Grant
from tollkeeper.v1.keys_pb2 import (
    EndKeyOverlapRequest,
    GetKeyRequest,
    RevokeKeyRequest,
    RotateKeyRequest,
)

DAY = Duration(seconds=86_400)


def ends(grant: Grant) -> datetime | None:
    """When the grant's secret ends."""
    return grant.expire_time.ToDatetime(tzinfo=UTC) if grant.HasField("expire_time") else None


async def test_both_secrets_work_during_the_overlap(control: RunningControl) -> None:
    """The old one's grant ends with the overlap, the new one's doesn't; both are the same key."""
    cli, edge = await control.cli(), await control.edge()
    customer = await control.customer("acme")
    made = await make_key(cli, "acme", limit_nanousd=7)
    async with changes(control, customer.customer_id) as told:
        rotated = await cli.keys.RotateKey(RotateKeyRequest(key_id=made.key.key_id, overlap=DAY))
    assert told == {"changed": True, "urgent": False}
    key = rotated.key
    assert is_key(rotated.raw_key)
    assert key.key_hash == secret_hash(rotated.raw_key).hex()
    assert (key.previous_key_hash, key.previous_prefix) == (made.key.key_hash, made.key.prefix)
    assert (key.key_id, key.budgets) == (made.key.key_id, made.key.budgets)
    old, new = await authorize(edge, made.raw_key), await authorize(edge, rotated.raw_key)
    assert ends(new) is None
    assert ends(old) == key.previous_expire_time.ToDatetime(tzinfo=UTC)
    assert abs((ends(old) or datetime.now(UTC)) - datetime.now(UTC) - timedelta(days=1)) < timedelta(
        minutes=1
    )
    assert (old.key_id, old.chain_version) == (new.key_id, new.chain_version)
    for name in (key.key_id, made.key.key_hash, key.key_hash):
        assert (await cli.keys.GetKey(GetKeyRequest(key_id=name))) == key


async def test_the_key_s_own_end_cuts_an_overlap(control: RunningControl) -> None:
    """No secret outlives its key."""
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    expiry = datetime.now(UTC) + timedelta(hours=1)
    made = await make_key(cli, "acme", expire_time=expiry)
    rotated = await cli.keys.RotateKey(RotateKeyRequest(key_id=made.key.key_id, overlap=DAY))
    assert ends(await authorize(edge, made.raw_key)) == expiry
    assert ends(await authorize(edge, rotated.raw_key)) == expiry


async def test_without_an_overlap_the_old_secret_ends_at_once(control: RunningControl) -> None:
    """Urgently; its hash finds nothing any more."""
    cli, edge = await control.cli(), await control.edge()
    customer = await control.customer("acme")
    made = await make_key(cli, "acme")
    async with changes(control, customer.customer_id) as told:
        rotated = await cli.keys.RotateKey(RotateKeyRequest(key_id=made.key.key_hash))
    assert told["urgent"]
    assert rotated.key.previous_key_hash == ""
    with refused(Reason.INVALID_API_KEY):
        await authorize(edge, made.raw_key)
    with refused(Reason.NOT_FOUND):
        await cli.keys.GetKey(GetKeyRequest(key_id=made.key.key_hash))
    assert (await authorize(edge, rotated.raw_key)).key_id == made.key.key_id


async def test_an_overlap_that_is_over_is_over(control: RunningControl) -> None:
    """Neither the secret nor its hash works, without anything having run; the key doesn't show it."""
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    made = await make_key(cli, "acme")
    await cli.keys.RotateKey(RotateKeyRequest(key_id=made.key.key_id, overlap=DAY))
    async with control.database.write() as connection:
        await connection.execute(update(keys).values(previous_expire_time=datetime.now(UTC)))
    with refused(Reason.INVALID_API_KEY):
        await authorize(edge, made.raw_key)
    with refused(Reason.NOT_FOUND):
        await cli.keys.GetKey(GetKeyRequest(key_id=made.key.key_hash))
    assert (await cli.keys.GetKey(GetKeyRequest(key_id=made.key.key_id))).previous_prefix == ""


async def test_an_overlap_ends_early(control: RunningControl) -> None:
    """At once and everywhere; the new secret goes on, and asking again changes nothing."""
    cli, edge = await control.cli(), await control.edge()
    customer = await control.customer("acme")
    made = await make_key(cli, "acme")
    rotated = await cli.keys.RotateKey(RotateKeyRequest(key_id=made.key.key_id, overlap=DAY))
    async with changes(control, customer.customer_id) as told:
        ended = await cli.keys.EndKeyOverlap(EndKeyOverlapRequest(key_id=made.key.key_hash))
    assert told["urgent"]
    assert not ended.HasField("previous_expire_time")
    with refused(Reason.INVALID_API_KEY):
        await authorize(edge, made.raw_key)
    assert (await authorize(edge, rotated.raw_key)).key_id == made.key.key_id
    again = EndKeyOverlapRequest(key_id=made.key.key_id)
    async with changes(control, customer.customer_id) as told:
        assert await cli.keys.EndKeyOverlap(again) == ended
    assert not told["changed"]


async def test_a_key_has_at_most_two_secrets(control: RunningControl) -> None:
    """Rotating within an overlap ends the older one."""
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    first = await make_key(cli, "acme")
    request = RotateKeyRequest(key_id=first.key.key_id, overlap=DAY)
    second, third = await cli.keys.RotateKey(request), await cli.keys.RotateKey(request)
    with refused(Reason.INVALID_API_KEY):
        await authorize(edge, first.raw_key)
    for raw_key in (second.raw_key, third.raw_key):
        assert (await authorize(edge, raw_key)).key_id == first.key.key_id
    assert third.key.previous_key_hash == second.key.key_hash


async def test_a_repeated_rotation_answers_without_the_secret(control: RunningControl) -> None:
    """The same request id rotates once; nothing keeps the secret."""
    cli = await control.cli()
    await control.customer("acme")
    made = await make_key(cli, "acme")
    request = RotateKeyRequest(key_id=made.key.key_id, overlap=DAY, request_id="r1")
    rotated = await cli.keys.RotateKey(request)
    repeated = await cli.keys.RotateKey(request)
    assert (repeated.key, repeated.raw_key) == (rotated.key, "")
    async with control.database.read() as connection:
        for table in ("keys", "directory", "request_ids", "audit_entries"):
            found = await connection.exec_driver_sql(f"SELECT to_jsonb(t)::text FROM {table} t")
            assert rotated.raw_key not in " ".join(row[0] for row in found)


async def test_who_may_rotate_and_what(control: RunningControl) -> None:
    """B4: members their own keys, nobody another's. Stale etags, long overlaps, revoked keys are refused."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    member, colleague = await control.person(acme, Role.MEMBER), await control.person(acme, Role.MEMBER)
    made = (await make_key(member.client, "")).key
    rotated = await member.client.keys.RotateKey(RotateKeyRequest(key_id=made.key_id))
    assert rotated.raw_key
    for request in (RotateKeyRequest(key_id=made.key_id), RotateKeyRequest(key_id=rotated.key.key_hash)):
        with refused(Reason.NOT_FOUND):
            await colleague.client.keys.RotateKey(request)
    with refused(Reason.NOT_FOUND):
        await colleague.client.keys.EndKeyOverlap(EndKeyOverlapRequest(key_id=made.key_id))
    with refused(Reason.ETAG_MISMATCH):
        await cli.keys.RotateKey(RotateKeyRequest(key_id=made.key_id, etag=made.etag))
    for overlap in (Duration(seconds=91 * 86_400), Duration(seconds=-1), Duration(nanos=-1)):
        with refused(Reason.INVALID_ARGUMENT) as refusal:
            await cli.keys.RotateKey(RotateKeyRequest(key_id=made.key_id, overlap=overlap))
        assert refusal.metadata["field"] == "overlap"
    await cli.keys.RevokeKey(RevokeKeyRequest(key_id=made.key_id))
    with refused(Reason.NOT_FOUND):
        await cli.keys.RotateKey(RotateKeyRequest(key_id=made.key_id))
    with refused(Reason.NOT_FOUND):
        await cli.keys.EndKeyOverlap(EndKeyOverlapRequest(key_id=made.key_id))
